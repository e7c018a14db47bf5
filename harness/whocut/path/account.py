"""What a hop writes down of an exchange: one span, with its own cut in it, when the last byte has gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from whocut.trace import names
from whocut.trace.records import DownstreamEnd, Event, Span, SpanKind, UpstreamEnd, new_span_id, new_trace_id
from whocut.trace.records import parse_traceparent as parse
from whocut.words import format_duration

if TYPE_CHECKING:
    from whocut.chain.timers import Phase, Timer
    from whocut.path.exchange import Exchange


class Account:
    """What is kept of an exchange for its span only; there is none where nobody listens."""

    __slots__ = ("events", "parent_id", "span_id", "trace_id")

    def __init__(self, traceparent: bytes | None) -> None:
        came = parse(traceparent.decode("latin-1")) if traceparent else None
        # A malformed traceparent starts a new trace, as W3C wants it: half a name is no name.
        self.trace_id: str = came[0] if came else new_trace_id()
        self.parent_id: str | None = came[1] if came else None
        self.span_id = new_span_id()
        self.events: list[Event] = []

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

    @property
    def attributes(self) -> dict[str, Any]:
        """The cut as a span or an event tells it."""
        return {
            names.CUT_TIMER: self.timer.kind.value,
            names.CUT_DIRECTIVE: self.timer.named_in(self.phase),
            names.CUT_PHASE: self.phase.value,
            names.CUT_LIMIT_S: self.timer.limit_s,
            names.CUT_AT_S: self.at_s,
        }

    @property
    def phrase(self) -> str:
        """The cut in half a sentence."""
        directive = self.timer.named_in(self.phase)
        return f"cut by {directive} after {format_duration(self.timer.limit_s)}, {self.phase.while_}"


def span_of(exchange: Exchange, account: Account, at_s: float) -> Span:
    """The exchange as a span that ends at `at_s`."""
    hop = exchange.hop
    method = exchange.method.decode("latin-1")
    path = exchange.target.partition(b"?")[0].decode("latin-1")  # a query may hold a key
    attributes: dict[str, Any] = {
        names.POSITION: hop.position,
        names.METHOD: method,
        names.PATH: path,
        names.UPSTREAM_END: exchange.upstream_end.value,
        names.DOWNSTREAM_END: exchange.downstream_end.value,
        names.BYTES_DOWN: exchange.bytes_down,
    }
    known = {
        names.STATUS: exchange.status,
        names.UPSTREAM_END_S: exchange.upstream_end_s,
        names.DOWNSTREAM_END_S: exchange.downstream_end_s,
        names.REQUEST_SENT_S: exchange.sent_s,
        names.FIRST_BYTE_S: exchange.first_byte_s,
        names.LAST_BYTE_S: exchange.last_byte_s,
    }
    attributes |= {name: value for name, value in known.items() if value is not None}
    if exchange.first_byte_s is not None:
        attributes[names.LARGEST_GAP_S] = exchange.largest_gap_s
    if hop.tap is not None:
        attributes |= hop.tap.attributes
    if exchange.tries > 1:
        attributes[names.RESEND_COUNT] = exchange.tries - 1
    cut = exchange.cut
    if cut is not None:
        attributes |= cut.attributes
        account.events.append(Event("cut", cut.at_s, cut.attributes))
    return Span(
        trace_id=account.trace_id,
        span_id=account.span_id,
        parent_id=account.parent_id,
        layer=hop.layer.name,
        kind=SpanKind.HOP,
        name=f"{method} {path}",
        start_s=exchange.accepted_s,
        end_s=at_s,
        attributes=attributes,
        events=account.events,
        error=_error(exchange),
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
