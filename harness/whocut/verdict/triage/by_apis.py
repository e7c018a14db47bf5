"""What an API refused, by its own code or words, or by a status of 400 and above alone."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from whocut.chain.retry_after import asked_to_wait_s
from whocut.chain.timers import Phase
from whocut.verdict.fingerprints import Ended
from whocut.verdict.triage import advice
from whocut.verdict.triage.answer import Triage
from whocut.verdict.triage.endings import By, Cause, EndedBy, Retry
from whocut.verdict.triage.facts import Facts, best_of
from whocut.verdict.triage.in_prose import tells_of_a_cut
from whocut.verdict.triage.lexicon import Role
from whocut.verdict.triage.numbers import wait_asked
from whocut.verdict.triage.refusals import error_of, field_of, stage_of
from whocut.verdict.triage.statuses import How
from whocut.verdict.verdict import Grade

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from whocut.verdict.triage.refusals import Refused

CLOUDFLARES_OWN: Final = frozenset({520, 521, 522, 523, 524, 525, 526, 527, 530})
_MONEY: Final = "money"
_MODEL: Final = "model"


def the_api_refused(facts: Facts) -> Triage | None:
    """A refusal by the API's own code or words, where nothing in the text says that another ended it."""
    refused = facts.refused
    if refused is None or _outranked(refused, facts):
        return None
    row = refused.row
    if row.wraps and facts.code is not None and 400 <= facts.code < 500:
        return by_client_error(facts.code, facts)  # the refusal is the provider's: the gateway quotes it
    message = str(refused.error.get("message") or "")
    told = refused.exact or (facts.status is not None and facts.status.how >= How.SAID)
    found = Triage(
        cause=row.cause,
        name=row.name,
        grade=Grade.TESTIFIED if told else Grade.INFERRED,
        status=facts.code,
        ended_by=EndedBy.UPSTREAM,
        retry=row.retry,
        do=row.do,
        do_not=row.do_not,
        why=(f"the API says: {message}",) if message else (f"the wording is an API's: {refused.because}",),
        bucket=row.bucket,
    )
    detail = _DETAILS.get(row.cause)
    return detail(found, refused, facts) if detail else found


def _outranked(refused: Refused, facts: Facts) -> bool:
    row, code = refused.row, facts.code
    failed = row.cause is Cause.UPSTREAM
    if not refused.exact and _something_stronger(facts, row.cause):
        return True
    if (
        not refused.exact
        and code is not None
        and code >= 500
        and not failed
        and row.cause is not Cause.RATE_LIMIT
    ):
        return True
    told = refused.row.retry is Retry.PAYS_AGAIN and tells_of_a_cut(facts.pasted.text)
    return (code in CLOUDFLARES_OWN and not failed) or (failed and (told or a_layer_cut(facts)))


def _moderated(found: Triage, refused: Refused, facts: Facts) -> Triage:
    stage, change = stage_of(refused.error, facts.lower)
    generic = "Change the prompt" in refused.row.do
    return replace(found, stage=stage, do=change if change and generic else found.do)


def _of_a_field(found: Triage, refused: Refused, facts: Facts) -> Triage:
    text = str(refused.error.get("message") or "") or facts.pasted.text
    theirs = facts.code is not None and re.search(
        rf"(?i)download[^\n]{{0,80}}upstream status code: {facts.code}\b", facts.pasted.text
    )  # the answer that the API got for the image, and not its own
    return replace(
        found,
        field=field_of(refused.row, refused.error, text),
        status=None if theirs else found.status,
    )


def _limited(found: Triage, refused: Refused, facts: Facts) -> Triage:
    if refused.row.retry is Retry.USELESS:
        return found
    return replace(found, bucket=found.bucket or _bucket(facts), retry_after_s=_retry_after_s(facts))


def _failed(found: Triage, refused: Refused, facts: Facts) -> Triage:
    del refused
    turned_away = facts.code == 429 and found.retry is Retry.UNKNOWN  # before any work
    retry = Retry.AFTER_WAIT if turned_away else found.retry
    return replace(found, retry=retry, retry_after_s=_retry_after_s(facts))


