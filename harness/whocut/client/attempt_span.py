"""The client's span of one attempt, made of its record: of a client that we are, or of one that we only watch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from whocut.trace import names
from whocut.trace.records import DownstreamEnd, Event, Outcome, Span, SpanKind, UpstreamEnd

if TYPE_CHECKING:
    from whocut.trace.records import Attempt

_FINE: Final = frozenset({Outcome.DELIVERED, Outcome.CENSORED})
# What the client's caller got, by how the other side of the attempt ended.
_DOWNSTREAM: Final = {
    UpstreamEnd.NONE: DownstreamEnd.OWN_ANSWER,
    UpstreamEnd.COMPLETE: DownstreamEnd.ANSWERED,
    UpstreamEnd.ABANDONED: DownstreamEnd.LEFT,
    UpstreamEnd.CUT: DownstreamEnd.OWN_ANSWER,
    UpstreamEnd.GONE: DownstreamEnd.OWN_ANSWER,
    UpstreamEnd.CLOSED: DownstreamEnd.TRUNCATED,
    UpstreamEnd.RESET: DownstreamEnd.TRUNCATED,
    UpstreamEnd.REFUSED: DownstreamEnd.OWN_ANSWER,
    UpstreamEnd.MALFORMED: DownstreamEnd.TRUNCATED,
}


def attempt_span(
    record: Attempt,
    *,
    layer: str,
    asked: tuple[str, str],
    parent_id: str | None,
    end_s: float,
    upstream: UpstreamEnd | None,
    last_byte_s: float | None,
    limit_s: float | None,
) -> Span:
    """`asked`: method and path. `upstream` None: the attempt is still under way at `end_s`.

    `limit_s` is how long the timer was that the record names; it means nothing where it names none.
    """
    method, path = asked
    attributes: dict[str, Any] = {
        names.POSITION: 0,
        names.REQUEST: record.request,
        names.ATTEMPT: record.number,
        names.RESEND_COUNT: record.number - 1,
        names.MODE: record.mode,
        names.OUTCOME: str(record.outcome),
        names.METHOD: method,
        names.PATH: path,
        names.STATUS: record.status,
        names.ERROR_TYPE: record.error,
        names.FIRST_BYTE_S: record.first_byte_s,
        names.LAST_BYTE_S: last_byte_s,
        names.BODY_HEAD: record.body_head,
        **{f"{names.RESPONSE_HEADER}{name}": [value] for name, value in record.headers.items()},
        names.LARGEST_GAP_S: record.largest_gap_s,
        names.BYTES_DOWN: record.bytes,
    }
    events = [Event("image event", at_s) for at_s in record.arrivals_s]
    if upstream is not None:
        attributes |= {
            names.UPSTREAM_END: str(upstream),
            names.UPSTREAM_END_S: end_s,
            names.DOWNSTREAM_END: str(_DOWNSTREAM[upstream]),
            names.DOWNSTREAM_END_S: end_s,
        }
    if record.timer is not None:
        attributes |= {
            names.CUT_TIMER: record.timer,
            names.CUT_DIRECTIVE: record.directive,
            names.CUT_PHASE: record.phase,
            names.CUT_LIMIT_S: limit_s,
            names.CUT_AT_S: end_s,
        }
        events.append(Event("cut", end_s, {names.CUT_TIMER: record.timer}))
    return Span(
        trace_id=record.trace_id,
        span_id=record.span_id,
        parent_id=parent_id,
        layer=layer,
        kind=SpanKind.ATTEMPT,
        name=f"{method} {path}",
        start_s=record.started_s,
        end_s=end_s,
        attributes={key: value for key, value in attributes.items() if value is not None},
        events=events,
        error=None if record.outcome in _FINE else record.error or str(record.outcome),
    )
