"""The client's span of one attempt, made of its record: of a client that we are, or of one that we only watch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whocut.chain.timers import Phase, TimerKind
from whocut.trace.records import AttemptRecord, Cut, DownstreamEnd, Event, Outcome, UpstreamEnd

if TYPE_CHECKING:
    from whocut.trace.records import Attempt

_FINE: Final = frozenset({Outcome.DELIVERED, Outcome.CENSORED, Outcome.ACCEPTED})
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
) -> AttemptRecord:
    """`asked`: method and path. `upstream` None: the attempt is still under way at `end_s`.

    `limit_s` is how long the timer was that the record names; it means nothing where it names none.
    """
    method, path = asked
    ended_s = None if upstream is None else end_s
    return AttemptRecord(
        trace_id=record.trace_id,
        span_id=record.span_id,
        parent_id=parent_id,
        layer=layer,
        name=f"{method} {path}",
        start_s=record.started_s,
        end_s=end_s,
        events=[Event("image event", at_s) for at_s in record.arrivals_s],
        error=None if record.outcome in _FINE else record.error or str(record.outcome),
        method=method,
        path=path,
        upstream=upstream or UpstreamEnd.NONE,
        upstream_s=ended_s,
        downstream=_DOWNSTREAM[upstream] if upstream is not None else DownstreamEnd.NONE,
        downstream_s=ended_s,
        first_byte_s=record.first_byte_s,
        last_byte_s=last_byte_s,
        largest_gap_s=record.largest_gap_s,
        status=record.status,
        bytes_down=record.bytes,
        cut=_cut_of(record, limit_s, end_s),
        request=record.request,
        number=record.number,
        mode=record.mode,
        outcome=record.outcome,
        error_code=record.error,
        headers=record.headers,
        body_head=record.body_head,
    )


def _cut_of(record: Attempt, limit_s: float | None, at_s: float) -> Cut | None:
    if record.timer is None or record.phase is None or limit_s is None:
        return None
    return Cut(
        timer=TimerKind(record.timer),
        directive=record.directive or record.timer,
        phase=Phase(record.phase),
        limit_s=limit_s,
        at_s=at_s,
    )