_DETAILS: Final[Mapping[Cause, Callable[[Triage, Refused, Facts], Triage]]] = {
    Cause.MODERATION: _moderated,
    Cause.PARAMETER: _of_a_field,
    Cause.RATE_LIMIT: _limited,
    Cause.UPSTREAM: _failed,
}


def _something_stronger(facts: Facts, cause: Cause) -> bool:
    """Whether a text that has refusing words somewhere says more plainly that something else ended it."""
    best = best_of(facts.said)
    if cause is Cause.UPSTREAM and facts.page is not None:
        return True
    if best is None:
        return False
    return best.tells >= 5 or (best.row.log and best.tells >= 4)


def a_layer_cut(facts: Facts) -> bool:
    """Whether a layer says in the same text that it ended the request by a timer of its own."""
    if facts.page is not None and facts.page.layer and facts.page.ended is not Ended.UPSTREAM:
        return True
    return any(
        one.speaker.role is Role.LAYER and one.row.ending.by is By.SELF and one.tells >= 4
        for one in facts.said
    )


def _bucket(facts: Facts) -> str | None:
    match = re.search(r"(?i)\bon ([\w-]{1,40} per \w{1,20})|for (images per \w{1,20})", facts.pasted.text)
    return (match[1] or match[2]) if match else None


def _retry_after_s(facts: Facts) -> float | None:
    """The wait that is asked for, by a header or in words."""
    asked_s = asked_to_wait_s(facts.seen.headers)
    return round(asked_s, 3) if asked_s is not None else wait_asked(facts.pasted.text)


def by_client_error(code: int, facts: Facts) -> Triage | None:
    """What a status from 400 to 499 means where nothing else says more."""
    message = str(error_of(facts.pasted).get("message") or "")
    say = (f"the API says: {message}",) if message else (f"a {code} is a refusal",)
    if code == 429:
        found = Triage(
            cause=Cause.RATE_LIMIT,
            name="a rate limit was reached",
            retry=Retry.AFTER_WAIT,
            retry_after_s=_retry_after_s(facts),
            bucket=_bucket(facts),
            do="Wait as long as it says, then send fewer at a time: a semaphore of 3 at the call site.",
            do_not="Do not retry sooner than it says, nor all at once.",
        )
    elif code == 407:
        found = Triage(
            cause=Cause.CONNECTION,
            name="a forward proxy wants a login",
            phase=Phase.CONNECT,
            retry=Retry.USELESS,
            do=advice.ENDINGS["proxy"],
        )
    elif code == 402:
        found = Triage(
            cause=Cause.RATE_LIMIT,
            name="no money left",
            retry=Retry.USELESS,
            bucket=_MONEY,
            do="Add credit, or raise the spend limit of the account.",
        )
    elif code in {400, 401, 403, 404, 405, 413, 415, 422}:
        meant = {401: "Authorization", 404: _MODEL, 413: "image"}.get(code)
        param = error_of(facts.pasted).get("param")
        found = Triage(
            cause=Cause.PARAMETER,
            name="the request is refused",
            retry=Retry.USELESS,
            field=param if isinstance(param, str) and param and not param.isdigit() else meant,
            do="Change or strip what the message names; the minimal call is model, prompt and size.",
        )
    else:
        return None
    return replace(
        found,
        status=code,
        ended_by=EndedBy.UPSTREAM,
        grade=Grade.TESTIFIED if message else Grade.INFERRED,
        why=say,
    )


