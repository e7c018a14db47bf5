"""How an attempt ended: by what was raised, by how its connection ended, or by what its answer says. The one table.

Errors are known by the names of their classes: httpx (openai-python 1.x, 2.x) and httpx2 (3.x) raise classes of the
same names that share no base. The SDK wraps them, and its wrapper is read by its cause.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from whocut.chain.retry_after import asked_to_wait_s
from whocut.chain.timers import Phase, TimerKind
from whocut.client.body import JsonBody, envelope
from whocut.client.policy import Failure
from whocut.clock import Clock
from whocut.redact import redact
from whocut.trace.records import NO_IMAGE, Outcome, UpstreamEnd

if TYPE_CHECKING:
    from collections.abc import Mapping

    from whocut.client.body import EventBody


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended before its answer was whole. `sent` False: the request certainly never left."""

    upstream: UpstreamEnd
    outcome: Outcome
    phase: Phase
    timer: TimerKind | None = None
    sent: bool = True


@dataclass(frozen=True, slots=True)
class _Raised:
    """What an exception says. `phase` None: whichever the attempt was in; `timer` None: a cut's is its phase's."""

    upstream: UpstreamEnd
    phase: Phase | None = None
    timer: TimerKind | None = None
    sent: bool = True


_RAISED: Final = {
    "ConnectTimeout": _Raised(UpstreamEnd.CUT, Phase.CONNECT, TimerKind.CONNECT, sent=False),
    "ConnectError": _Raised(UpstreamEnd.REFUSED, Phase.CONNECT, sent=False),
    "PoolTimeout": _Raised(UpstreamEnd.NONE, Phase.CONNECT, sent=False),
    "WriteTimeout": _Raised(UpstreamEnd.CUT, Phase.SEND, TimerKind.IDLE),
    "WriteError": _Raised(UpstreamEnd.RESET, Phase.SEND),
    "ReadTimeout": _Raised(UpstreamEnd.CUT),
    "ReadError": _Raised(UpstreamEnd.RESET),
    "RemoteProtocolError": _Raised(UpstreamEnd.CLOSED),
    # The library would not send what it was given: an invalid header, an address that it does not speak.
    "LocalProtocolError": _Raised(UpstreamEnd.NONE, Phase.CONNECT),
    "UnsupportedProtocol": _Raised(UpstreamEnd.NONE, Phase.CONNECT),
}
# Anything that is not an HTTP library's error came from the program that asked: a cancelled task, a killed
# greenlet, a closed generator. How the attempt would have ended was not seen.
_ABANDONED: Final = _Raised(UpstreamEnd.ABANDONED)
_TIMER_OF: Final = {Phase.WAIT: TimerKind.FIRST_BYTE, Phase.STREAM: TimerKind.IDLE}
_OUTCOME_OF: Final = {
    UpstreamEnd.CUT: Outcome.TIMEOUT,
    UpstreamEnd.RESET: Outcome.RESET,
    UpstreamEnd.CLOSED: Outcome.RESET,
    UpstreamEnd.MALFORMED: Outcome.RESET,
    UpstreamEnd.REFUSED: Outcome.REFUSED,
    UpstreamEnd.NONE: Outcome.REFUSED,
    UpstreamEnd.ABANDONED: Outcome.CENSORED,
}
_OUTCOME_IN_THE_BODY: Final = _OUTCOME_OF | {
    UpstreamEnd.CLOSED: Outcome.TRUNCATED,
    UpstreamEnd.MALFORMED: Outcome.TRUNCATED,
}


def ending_of(error: BaseException, *, in_body: bool) -> Ending:
    """The ending that an exception means, by the names of its class and its bases.

    `in_body`: the answer's head had come.
    """
    found = _found(error)
    phase = found.phase or (Phase.STREAM if in_body else Phase.WAIT)
    timer = found.timer or (_TIMER_OF.get(phase) if found.upstream is UpstreamEnd.CUT else None)
    return _ending(found.upstream, phase, timer, in_body=in_body, sent=found.sent)


def ended_by(upstream: UpstreamEnd, *, in_body: bool, timer: TimerKind | None = None) -> Ending:
    """The ending as it looks from outside the client, by how the connection ended."""
    phase = Phase.CONNECT if upstream is UpstreamEnd.REFUSED else Phase.STREAM if in_body else Phase.WAIT
    return _ending(upstream, phase, timer, in_body=in_body)


def _ending(
    upstream: UpstreamEnd, phase: Phase, timer: TimerKind | None, *, in_body: bool, sent: bool = True
) -> Ending:
    outcome = (_OUTCOME_IN_THE_BODY if in_body else _OUTCOME_OF)[upstream]
    return Ending(upstream, outcome, phase, timer, sent)


