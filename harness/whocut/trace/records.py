"""Plain data: what every layer writes down of a request, before anyone judges it.

Instants are model seconds since the start of the run; durations end in `_s` too. A record knows no sockets
and no OpenTelemetry: the doing arm fills it, `otlp` writes it, `verdict` reads it. Every span is a record:

=================  ==========================================================================
record             tells of
=================  ==========================================================================
RequestRecord      what the caller wants
LayerRecord        one attempt, as a layer that forwards saw it at both of its edges
AttemptRecord      the same, as the client saw it: the outermost layer, at position 0
GenerationRecord   the work behind an attempt, by the upstream's account
DeathRecord        the death of a layer, in the middle of a run
ForeignSpan        what another program wrote: attributes, and no edges
=================  ==========================================================================
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

from whocut.trace.emissions import Emissions
from whocut.words import format_duration

if TYPE_CHECKING:
    from whocut.chain.timers import Phase, TimerKind

AttributeValue = str | int | float | bool | list[str] | list[float]


class SpanKind(StrEnum):
    """What a span tells of: from the outermost to the innermost."""

    REQUEST = "request"  # what the caller wants
    ATTEMPT = "attempt"  # one try on the wire, as the client saw it
    HOP = "hop"  # the same try, as a layer that forwards saw it
    GENERATION = "generation"  # the work behind it; may outlive its parent, and on purpose
    DEATH = "death"  # of a layer, in the middle of a run: an instant, and no request
    FOREIGN = "foreign"  # not ours


class TapSide(StrEnum):
    """The side of a tap beside a real gateway, which writes no span of its own."""

    OUTSIDE = "outside"  # towards the caller
    INSIDE = "inside"  # towards the model
    ALONE = "alone"  # where its user put it; its neighbours are not known


class UpstreamEnd(StrEnum):
    """How a layer's side towards the model ended."""

    COMPLETE = "complete"  # the response came whole
    CUT = "cut"  # we ended it: a timer of ours fired
    ABANDONED = "abandoned"  # we ended it: our caller had gone
    GONE = "gone"  # we ended it, and neither by a timer nor after our caller: the layer died, or gave up
    CLOSED = "closed"  # they ended it with a close, before the response was whole
    RESET = "reset"  # they ended it with a reset
    REFUSED = "refused"  # the connection was not taken
    MALFORMED = "malformed"  # what came is not HTTP
    NONE = "none"  # we never turned to them

    @property
    def by_us(self) -> bool:
        """Whether this layer ended it."""
        return self in {UpstreamEnd.CUT, UpstreamEnd.ABANDONED, UpstreamEnd.GONE}

    @property
    def by_them(self) -> bool:
        """Whether the neighbour towards the model ended it before the response was whole."""
        return self in {UpstreamEnd.CLOSED, UpstreamEnd.RESET, UpstreamEnd.REFUSED, UpstreamEnd.MALFORMED}


class DownstreamEnd(StrEnum):
    """How a layer's side towards the caller ended."""

    ANSWERED = "answered"  # the upstream's response went down whole
    OWN_ANSWER = "own_answer"  # we answered ourselves: 504, 502, 408 …
    TRUNCATED = "truncated"  # we ended the response in mid-body
    LEFT = "left"  # they went first
    NONE = "none"  # still open when the record was written


class Outcome(StrEnum):
    """What the client saw at the end of an attempt or a request."""

    DELIVERED = "delivered"
    REJECTED = "rejected"  # the API itself said no
    TIMEOUT = "timeout"  # a timer of the client's own
    GATEWAY_ERROR = "gateway_error"  # a page of a layer on the path
    RESET = "reset"
    TRUNCATED = "truncated"
    REFUSED = "refused"  # the connection was not taken
    CENSORED = "censored"  # still under way when the run ended: never seen to its end
    ACCEPTED = "accepted"  # a part of a job came whole, and the job's image is still to come

    @property
    def unknown(self) -> bool:
        """Whether the work may have been done, and billed, although no image came."""
        return self in {Outcome.TIMEOUT, Outcome.GATEWAY_ERROR, Outcome.RESET, Outcome.TRUNCATED}


class Part(StrEnum):
    """The parts of a job on the wire: an attempt each, and only a second submit is a retry."""

    UPLOAD = "upload"  # what the submit will name
    SUBMIT = "submit"
    POLL = "poll"  # asking whether it is done, and taking the image where it is
    CANCEL = "cancel"


NO_IMAGE = "no image in the answer"
"""The error of an attempt whose answer was whole and good, and had no image in it."""


CALLER_LEFT = "downstream.left"
"""The event of a layer whose caller has gone, whether or not the layer itself takes notice."""
FAILED = "hop.failed"
"""The event of a hop of ours whose code raised an error."""


