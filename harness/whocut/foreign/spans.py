"""Spans that are not ours, read as testimony: what HTTP's semantic conventions let a layer say of itself.

A layer is a service; its server span is its side towards the caller, the client spans under it are its tries
towards the model. An attempt is an outermost HTTP span. Spans can lie as logs do (Caddy's span of a 504 says 200; a
span that was cancelled looks healthy), so that nothing here is proven.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from whocut.chain.timers import Phase, TimerKind
from whocut.trace import names
from whocut.trace.lean import Asked
from whocut.trace.logs.envoy import flag_meaning
from whocut.trace.logs.records import Account, EndedBy, Signal, as_account

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from whocut.trace.lean import Own
    from whocut.trace.records import ForeignSpan

_TIMED_OUT: Final = re.compile(r"(?i)time_?-?d?[ _-]?out|deadline[ _-]?exceeded|timeout")
_LEFT: Final = re.compile(r"(?i)cancel|client[ _-]?(?:disconnect|closed)|broken pipe|aborted by")
_CONNECTING: Final = re.compile(r"(?i)connect[ _-]?timeout|dial")
_ENDED: Final = re.compile(
    r"(?i)reset|refused|closed|disconnect|eof|hang up|protocol|incomplete|payload|terminated"
)
_STATUS: Final = (names.STATUS, "http.status_code")
_METHOD: Final = (names.METHOD, "http.method", "rpc.method", names.GENAI_OPERATION)
_REQUEST_IDS: Final = ("http.request.header.x-request-id", "guid:x-request-id", "http.request_id")
_FLAGS: Final = "response_flags"
_EXCEPTION, _EXCEPTION_TYPE, _EXCEPTION_MESSAGE = "exception", "exception.type", "exception.message"
_OF_A_WORD: Final = 200  # characters of what a span says went wrong
_DEEPEST: Final = 64
# All that is read here of a span, beside its ids, its instants, its service and its kind.
ASKED: Final = Asked(
    deciding=frozenset({*_STATUS, *_METHOD, names.ERROR_TYPE, _FLAGS}),
    own=frozenset({*_REQUEST_IDS, names.PATH}),
    worded=frozenset({names.ERROR_TYPE}),
    event=_EXCEPTION,
    of_event=frozenset({_EXCEPTION_TYPE, _EXCEPTION_MESSAGE}),
    longest=_OF_A_WORD,
)

_CLIENT, _LAYER, _UPSTREAM, _NONE, _UNSAID = (
    EndedBy.CLIENT,
    EndedBy.LAYER,
    EndedBy.UPSTREAM,
    EndedBy.NONE,
    EndedBy.UNSAID,
)
_WAIT, _STREAM = Phase.WAIT, Phase.STREAM
_NO_CONNECTION = Signal(
    "connect", _LAYER, Phase.CONNECT, TimerKind.CONNECT, "connect timeout", "it did not connect"
)
_GAVE_UP = Signal(
    "wait", _LAYER, _WAIT, TimerKind.FIRST_BYTE, "timeout", "its call timed out before the response's head"
)
_GAVE_UP_IN_BODY = Signal(
    "body", _LAYER, _STREAM, TimerKind.IDLE, "timeout", "its call timed out in mid-response"
)
_CALLER_LEFT = Signal("left", _CLIENT, None, says="it was cancelled: its caller left")
_ENDED_ON_IT = Signal("ended", _UPSTREAM, _WAIT, says="its call ended before the response's head")
_ENDED_IN_BODY = Signal("ended", _UPSTREAM, _STREAM, says="its call ended in mid-response")
_RELAYED = Signal("relayed", _UPSTREAM, _WAIT, says="its upstream answered so")
_OWN_504 = Signal(
    "own", _LAYER, _WAIT, TimerKind.FIRST_BYTE, "timeout", "it answered 504 while its call had no answer"
)
_OPEN = Signal("open", _UNSAID, says="its span does not say whether the status is its own")
_WHOLE = Signal("whole", _NONE, says="no layer, as far as its span knows")


@dataclass(frozen=True, slots=True)
class Leg:
    """One layer's part in one attempt; `depth` 0 is the client."""

    attempt: str
    depth: int
    account: Account
    span_ids: tuple[str, ...]


def legs_of(spans: Iterable[ForeignSpan]) -> list[Leg]:
    """Every layer's account of every attempt in these spans, the outermost first."""
    by_id = {(span.trace_id, span.span_id): span for span in spans}
    http = {
        key: span for key, span in by_id.items() if _side(span) and _first(span, _METHOD, _STATUS) is not None
    }
    inner: dict[tuple[str, str], list[ForeignSpan]] = {}
    roots = []
    for key, span in http.items():
        above = _above(span, by_id, http)
        if above is None:
            roots.append(span)
        else:
            inner.setdefault(above, []).append(span)
        del key
    for below in inner.values():
        below.sort(key=lambda span: span.start_s)
    return [leg for root in sorted(roots, key=lambda span: span.start_s) for leg in _legs(root, inner)]


