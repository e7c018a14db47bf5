"""What an API refused, by its own code or words, or by a status of 400 and above alone."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from whocut.chain.retry_after import asked_to_wait_s
from whocut.verdict.fingerprints import Ended
from whocut.verdict.triage.answer import Triage
from whocut.verdict.triage.endings import By, Cause, EndedBy, Retry
from whocut.verdict.triage.facts import Facts, best_of
from whocut.verdict.triage.lexicon import Role
from whocut.verdict.triage.numbers import wait_asked
from whocut.verdict.triage.refusals import error_of, field_of, stage_of
from whocut.verdict.verdict import Grade

CLOUDFLARES_OWN: Final = frozenset({520, 521, 522, 523, 524, 525, 526, 527, 530})
_MONEY: Final = "money"
_MODEL: Final = "model"


def the_api_refused(facts: Facts) -> Triage | None:
    refused = facts.refused
    if refused is None:
        return None
    row, code = refused.row, facts.code
    if not refused.exact and _something_stronger(facts, row.cause):
        return None
    if (
        code is not None
        and code >= 500
        and row.cause not in {Cause.UPSTREAM, Cause.RATE_LIMIT}
        and not refused.exact
    ):
        return None
    if code in CLOUDFLARES_OWN and row.cause is not Cause.UPSTREAM:
        return None
    if row.cause is Cause.UPSTREAM and a_layer_cut(facts):
        return None
    message = str(refused.error.get("message") or "")
    found = Triage(
        cause=row.cause,
        name=row.name,
        grade=Grade.TESTIFIED if refused.exact else Grade.INFERRED,
        status=code,
        ended_by=EndedBy.UPSTREAM,
        retry=row.retry,
        do=row.do,
        do_not=row.do_not,
        why=(f"the API says: {message}",) if message else (f"the wording is an API's: {refused.because}",),
        bucket=row.bucket,
    )
    if row.cause is Cause.MODERATION:
        stage, change = stage_of(refused.error, facts.lower)
        generic = "Change the prompt" in row.do
        return replace(found, stage=stage, do=change if change and generic else row.do)
    if row.cause is Cause.PARAMETER:
        return replace(found, field=field_of(row, refused.error, message or facts.pasted.text))
    if row.cause is Cause.RATE_LIMIT and row.bucket is None:
        return replace(found, bucket=_bucket(facts), retry_after_s=_retry_after_s(facts))
    if row.cause in {Cause.UPSTREAM, Cause.RATE_LIMIT} and row.retry is not Retry.USELESS:
        return replace(found, retry_after_s=_retry_after_s(facts))
    return found


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


def the_api_only_refused(facts: Facts) -> Triage | None:
    """An error object whose only code says that the request was bad."""
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
