"""The 30-second triage: from a pasted error to its likely cause, what to do, and what not to do.

First the API's own words, for they are exact; then the page of a layer on the way; then what the client's library
raised; then the bare status and the time it took. Nothing that looks like a secret leaves this file.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from whocut.chain.retry_after import asked_to_wait_s
from whocut.chain.timers import Phase, TimerKind
from whocut.redact import redact
from whocut.verdict.advice import KNOWN, MODERATED_AT, SECTIONS, Cause, Known
from whocut.verdict.fingerprints import Ended
from whocut.verdict.inference import Inference, infer
from whocut.verdict.paste import Pasted, read_paste
from whocut.verdict.raised import REFUSED, Raised, raised_in
from whocut.verdict.verdict import Grade
from whocut.words import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from whocut.chain.layers import Layer

_TRY_AGAIN: Final = re.compile(
    r"(?i)try again (?:in|after) (?:(\d+)m(?!s))?\s*(?:([\d.]+)\s*(ms|s|seconds?)\b)?"
    r"|retry[- ]after[\"']?:? *(\d+)\b"
)
_BUCKET: Final = re.compile(r"(?i)\bon ([\w-]+ per \w+)|for (images per \w+)")
_GATEWAY_STATUSES: Final = frozenset({408, 499, 502, 503, 504, 520, 521, 522, 523, 524})
_STILL_RUNNING: Final = (
    "Do not retry: the generation behind it most likely runs on and is billed, and a second one costs again."
)
_NOT_SENT: Final = "Do not raise a read timeout: no connection was ever made, and nothing was sent."
_FASTER: Final = "stream with partial images, or hand out a job id and let the client poll"


@dataclass(frozen=True, slots=True, kw_only=True)
class Triage:
    """The answer. `layer` is None where no layer is to blame, or where only `alternatives` can be named."""

    cause: Cause
    name: str = ""
    layer: str | None = None
    title: str | None = None
    directive: str | None = None
    timer: TimerKind | None = None
    phase: Phase | None = None
    grade: Grade = Grade.UNATTRIBUTED
    stage: str | None = None
    field: str | None = None
    retry_after_s: float | None = None
    bucket: str | None = None
    status: int | None = None
    elapsed_s: float | None = None
    do: str = ""
    do_not: str = ""
    section: str | None = None
    why: tuple[str, ...] = ()
    alternatives: tuple[str, ...] = ()
    read_as: str = "text"

    def as_words(self) -> list[tuple[str, str]]:
        """For people: a label and what belongs to it, in the order of reading."""
        who = self.title or self.layer
        where = f", {self.phase.while_}" if self.phase else ""
        rows = [
            ("cause", f"{self.cause}: {self.name}"),
            ("layer", f"{who} ({self.directive}{where})" if who and self.directive else who),
            ("or", ", ".join(self.alternatives)),
            ("stage", self.stage),
            ("field", self.field),
            ("bucket", self.bucket),
            ("wait", f"{self.retry_after_s:g} s" if self.retry_after_s is not None else None),
            ("sure", f"{self.grade}: {'; '.join(self.why)}" if self.why else str(self.grade)),
            ("do", self.do),
            ("do not", self.do_not),
            ("read more", self.section and f"the article's section {self.section}"),
        ]
        return [(label, words) for label, words in rows if words]

    def as_json(self) -> dict[str, Any]:
        """For machines; `stage`, `field`, `retry_after_s` and `bucket` only where they apply."""
        optional = {"stage", "field", "retry_after_s", "bucket"}
        return {key: value for key, value in asdict(self).items() if value is not None or key not in optional}


def triage(text: str, *, elapsed_s: float | None = None, chain: Sequence[Layer] = ()) -> Triage:
    """The likely cause of a pasted error.

    `elapsed_s` is how long the request took, where the text does not say it; `chain` names the layers on the way.
    """
    pasted = read_paste(text)
    if elapsed_s is not None:
        pasted = replace(pasted, seen=replace(pasted.seen, elapsed_s=elapsed_s))
    for rule in RULES:
        found = rule(pasted, chain)
        if found is not None:
            return _clean(found, pasted)
    raise AssertionError("the last rule applies always")


def _clean(found: Triage, pasted: Pasted) -> Triage:
    return replace(
        found,
        name=redact(found.name),
        field=redact(found.field) if found.field else None,
        bucket=redact(found.bucket) if found.bucket else None,
        why=tuple(redact(reason) for reason in found.why),
        status=pasted.seen.status,
        elapsed_s=pasted.seen.elapsed_s,
        section=SECTIONS.get(found.cause),
        read_as=pasted.read_as,
    )


# --- the rules --------------------------------------------------------------------------------------------


def _the_api_says(pasted: Pasted, chain: Sequence[Layer]) -> Triage | None:
    del chain
    message = str(pasted.error.get("message") or "")
    known = _known(pasted.error, message or pasted.text)
    if known is None and pasted.seen.status == 429:
        known = next(row for row in KNOWN if "rate_limit_exceeded" in row.codes)
    if known is None:
        return None
    found = Triage(
        cause=known.cause,
        name=known.name,
        grade=Grade.TESTIFIED,
        do=known.do,
        do_not=known.do_not,
        why=(f"the API says: {message}",) if message else ("the wording is the API's",),
    )
    return _DETAILS[known.cause](found, known, pasted) if known.cause in _DETAILS else found


def _a_layer_wrote_it(pasted: Pasted, chain: Sequence[Layer]) -> Triage | None:
    inference = infer(pasted.seen, chain)
    if inference is None or inference.layer is None:
        return None
    if raised_in(pasted.text) and not any(reason.startswith("the ") for reason in inference.why):
        return None  # the elapsed time alone; the client's own words are better
    return _from_inference(inference)


def _the_client_says(pasted: Pasted, chain: Sequence[Layer]) -> Triage | None:
    raised = raised_in(pasted.text)
    if raised is None:
        return None
    if raised.ours:
        return _own_timer(raised)
    if raised.says == REFUSED:
        return Triage(
            cause=Cause.UPSTREAM,
            name=raised.says,
            phase=Phase.CONNECT,
            grade=Grade.INFERRED,
            do="See whether the address and the port are right, and whether the server runs.",
            do_not="Do not raise timeouts: the connection was refused at once.",
            why=(raised.says,),
        )
    inference = infer(pasted.seen, chain)
    found = Triage(
        cause=Cause.TIMEOUT_CHAIN,
        name="a layer on the way ended it",
        phase=raised.phase,
        grade=Grade.INFERRED if inference and inference.layer else Grade.UNATTRIBUTED,
        do=f"Find the layer whose limit is the time it took: `whocut attribute` reads its logs; then {_FASTER}.",
        do_not=_STILL_RUNNING,
        why=(raised.says,),
    )
    return _with_layer(found, inference)


def _a_gateway_status(pasted: Pasted, chain: Sequence[Layer]) -> Triage | None:
    status = pasted.seen.status
    if status not in _GATEWAY_STATUSES:
        return None
    inference = infer(pasted.seen, chain)
    found = Triage(
        cause=Cause.UPSTREAM if status in {520, 521, 523} else Cause.TIMEOUT_CHAIN,
        name=f"a {status} from a layer that does not give its name",
        grade=Grade.UNATTRIBUTED,
        do=f"Paste the whole response, head and body, and how long it took (--after); then {_FASTER}.",
        do_not=_STILL_RUNNING,
        why=(f"a {status} comes from a layer on the way, not from the API",),
    )
    return _with_layer(found, inference)


def _the_time_it_took(pasted: Pasted, chain: Sequence[Layer]) -> Triage | None:
    if pasted.seen.status is not None and pasted.seen.status < 500:
        return None
    inference = infer(pasted.seen, chain)
    if inference is None:
        return None
    found = Triage(
        cause=Cause.TIMEOUT_CHAIN,
        name="the time it took is a limit's",
        grade=Grade.INFERRED if inference.layer else Grade.UNATTRIBUTED,
        do=f"See which of these stand on the way, and raise that limit, or {_FASTER}.",
        do_not=_STILL_RUNNING,
    )
    return _with_layer(found, inference)


def _the_api_failed(pasted: Pasted, chain: Sequence[Layer]) -> Triage | None:
    del chain
    if pasted.seen.status is None or pasted.seen.status < 500:
        return None
    return Triage(
        cause=Cause.UPSTREAM,
        name=f"a {pasted.seen.status} without a known page",
        do="Paste the whole response: its headers and body tell who wrote it.",
        do_not="Do not retry blindly: the work may have been done.",
        why=(f"a {pasted.seen.status} is a server's failure, and no known layer's page",),
    )


def _nobody_knows(pasted: Pasted, chain: Sequence[Layer]) -> Triage | None:
    del pasted, chain
    return Triage(
        cause=Cause.UNKNOWN,
        name="not recognised",
        do="Paste the status, the headers and the body, or the whole traceback; say how long it took (--after).",
        do_not="Do not retry before it is known whether the first request did its work.",
    )


RULES: Final[tuple[Callable[[Pasted, Sequence[Layer]], Triage | None], ...]] = (
    _the_api_says,
    _a_layer_wrote_it,
    _the_client_says,
    _a_gateway_status,
    _the_time_it_took,
    _the_api_failed,
    _nobody_knows,
)


# --- the details ------------------------------------------------------------------------------------------


def _known(error: Mapping[str, Any], text: str) -> Known | None:
    """By its code, by a wording that is more exact than the code, by its type."""
    by_code = next((row for row in KNOWN if error.get("code") in row.codes), None)
    by_words = next((row for row in KNOWN if row.says.search(text)), None)
    if by_code and by_words:
        return by_words if by_words.cause is by_code.cause else by_code
    return by_code or by_words or next((row for row in KNOWN if error.get("type") in row.codes), None)


def _moderation(found: Triage, known: Known, pasted: Pasted) -> Triage:
    del known
    details = pasted.error.get("moderation_details")
    stage = str(details.get("moderation_stage")) if isinstance(details, dict) else None
    if stage is None and re.search("(?i)generated image was filtered", pasted.text):
        stage = "output"
    stage = stage if stage in MODERATED_AT else "unknown"
    return replace(found, stage=stage, do=MODERATED_AT.get(stage, found.do))


def _parameter(found: Triage, known: Known, pasted: Pasted) -> Triage:
    text = str(pasted.error.get("message") or pasted.text)
    match = known.says.search(text)
    named = match["field"] if match and "field" in known.says.groupindex else None
    return replace(found, field=pasted.error.get("param") or named or known.field)


def _rate_limit(found: Triage, known: Known, pasted: Pasted) -> Triage:
    text = str(pasted.error.get("message") or pasted.text)
    match = _BUCKET.search(text)
    bucket = (match[1] or match[2]) if match else None
    return replace(
        found,
        bucket="money" if "insufficient_quota" in known.codes else bucket,
        retry_after_s=_retry_after_s(pasted.seen.headers, text),
    )


_DETAILS: Final[Mapping[Cause, Callable[[Triage, Known, Pasted], Triage]]] = {
    Cause.MODERATION: _moderation,
    Cause.PARAMETER: _parameter,
    Cause.RATE_LIMIT: _rate_limit,
    Cause.UPSTREAM: lambda found, _known, pasted: replace(
        found, retry_after_s=_retry_after_s(pasted.seen.headers, "")
    ),
}


def _retry_after_s(headers: Mapping[str, str], text: str) -> float | None:
    asked_s = asked_to_wait_s(headers)
    if asked_s is not None:
        return round(asked_s, 3)
    match = _TRY_AGAIN.search(text)
    if not match or not any(match.groups()):
        return None
    if match[4]:
        return float(match[4])
    seconds = float(match[2].rstrip(".") or 0) * (0.001 if match[3] == "ms" else 1.0) if match[2] else 0.0
    return round(60.0 * int(match[1] or 0) + seconds, 3)


def _own_timer(raised: Raised) -> Triage:
    connecting = raised.timer is TimerKind.CONNECT
    return Triage(
        cause=Cause.TIMEOUT_CHAIN,
        name=raised.says,
        layer=raised.client,
        title="the client itself",
        directive=raised.directive,
        timer=raised.timer,
        phase=raised.phase,
        grade=Grade.TESTIFIED,
        do=(
            "See whether the address is reachable: the connection was never made."
            if connecting
            else f"Raise {raised.directive} of the client above the slowest generation (280 s), or {_FASTER}."
        ),
        do_not=_NOT_SENT if connecting else _STILL_RUNNING,
        why=(raised.says,) if raised.verified else (raised.says, "this wording is unverified"),
    )


def _from_inference(inference: Inference) -> Triage:
    by_upstream = inference.ended is Ended.UPSTREAM
    why = (
        inference.why
        if inference.verified
        else (*inference.why, "this page is known from memory: unverified")
    )
    return Triage(
        cause=Cause.UPSTREAM if by_upstream else Cause.TIMEOUT_CHAIN,
        name=(
            f"what stands behind {inference.title} ended it" if by_upstream else f"{inference.title} gave up"
        ),
        layer=inference.layer,
        title=inference.title,
        directive=inference.directive or None,
        timer=inference.timer,
        phase=inference.phase,
        grade=inference.grade,
        do=_advice(inference),
        do_not=_NOT_SENT if inference.timer is TimerKind.CONNECT else _STILL_RUNNING,
        why=why,
        alternatives=inference.alternatives,
    )


def _advice(inference: Inference) -> str:
    who, knob = inference.title, inference.directive
    limit = f" ({format_duration(inference.limit_s)})" if inference.limit_s else ""
    if inference.ended is Ended.UPSTREAM:
        return (
            f"Look into the log of what stands behind {who}: it closed the connection, or refused it, first."
        )
    if inference.ended is Ended.CALLER:
        return f"The request came in too slowly for {knob} of {who}: send a smaller upload, or raise it."
    if inference.timer is TimerKind.CONNECT:
        return f"{who} could not reach what stands behind it: see whether that runs; a longer {knob} seldom helps."
    if inference.timer is TimerKind.TOTAL:
        return (
            f"Raise {knob} of {who}{limit} above the slowest generation (280 s), or hand out a job id and "
            "let the client poll. Streaming does not help against a total timer."
        )
    return f"Raise {knob} of {who}{limit} above the slowest generation (280 s), or {_FASTER}."


def _with_layer(found: Triage, inference: Inference | None) -> Triage:
    if inference is None:
        return found
    return replace(
        found,
        layer=inference.layer,
        title=inference.title,
        directive=inference.directive or None,
        timer=inference.timer,
        phase=inference.phase or found.phase,
        grade=inference.grade if inference.layer else Grade.UNATTRIBUTED,
        do=_advice(inference) if inference.layer else found.do,
        why=(*found.why, *inference.why),
        alternatives=inference.alternatives,
    )