# What an SDK's class of exception says alone: it is named by the status of the answer.
_BY_CLASS: Final = (
    (re.compile(r"\b(?:BadRequest|UnprocessableEntity|InvalidRequest|UnsupportedParams)Error\b"), None),
    (re.compile(r"\b(?:Authentication|PermissionDenied)Error\b"), "Authorization"),
    (re.compile(r"\bNotFoundError\b(?=[^\n]{0,200}model)"), _MODEL),
    (re.compile(r"(?i)(?<=error: )(?:bad request|unprocessable entity)\b"), None),
    (re.compile(r"(?m)^[^\w\n]{0,4}(?:Bad Request|Unprocessable Entity): "), None),
    (re.compile(r"(?im)(?:(?<=error: )|^)(?:unauthorized|forbidden)\b"), "Authorization"),
    (re.compile(r"(?<![\w.-])(?:Unauthorized|Forbidden): (?=[A-Z])"), "Authorization"),
)
_FAILED_BY_CLASS: Final = re.compile(
    r"\b(?:errors\.ServerError|InternalServerError|ServiceUnavailableError|BadGatewayError)\b"
)
# Codes by which a gateway says that what is behind it failed, and nothing of how.
_BEHIND: Final = frozenset({"upstream_error", "provider_error", "upstream_failed", "bad_gateway"})


def the_api_only_refused(facts: Facts) -> Triage | None:
    """An error object whose only code says that the request was bad, or an exception whose class does."""
    return _by_code_alone(facts) or _behind(facts) or _by_class_alone(facts)


def _behind(facts: Facts) -> Triage | None:
    """A gateway's error object that names no status, and says that what is behind the gateway failed."""
    error = error_of(facts.pasted)
    if (
        facts.code is not None
        or not {str(error.get(key) or "").lower() for key in ("type", "code")} & _BEHIND
    ):
        return None
    return Triage(
        cause=Cause.UPSTREAM,
        name="what is behind the gateway failed",
        grade=Grade.INFERRED,
        ended_by=EndedBy.UPSTREAM,
        do="Look into what the gateway logs of its provider, or ask the provider itself.",
        why=(f"the gateway says: {error.get('message') or 'upstream_error'}",),
    )


def _by_class_alone(facts: Facts) -> Triage | None:
    """A refusal by the name of the exception: SDKs name it by the status that they got."""
    if facts.code is not None:
        return None
    named = next(
        ((hit[0], meant) for kind, meant in _BY_CLASS if (hit := kind.search(facts.pasted.text))), None
    )
    if named is None:
        return None
    raised, meant = named
    return Triage(
        cause=Cause.PARAMETER,
        name="the request is refused",
        field=meant,
        grade=Grade.INFERRED,
        ended_by=EndedBy.UPSTREAM,
        retry=Retry.USELESS,
        do="Change or strip what the message names; the minimal call is model, prompt and size.",
        why=(f"{raised} is what SDKs raise of a refusal",),
    )


def the_api_only_failed(facts: Facts) -> Triage | None:
    """A failure by the name of the exception: SDKs raise it of an answer of 500 or above."""
    named = _FAILED_BY_CLASS.search(facts.pasted.text)
    if facts.code is not None or named is None:
        return None
    return Triage(
        cause=Cause.UPSTREAM,
        name="the API failed",
        grade=Grade.INFERRED,
        ended_by=EndedBy.UPSTREAM,
        do="Print the status and the body of the answer: they say whether the API or a layer before it failed.",
        why=(f"{named[0]} is what SDKs raise of an answer of 500 or above",),
    )


def _by_code_alone(facts: Facts) -> Triage | None:
    error = error_of(facts.pasted)
    kinds = {str(error.get(key) or "").lower() for key in ("type", "code")}
    if not kinds & {"invalid_request_error", "image_generation_user_error", "bad_request", "badrequesterror"}:
        return None
    if facts.code is not None and facts.code >= 500:
        return None
    param = error.get("param")
    return Triage(
        cause=Cause.PARAMETER,
        name="the request is refused",
        field=param if isinstance(param, str) and param else None,
        grade=Grade.TESTIFIED,
        status=facts.code,
        ended_by=EndedBy.UPSTREAM,
        retry=Retry.USELESS,
        do="Change or strip what the message names; the minimal call is model, prompt and size.",
        why=(f"the API says: {error.get('message') or ', '.join(sorted(kinds))}",),
    )