def _found(error: BaseException) -> _Raised:
    return next((_RAISED[name] for name in _names(error) if name in _RAISED), _ABANDONED)


def _names(error: BaseException) -> list[str]:
    return [kind.__name__ for kind in type(error).__mro__]


# --- a response that ended in good order --------------------------------------------------------------

# The API never answers so; a layer that writes the API's envelope (LiteLLM) does.
_NEVER_THE_APIS: Final = frozenset({408, 499, 502, 504, *range(520, 531)})
_KEPT_CODE: Final = 200  # characters


def outcome_of(
    body: JsonBody | EventBody, status: int, *, unreadable: str = "", images: bool = False
) -> tuple[Outcome, str | None]:
    """The outcome, and its code where no image came.

    `unreadable` says why a packed body could not be read to its end. `images`: images were asked for, and an answer
    without any is a refusal.
    A redirect is whole without an end marker: it was not cut, and its work was not begun there.
    """
    if 300 <= status < 400:
        return Outcome.REJECTED, f"redirect {status}"
    if unreadable and not body.whole:
        code = f"the body cannot be read: {unreadable}"
        return (Outcome.TRUNCATED if status < 400 else Outcome.GATEWAY_ERROR), code[:_KEPT_CODE]
    if body.error is not None and status not in _NEVER_THE_APIS:
        code = str(body.error.get("code") or f"{status} {body.error.get('type')}")
        return Outcome.REJECTED, redact(code)[:_KEPT_CODE]
    if status >= 400:
        return Outcome.GATEWAY_ERROR, str(status)
    if images and isinstance(body, JsonBody) and body.whole and not body.has_image:
        return Outcome.REJECTED, NO_IMAGE
    return (Outcome.DELIVERED, None) if body.whole else (Outcome.TRUNCATED, "no end marker")


# --- what the SDK raised, for the policy --------------------------------------------------------------

_SHOULD: Final = {"true": True, "false": False}
# A whole answer that holds no image: half of one, or none of the API's own objects.
_UNREADABLE: Final = frozenset({"JSONDecodeError", "UnicodeDecodeError", "APIResponseValidationError"})
CUT_STREAM: Final = "StreamCutError"
"""The name of the error for a stream that ended in good order and without its last event."""


def failure_of(error: BaseException, *, in_stream: bool = False) -> Failure | None:
    """What an exception of the SDK's says of its attempt; None for one that ends no attempt: a cancel, a bug."""
    names = frozenset(_names(error))
    if "APIStatusError" in names:
        told: Any = error
        return failure_in(told.response)
    if CUT_STREAM in names or names & _UNREADABLE:
        return Failure(outcome=Outcome.TRUNCATED, status=200)
    if "APIConnectionError" in names:
        return _wire(error.__cause__ or error, timed_out="APITimeoutError" in names, in_stream=in_stream)
    if "APIError" in names:  # an event of the stream
        event: Any = error
        return Failure(outcome=Outcome.REJECTED, status=200, code=event.code, kind=event.type)
    return None if _found(error) is _ABANDONED else _wire(error, timed_out=False, in_stream=in_stream)


def _wire(error: BaseException, *, timed_out: bool, in_stream: bool) -> Failure:
    ending = ending_of(error, in_body=in_stream)
    if not ending.sent:
        return Failure(outcome=Outcome.REFUSED, sent=False)
    return Failure(
        outcome=Outcome.TIMEOUT if timed_out else ending.outcome, status=200 if in_stream else None
    )


def failure_in(response: Any) -> Failure:
    """What an answer of httpx or httpx2 that is no success says of its attempt; its body was read."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    ours = _envelope(response)
    return Failure(
        outcome=Outcome.REJECTED if ours is not None else Outcome.GATEWAY_ERROR,
        status=response.status_code,
        code=_text(ours, "code"),
        kind=_text(ours, "type"),
        retry_after_s=asked_to_wait_s(headers, Clock().epoch_unix_s),
        should_retry=_SHOULD.get(headers.get("x-should-retry", "")),
    )


def _envelope(response: Any) -> Mapping[str, Any] | None:
    """The API's own error object; None for a page that a layer on the way wrote."""
    try:
        return envelope(response.json())
    except (ValueError, RuntimeError):
        return None


def _text(envelope: Mapping[str, Any] | None, key: str) -> str | None:
    value = envelope.get(key) if envelope else None
    return value if isinstance(value, str) else None
