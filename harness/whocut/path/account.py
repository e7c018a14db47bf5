"""What a hop writes down of an exchange: one span, with its own cut in it, when the last byte has gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from whocut.chain.durations import format_duration
from whocut.trace.records import Cut as CutRecord
from whocut.trace.records import DownstreamEnd, Event, LayerRecord, UpstreamEnd, new_span_id, new_trace_id
from whocut.trace.records import parse_traceparent as parse

if TYPE_CHECKING:
    from whocut.chain.timers import Phase, Timer
    from whocut.path.exchange import Exchange


class Account:
    """What is kept of an exchange for its span only; there is none where nobody listens."""

    __slots__ = ("cut_tries", "events", "parent_id", "span_id", "trace_id")

    def __init__(self, traceparent: bytes | None) -> None:
        came = parse(traceparent.decode("latin-1")) if traceparent else None
        # A malformed traceparent starts a new trace, as W3C wants it: half a name is no name.
        self.trace_id: str = came[0] if came else new_trace_id()
        self.parent_id: str | None = came[1] if came else None
        self.span_id = new_span_id()
        self.events: list[Event] = []
        self.cut_tries: list[CutRecord] = []

    @property
    def traceparent(self) -> bytes:
        """What goes on to the next layer: this hop's span is the parent there."""
        return f"00-{self.trace_id}-{self.span_id}-01".encode()


class Cut:
    """A timer of ours that fired: which, when, and where the exchange stood."""

    __slots__ = ("at_s", "phase", "timer")

    def __init__(self, timer: Timer, phase: Phase, at_s: float) -> None:
        self.timer = timer
        self.phase = phase
        self.at_s = at_s

    def record(self) -> CutRecord:
        """The cut as a span tells it."""
        return CutRecord(
            timer=self.timer.kind,
            directive=self.timer.named_in(self.phase),
            phase=self.phase,
            limit_s=self.timer.limit_s,
            at_s=self.at_s,
        )

    @property
    def phrase(self) -> str:
        """The cut in half a sentence."""
        directive = self.timer.named_in(self.phase)
        return f"cut by {directive} after {format_duration(self.timer.limit_s)}, {self.phase.while_}"


def span_of(exchange: Exchange, account: Account, at_s: float) -> LayerRecord:
    """The exchange as a span that ends at `at_s`."""
    hop = exchange.hop
    method = exchange.method.decode("latin-1")
    path = exchange.target.partition(b"?")[0].decode("latin-1")  # a query may hold a key
    return LayerRecord(
        trace_id=account.trace_id,
        span_id=account.span_id,
        parent_id=account.parent_id,
        layer=hop.layer.name,
        name=f"{method} {path}",
        start_s=exchange.accepted_s,
        end_s=at_s,
        events=account.events,
        error=_error(exchange),
        position=hop.position,
        method=method,
        path=path,
        upstream=exchange.upstream_end,
        upstream_s=exchange.upstream_end_s,
        downstream=exchange.downstream_end,
        downstream_s=exchange.downstream_end_s,
        request_sent_s=exchange.sent_s,
        first_byte_s=exchange.first_byte_s,
        last_byte_s=exchange.last_byte_s,
        largest_gap_s=exchange.largest_gap_s if exchange.first_byte_s is not None else None,
        status=exchange.status,
        bytes_down=exchange.bytes_down,
        cut=exchange.cut.record() if exchange.cut is not None else None,
        cut_tries=account.cut_tries,
        resent=exchange.tries - 1 or None,
        tap=hop.tap.side if hop.tap is not None else None,
        tap_lazy_s=hop.tap.lazy_s or None if hop.tap is not None else None,
    )


def _error(exchange: Exchange) -> str | None:
    if exchange.cut is not None:
        return exchange.cut.phrase
    if exchange.upstream_end.by_them:
        return f"the upstream's side: {exchange.upstream_end}"
    if exchange.downstream_end is DownstreamEnd.LEFT:
        return "the caller left"
    if exchange.upstream_end is not UpstreamEnd.COMPLETE:
        return "ended before the response was whole"
    return None
