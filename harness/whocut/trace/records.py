"""Plain data: what every layer writes down of a request, before anyone judges it.

Instants are model seconds since the start of the run; durations end in `_s` too. A record knows no sockets
and no OpenTelemetry: the doing arm fills it, `otlp` writes it, `verdict` reads it.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

AttributeValue = str | int | float | bool | list[str] | list[float]


class SpanKind(StrEnum):
    """What a span tells of: from the outermost to the innermost."""

    REQUEST = "request"  # what the caller wants
    ATTEMPT = "attempt"  # one try on the wire, as the client saw it
    HOP = "hop"  # the same try, as a layer that forwards saw it
    GENERATION = "generation"  # the work behind it; may outlive its parent, and on purpose
    DEATH = "death"  # of a layer, in the middle of a run: an instant, and nobody's request


class TapSide(StrEnum):
    """Where a tap stands beside a real gateway, which writes no span of its own."""

    OUTSIDE = "outside"  # towards the caller
    INSIDE = "inside"  # towards the model


class UpstreamEnd(StrEnum):
    """How a layer's side towards the model ended."""

    COMPLETE = "complete"  # the response came whole
    CUT = "cut"  # we ended it: a timer of ours fired
    ABANDONED = "abandoned"  # we ended it: our caller had gone
    GONE = "gone"  # we ended it, and neither by a timer nor after our caller: the layer died, or gave up
    CLOSED = "closed"  # they ended it with a close, before the response was whole
    RESET = "reset"  # they ended it with a reset
    REFUSED = "refused"  # nobody took the connection
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
    GATEWAY_ERROR = "gateway_error"  # a page of somebody on the way
    RESET = "reset"
    TRUNCATED = "truncated"
    REFUSED = "refused"  # nobody took the connection
    CENSORED = "censored"  # still under way when the run ended: never seen to its end

    @property
    def unknown(self) -> bool:
        """Whether the work may have been done, and billed, although no image came."""
        return self in {Outcome.TIMEOUT, Outcome.GATEWAY_ERROR, Outcome.RESET, Outcome.TRUNCATED}


NO_IMAGE = "no image in the answer"
"""The error of an attempt whose answer was whole and good, and had no image in it."""


@dataclass(slots=True)
class Event:
    """An instant inside a span."""

    name: str
    at_s: float
    attributes: dict[str, AttributeValue] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Span:
    """One layer's account of one attempt (or of a request, or of a generation)."""

    trace_id: str
    span_id: str
    parent_id: str | None
    layer: str
    kind: SpanKind
    name: str
    start_s: float
    end_s: float
    attributes: dict[str, Any] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    error: str | None = None


SpanSink = Callable[[Span], None]
"""Where layers put their spans when the last byte has gone."""


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One try on the wire as the client tells it: a line of ``attempts.jsonl``.

    `number` counts from 1. `arrivals_s` are the instants at which events (partial images, the final one)
    came. `headers` and `body_head` are kept only where no image came: headers that tell layers apart, and the
    first bytes of an error page, without secrets. `largest_gap_s` is the longest silence the client sat
    through, the wait for the first byte apart. `due_s` and `dispatched_s` are the request's: when its caller
    wanted it, and when the load took it up; None where nobody says so.
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
    return f"{_random.getrandbits(128) | 1:032x}"


def new_span_id() -> str:
    """16 hex digits, never all zero."""
    return f"{_random.getrandbits(64) | 1:016x}"


def traceparent(trace_id: str, span_id: str) -> str:
    """The W3C header that makes the receiver's span a child of this one; always sampled."""
    return f"00-{trace_id}-{span_id}-01"


def parse_traceparent(header: str) -> tuple[str, str] | None:
    """Trace id and parent's span id, or None where the header is not a valid W3C `traceparent`."""
    parts = header.strip().split("-")
    if len(parts) < 4 or len(parts[0]) != 2 or parts[0] == "ff":
        return None
    trace_id, span_id = parts[1], parts[2]
    if len(trace_id) != 32 or len(span_id) != 16 or len(parts[3]) != 2:
        return None
    if set(trace_id + span_id) - set("0123456789abcdef") or not int(trace_id, 16) or not int(span_id, 16):
        return None
    return trace_id, span_id