def _legs(root: ForeignSpan, inner: dict[tuple[str, str], list[ForeignSpan]]) -> Iterator[Leg]:
    span: ForeignSpan | None = root
    depth = 0 if _side(root) == "client" else 1
    for _ in range(_DEEPEST):
        if span is None:
            return
        below = inner.get((span.trace_id, span.span_id), [])
        call: ForeignSpan | None = None
        server: ForeignSpan | None = None
        if _side(span) == "client":
            call = span
            behind = [one for one in below if _side(one) == "server"]
        else:
            calls = [one for one in below if _side(one) == "client"]
            call, server = (calls[-1] if calls else None), span
            under = inner.get((call.trace_id, call.span_id), []) if call else below
            behind = [one for one in under if _side(one) == "server"]
        used = tuple(one.span_id for one in (server, call) if one is not None)
        yield Leg(root.span_id, depth, _account(server, call, behind), used)
        span = behind[-1] if behind else None
        depth += 1


def _above(
    span: ForeignSpan, by_id: dict[tuple[str, str], ForeignSpan], http: dict[tuple[str, str], ForeignSpan]
) -> tuple[str, str] | None:
    parent_id = span.parent_id
    for _ in range(_DEEPEST):
        if parent_id is None:
            return None
        key = (span.trace_id, parent_id)
        if key in http:
            return key
        parent = by_id.get(key)
        parent_id = parent.parent_id if parent else None
    return None


def _account(server: ForeignSpan | None, call: ForeignSpan | None, behind: list[ForeignSpan]) -> Account:
    own = server or call
    assert own is not None
    signal = _meaning(server, call, behind)
    status = _status(own)
    phase = signal.phase or (_STREAM if signal.ended_by is _CLIENT and status and status < 400 else _WAIT)
    words = [f"{_side(span)} span {_status(span) or 'without a status'}" for span in (server, call) if span]
    problems = [problem for span in (server, call) if span and (problem := _problem(span))]
    return as_account(
        signal,
        signal=", ".join([*words, *dict.fromkeys(problems)]),
        phase=phase if signal.ended_by not in {_NONE, _UNSAID} else None,
        layer=own.layer,
        status=status,
        end_s=own.end_s,
        duration_s=own.end_s - own.start_s,
        trace_id=own.trace_id,
        parent_id=own.parent_id,
        request_id=request_id_of(own.attributes),
        path=_text(own.attributes.get(names.PATH)),
        place=place_of(own.span_id),
    )


def _meaning(server: ForeignSpan | None, call: ForeignSpan | None, behind: list[ForeignSpan]) -> Signal:
    for span in (server, call):
        flags = span.attributes.get(_FLAGS) if span else None
        if isinstance(flags, str) and (by_flag := flag_meaning(flags)) is not None:
            return by_flag
    if call is not None and (by_call := _by_call(call)) is not None:
        return by_call
    status = _status(server) if server else None
    problem = _problem(server) if server else ""
    if status == 499 or (_LEFT.search(problem) and (status is None or status < 500)):
        return _CALLER_LEFT
    if status is not None and status >= 500:
        if call is not None and _status(call) is None and status == 504:
            return _OWN_504
        inside = _status(behind[-1]) if behind else None
        return _RELAYED if inside == status else _OPEN
    return _WHOLE


def _by_call(call: ForeignSpan) -> Signal | None:
    """What a layer's own call says of how it ended; None where it looks healthy."""
    problem, status = _problem(call), _status(call)
    begun = status is not None and status < 400
    if _TIMED_OUT.search(problem) and not problem.isdigit():
        if _CONNECTING.search(problem):
            return _NO_CONNECTION
        return _GAVE_UP_IN_BODY if begun else _GAVE_UP if status is None else _RELAYED
    if status is not None and status >= 500:
        return _RELAYED
    if _LEFT.search(problem):
        return _CALLER_LEFT
    if _ENDED.search(problem):
        return _ENDED_IN_BODY if begun else _ENDED_ON_IT
    return None


def _problem(span: ForeignSpan) -> str:
    """What a span says went wrong: `error.type`, its status' message, its exceptions."""
    words = [span.attributes.get(names.ERROR_TYPE), span.error]
    for event in span.events:
        if event.name == _EXCEPTION:
            words += [event.attributes.get(_EXCEPTION_TYPE), event.attributes.get(_EXCEPTION_MESSAGE)]
    return " ".join(dict.fromkeys(str(word)[:_OF_A_WORD] for word in words if word and word != "error"))


def _side(span: ForeignSpan) -> str | None:
    return span.side if span.side in {"server", "client"} else None


def _status(span: ForeignSpan) -> int | None:
    status = _first(span, _STATUS)
    try:
        return int(status) or None
    except (TypeError, ValueError, OverflowError):
        return None


def place_of(span_id: str) -> str:
    """Where a span's word is found."""
    return f"span {span_id}"


def request_id_of(attributes: Mapping[str, Any]) -> str | None:
    """The id that a span's request has on its way, beside its trace's."""
    return _text(next((attributes[key] for key in _REQUEST_IDS if key in attributes), None))


def own_request_id(own: Own) -> str | None:
    """The same of a span's own attributes, most of which are a path alone."""
    return None if all(key == names.PATH for key, _ in own) else request_id_of(dict(own))


def _first(span: ForeignSpan, *keys: tuple[str, ...]) -> Any:
    return next((span.attributes[key] for group in keys for key in group if key in span.attributes), None)


def _text(value: Any) -> str | None:
    return (", ".join(map(str, value)) if isinstance(value, list) else str(value)) if value else None