@dataclass(slots=True)
class Event:
    """An instant inside a span."""

    name: str
    at_s: float
    attributes: dict[str, AttributeValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A layer's own word that a timer of its fired, in which phase of the exchange, and when."""

    timer: TimerKind
    directive: str
    phase: Phase
    limit_s: float
    at_s: float

    @property
    def words(self) -> str:
        """The cut as a span's error has it: ``cut by proxy_read_timeout after 60 s, while waiting``."""
        return f"cut by {self.directive} after {format_duration(self.limit_s)}, {self.phase.while_}"


@dataclass(slots=True, kw_only=True)
class Span:
    """What all records have: whose account it is, of which trace, and from when to when."""

    kind: ClassVar[SpanKind]

    trace_id: str
    span_id: str
    parent_id: str | None
    layer: str
    name: str
    start_s: float
    end_s: float
    events: list[Event] = field(default_factory=list)
    error: str | None = None

    def move(self, by_s: float) -> None:
        """Move what every span has on the calendar: start, end and events."""
        self.start_s += by_s
        self.end_s += by_s
        for event in self.events:
            event.at_s += by_s

    def move_own(self, by_s: float) -> None:
        """Move the instants that only this kind of record has."""


@dataclass(slots=True, kw_only=True)
class RequestRecord(Span):
    """What the caller wants, from its first attempt to its last."""

    kind: ClassVar[SpanKind] = SpanKind.REQUEST

    request: str
    mode: str
    outcome: Outcome


@dataclass(slots=True, kw_only=True)
class LayerRecord(Span):
    """One layer's account of one attempt: both of its edges, upstream (towards the model) and downstream.

    `position` grows towards the model; 0 is the client. `bytes_down` are the body's, without framing. A gateway's
    record is put together from its two taps (`gateway` names the product); nothing of it is the gateway's own word.
    """

    kind: ClassVar[SpanKind] = SpanKind.HOP

    position: int = 0
    method: str | None = None
    path: str | None = None
    upstream: UpstreamEnd = UpstreamEnd.NONE
    downstream: DownstreamEnd = DownstreamEnd.NONE
    upstream_s: float | None = None
    downstream_s: float | None = None
    request_sent_s: float | None = None
    first_byte_s: float | None = None
    last_byte_s: float | None = None
    largest_gap_s: float | None = None
    status: int | None = None
    bytes_down: int | None = None
    cut: Cut | None = None
    cut_tries: list[Cut] = field(
        default_factory=list
    )  # timers that fired, and the layer asked again by itself
    gone: str | None = None  # why it ended a request by no timer of its own: it died, or gave up
    resent: int | None = None  # how many times it asked again by itself
    clock: str | None = None  # the clock of its instants; None is the run's, which all its layers share
    tap: TapSide | None = None
    tap_lazy_s: float | None = None  # how much too early the gateway's timers may fire in a live stream
    gateway: str | None = None
    stretched: float = 1.0  # how many of the run's seconds passed in one of its own: see `stretch`

    @property
    def after_s(self) -> float | None:
        """From acceptance to the layer's own cut, on the layer's own clock."""
        return self.cut.at_s - self.start_s if self.cut else None

    @property
    def caller_left_s(self) -> float | None:
        """When its caller left; a hop writes that down even where the layer itself is blind to it."""
        return next((event.at_s for event in self.events if event.name == CALLER_LEFT), None)

    @property
    def caller_went_first(self) -> bool:
        """Whether this layer's caller ended the link before the layer did, as the layer saw it."""
        return self.downstream is DownstreamEnd.LEFT

    @property
    def fell(self) -> str | None:
        """Why it ended a request by no timer of its own: it died, gave up, or its code failed."""
        if self.gone is None and any(event.name == FAILED for event in self.events):
            return "it failed"
        return self.gone

    @property
    def by_taps(self) -> bool:
        """Whether this is a real gateway, seen by the taps beside it."""
        return self.gateway is not None

    def move_own(self, by_s: float) -> None:
        """Move both ends, the cut, and when bytes came and went."""
        for name in _LAYER_INSTANTS:
            at_s = getattr(self, name)
            if at_s is not None:
                setattr(self, name, at_s + by_s)
        if self.cut is not None:
            self.cut = replace(self.cut, at_s=self.cut.at_s + by_s)
        self.cut_tries = [replace(cut, at_s=cut.at_s + by_s) for cut in self.cut_tries]

    def stretch(self, by: float) -> None:
        """Put real seconds onto a scaled clock: instants and durations of a layer that has no timers."""
        self.start_s *= by
        self.end_s *= by
        for event in self.events:
            event.at_s *= by
        for name in (*_LAYER_INSTANTS, "largest_gap_s", "tap_lazy_s"):
            at_s = getattr(self, name)
            if at_s is not None:
                setattr(self, name, at_s * by)
        self.stretched *= by


_LAYER_INSTANTS = ("upstream_s", "downstream_s", "request_sent_s", "first_byte_s", "last_byte_s")


@dataclass(slots=True, kw_only=True)
class AttemptRecord(LayerRecord):
    """One attempt as the client saw it. `headers` and `body_head` are kept only where no image came."""

    kind: ClassVar[SpanKind] = SpanKind.ATTEMPT

    request: str
    number: int = 1
    mode: str = ""
    outcome: Outcome = Outcome.CENSORED
    error_code: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body_head: str | None = None


@dataclass(slots=True, kw_only=True)
class GenerationRecord(Span):
    """One generation, or one refusal, by the upstream's account.

    `events_s`, `first_byte_s` and `heartbeat_s` say when its answer's bytes went out, or would have: see `sent`.
    `lost` says how the result of a job was lost, in the ledger's word, and `lost_s` when.
    """

    kind: ClassVar[SpanKind] = SpanKind.GENERATION

    generation: str
    model: str | None = None
    status: int | None = None
    error_code: str | None = None
    caller_gone_s: float | None = None
    delivered: bool = False
    orphaned: bool = False
    orphaned_s: float | None = None
    billed: bool = False
    billed_usd: float | None = None
    fault: str | None = None
    refused: bool = False
    settled: bool = True
    events_s: tuple[float, ...] = ()
    first_byte_s: float | None = None
    heartbeat_s: float | None = None
    lost: str | None = None
    lost_s: float | None = None

    @property
    def sent(self) -> Emissions:
        """When its answer's bytes went out, or would have gone out."""
        return Emissions(
            start_s=self.start_s,
            events_s=self.events_s,
            first_s=self.first_byte_s,
            heartbeat_s=self.heartbeat_s,
        )

    def move_own(self, by_s: float) -> None:
        """Move the answer's instants, and that at which its caller had gone."""
        self.events_s = tuple(at_s + by_s for at_s in self.events_s)
        if self.first_byte_s is not None:
            self.first_byte_s += by_s
        if self.caller_gone_s is not None:
            self.caller_gone_s += by_s
        if self.lost_s is not None:
            self.lost_s += by_s


@dataclass(slots=True, kw_only=True)
class DeathRecord(Span):
    """The death of a layer; its span lasts from when the layer may have died to when that was noticed."""

    kind: ClassVar[SpanKind] = SpanKind.DEATH

    why: str


@dataclass(slots=True, kw_only=True)
class ForeignSpan(Span):
    """What another program wrote. `side` is OTLP's kind of span: ``server``, ``client``, else ``internal``."""

    kind: ClassVar[SpanKind] = SpanKind.FOREIGN

    side: str = "internal"
    attributes: dict[str, Any] = field(default_factory=dict)


SpanSink = Callable[[Span], None]
"""Where layers put their spans when the last byte has gone."""


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One try on the wire as the client tells it: a line of ``attempts.jsonl``.

    `number` counts from 1. `arrivals_s` are the instants at which events (partial images, the final one)
    came. `headers` and `body_head` are kept only where no image came: headers that tell layers apart, and the
    first bytes of an error page, without secrets. `largest_gap_s` is the longest silence the client sat
    through, the wait for the first byte apart. `due_s` and `dispatched_s` are the request's: when its caller
    wanted it, and when the load took it up; None where it is unknown.
    """

    request: str
    number: int
    mode: str
    trace_id: str
    span_id: str
    user: int
    started_s: float
    due_s: float | None = None
    dispatched_s: float | None = None
    first_byte_s: float | None = None
    ended_s: float | None = None
    status: int | None = None
    outcome: Outcome = Outcome.CENSORED
    error: str | None = None
    retry_after_s: float | None = None
    bytes: int = 0
    arrivals_s: list[float] = field(default_factory=list)
    largest_gap_s: float | None = None
    timer: str | None = None
    directive: str | None = None
    phase: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body_head: str | None = None
    part: str | None = None  # of a job: see `Part`; None is a request in one piece
    charged_usd: float | None = None  # what the spend guard's account holds for it; None: nothing costs money

    @property
    def redirected(self) -> bool:
        """Whether the answer sent the attempt elsewhere: what follows it is no retry."""
        return self.outcome is Outcome.REJECTED and 300 <= (self.status or 0) < 400


_random = random.Random(os.urandom(16))
# A forked load worker would draw the very numbers of its siblings.
os.register_at_fork(after_in_child=lambda: _random.seed(os.urandom(16)))


def new_trace_id() -> str:
    """32 hex digits, never all zero."""
    return (_random.getrandbits(128) | 1).to_bytes(16).hex()  # a third of what a format of the number costs


def new_span_id() -> str:
    """16 hex digits, never all zero."""
    return (_random.getrandbits(64) | 1).to_bytes(8).hex()


# Later versions may add fields after the flags; version ff is invalid.
_TRACEPARENT = re.compile(r"(?!ff)[^-]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[^-]{2}(?:-.*)?", re.DOTALL)
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16


def traceparent(trace_id: str, span_id: str) -> str:
    """The W3C header that makes the receiver's span a child of this one; always sampled."""
    return f"00-{trace_id}-{span_id}-01"


def parse_traceparent(header: str) -> tuple[str, str] | None:
    """Trace id and parent's span id, or None where the header is not a valid W3C `traceparent`."""
    found = _TRACEPARENT.fullmatch(header.strip())
    if found is None:
        return None
    trace_id, span_id = found.groups()
    return None if trace_id == _NO_TRACE or span_id == _NO_SPAN else (trace_id, span_id)
