"""What a layer writes down of an exchange: its facts while it runs, and one span when the last byte has gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from whocut.trace.ordinary import Form, path_of
from whocut.trace.records import Cut as CutRecord
from whocut.trace.records import DownstreamEnd, Event, LayerRecord, UpstreamEnd, new_span_id, new_trace_id
from whocut.trace.records import parse_traceparent as parse

if TYPE_CHECKING:
    from whocut.chain.timers import Phase, Timer
    from whocut.trace.ordinary import Row
    from whocut.trace.records import TapSide

# Python 3.11 looks a member up in its enum in 0.12 µs, and every exchange begins with these.
_NOT_ASKED, _COMPLETE = UpstreamEnd.NONE, UpstreamEnd.COMPLETE
_OPEN, _ANSWERED = DownstreamEnd.NONE, DownstreamEnd.ANSWERED


class Lineage:
    """Whose child the span is, and what happened inside it; kept only where spans are collected."""

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
        """What is handed on to the next layer: this span is the parent there."""
        return f"00-{self.trace_id}-{self.span_id}-01".encode()


class Cut:
    """A timer of ours that fired: which, when, and in which phase of the exchange."""

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


class Facts:
    """One exchange in model seconds and bytes, as far as it has come. `lineage` is None where no span is wanted."""

    __slots__ = (
        "accepted_s",
        "bytes_down",
        "cut",
        "downstream_end",
        "downstream_end_s",
        "first_byte_s",
        "head_bytes",
        "largest_gap_s",
        "last_byte_s",
        "lineage",
        "method",
        "sent_s",
        "status",
        "target",
        "tries",
        "upstream_end",
        "upstream_end_s",
    )

    def __init__(self, method: bytes, target: bytes, accepted_s: float, lineage: Lineage | None) -> None:
        self.method = method
        self.target = target
        self.accepted_s = accepted_s
        self.lineage = lineage
        self.tries = 1
        self.sent_s: float | None = None  # all of the request is in the kernel's hands
        self.first_byte_s: float | None = None
        self.last_byte_s: float | None = None
        self.largest_gap_s = 0.0
        self.status: int | None = None
        self.bytes_down = 0  # head and body, with their framing
        self.head_bytes = 0
        self.cut: Cut | None = None
        self.upstream_end = _NOT_ASKED
        self.upstream_end_s: float | None = None
        self.downstream_end = _OPEN
        self.downstream_end_s: float | None = None

    def byte_came(self, now_s: float) -> bool:
        """Note bytes of the response; whether they are its first."""
        first = self.first_byte_s is None
        if first:
            self.first_byte_s = now_s
        elif self.last_byte_s is not None and now_s - self.last_byte_s > self.largest_gap_s:
            self.largest_gap_s = now_s - self.last_byte_s
        self.last_byte_s = now_s
        return first

    def upstream_ended(self, how: UpstreamEnd, at_s: float) -> None:
        """Note how and when the side towards the model ended."""
        self.upstream_end = how
        self.upstream_end_s = at_s

    def downstream_ended(self, how: DownstreamEnd, at_s: float) -> None:
        """Note how and when the side towards the caller ended."""
        self.downstream_end = how
        if how is not _OPEN:
            self.downstream_end_s = at_s

    def note(self, name: str, at_s: float, **attributes: str) -> None:
        """Note an event inside the span."""
        if self.lineage is not None:
            self.lineage.events.append(Event(name, at_s, dict(attributes)))


@dataclass(frozen=True, slots=True)
class Place:
    """Where the account is written: the layer's name, its position from the client (0), and the side of a tap.

    `clock` names the clock of its instants, where that is not the run's.
    """

    layer: str
    position: int
    side: TapSide | None = None
    lazy_s: float = 0.0
    clock: str | None = None

    def form(self) -> Form:
        """The span of an ordinary exchange here, to be filled in."""
        return Form(self.layer, self.position, side=self.side, lazy_s=self.lazy_s or None, clock=self.clock)


def row_of(facts: Facts, lineage: Lineage, at_s: float) -> Row | None:
    """An ordinary exchange that ends at `at_s`; None where it needs a span of its own making."""
    if (
        facts.upstream_end is not _COMPLETE
        or facts.downstream_end is not _ANSWERED
        or facts.cut is not None
        or facts.tries != 1
        or lineage.events
        or lineage.cut_tries
        or facts.upstream_end_s is None
        or facts.sent_s is None
        or facts.first_byte_s is None
        or facts.last_byte_s is None
        or facts.status is None
    ):
        return None
    return (
        lineage.trace_id,
        lineage.span_id,
        lineage.parent_id,
        facts.method,
        facts.target,
        facts.accepted_s,
        facts.upstream_end_s,
        at_s,
        facts.sent_s,
        facts.first_byte_s,
        facts.last_byte_s,
        facts.largest_gap_s,
        facts.status,
        max(0, facts.bytes_down - facts.head_bytes),
    )


def span_of(facts: Facts, lineage: Lineage, place: Place, at_s: float) -> LayerRecord:
    """The exchange as a span that ends at `at_s`."""
    method = facts.method.decode("latin-1")
    path = path_of(facts.target)
    return LayerRecord(
        trace_id=lineage.trace_id,
        span_id=lineage.span_id,
        parent_id=lineage.parent_id,
        layer=place.layer,
        name=f"{method} {path}",
        start_s=facts.accepted_s,
        end_s=at_s,
        events=lineage.events,
        error=_error(facts),
        position=place.position,
        method=method,
        path=path,
        upstream=facts.upstream_end,
        upstream_s=facts.upstream_end_s,
        downstream=facts.downstream_end,
        downstream_s=facts.downstream_end_s,
        request_sent_s=facts.sent_s,
        first_byte_s=facts.first_byte_s,
        last_byte_s=facts.last_byte_s,
        largest_gap_s=facts.largest_gap_s if facts.first_byte_s is not None else None,
        status=facts.status,
        bytes_down=max(0, facts.bytes_down - facts.head_bytes),
        cut=facts.cut.record() if facts.cut is not None else None,
        cut_tries=lineage.cut_tries,
        resent=facts.tries - 1 or None,
        tap=place.side,
        tap_lazy_s=place.lazy_s or None,
        clock=place.clock,
    )


def _error(facts: Facts) -> str | None:
    if facts.cut is not None:
        return facts.cut.record().words
    if facts.upstream_end.by_them:
        return f"the upstream's side: {facts.upstream_end}"
    if facts.downstream_end is DownstreamEnd.LEFT:
        return "the caller left"
    if facts.upstream_end is not UpstreamEnd.COMPLETE:
        return "ended before the response was whole"
    return None
