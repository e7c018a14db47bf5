"""One attempt as it looks from just outside the client: what was asked, what came back, who let go.

The client knows nothing of us, so that its own timers are seen only by their effect: it leaves. The SDK tells its
read timeout in a header; who leaves exactly then was cut by it, and who leaves at any other moment just went.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from harness.chain.timers import Phase, TimerKind
from harness.client.body import EventBody, JsonBody
from harness.client.outcomes import outcome_of
from harness.client.waits import asked_to_wait_s
from harness.trace import names
from harness.trace.records import (
    Attempt,
    DownstreamEnd,
    Event,
    Outcome,
    Span,
    SpanKind,
    UpstreamEnd,
    new_span_id,
    new_trace_id,
    traceparent,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.clock import Clock

# A client that leaves within this part of its announced timeout has left because of it.
_CLOSE_TO: Final = 0.02


@dataclass(slots=True, kw_only=True)
class Sighting:
    """An attempt under way or over. `digest` tells equal bodies; the key is kept as a hash, if at all."""

    clock: Clock
    client: str
    method: str
    path: str
    digest: str
    body: dict[str, Any]
    connection: int
    retry_count: int | None
    read_timeout_s: float | None
    came_in: tuple[str, str] | None  # trace and parent span, where the client sends a traceparent
    started_s: float = 0.0
    span_id: str = field(default_factory=new_span_id)
    trace_id: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    error_body: dict[str, Any] | None = None
    record: Attempt = field(init=False)
    over: bool = False
    left: bool = False
    _upstream_end: UpstreamEnd = UpstreamEnd.NONE
    _read: JsonBody | EventBody | None = None
    _last_byte_s: float | None = None

    def __post_init__(self) -> None:
        self.started_s = self.clock.now_s()
        self.trace_id = self.came_in[0] if self.came_in else new_trace_id()
        self.record = Attempt(
            request="",
            number=1,
            mode="stream" if self.body.get("stream") in {True, "true"} else "plain",
            trace_id=self.trace_id,
            span_id=self.span_id,
            user=0,
            started_s=self.started_s,
        )

    @property
    def traceparent(self) -> str:
        """What goes on to the first layer: this sighting is the parent there."""
        return traceparent(self.trace_id, self.span_id)

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        """The response's head has come."""
        self.headers = headers
        self.record.status = status
        self.record.first_byte_s = self._last_byte_s = self.clock.now_s()
        self.record.retry_after_s = asked_to_wait_s(headers, self.clock.unix_s(self.clock.now_s()))
        streamed = headers.get("content-type", "").startswith("text/event-stream")
        self._read = EventBody() if streamed else JsonBody()

    def received(self, data: bytes) -> None:
        """Bytes of the body have come."""
        assert self._read is not None
        assert self._last_byte_s is not None
        now_s = self.clock.now_s()
        if self.record.bytes:
            self.record.largest_gap_s = max(now_s - self._last_byte_s, self.record.largest_gap_s or 0.0)
        self._last_byte_s = now_s
        self.record.bytes += len(data)
        self.record.arrivals_s += [now_s] * len(self._read.feed(data))

    def finished(self) -> None:
        """The response has ended in good order."""
        assert self._read is not None
        self.error_body = self._read.error
        outcome, error = outcome_of(self._read, self.record.status or 0)
        end = UpstreamEnd.CLOSED if outcome is Outcome.TRUNCATED else UpstreamEnd.COMPLETE
        self._end(outcome, end, error)

    def broken(self, end: UpstreamEnd) -> None:
        """The other side ended it before the response was whole."""
        if self._said_its_last_word():
            return
        in_body = self._read is not None
        self.record.phase = str(Phase.STREAM if in_body else Phase.WAIT)
        outcome = Outcome.TRUNCATED if in_body else Outcome.RESET
        if end is UpstreamEnd.REFUSED:
            outcome = Outcome.REFUSED
        self._end(outcome, end, str(end))

    def client_left(self) -> None:
        """The client ended it before the response was whole."""
        if self.over or self._said_its_last_word():
            return
        record = self.record
        self.left = True
        phase = Phase.STREAM if self._read is not None else Phase.WAIT
        record.phase = str(phase)
        limit_s = self.read_timeout_s
        since_s = self._last_byte_s if self._last_byte_s is not None else record.started_s
        if limit_s and abs(self.clock.now_s() - since_s - limit_s) <= _CLOSE_TO * limit_s:
            record.timer = str(TimerKind.IDLE if self._read is not None else TimerKind.FIRST_BYTE)
            record.directive = "timeout.read"
            self._end(Outcome.TIMEOUT, UpstreamEnd.CUT, "ReadTimeout")
        else:
            self._end(Outcome.CENSORED, UpstreamEnd.ABANDONED, None)

    def _said_its_last_word(self) -> bool:
        """Whether the stream's last event had come: how its connection ends after it is nobody's loss."""
        if not self.over and isinstance(self._read, EventBody) and (self._read.whole or self._read.error):
            self.finished()
        return self.over

    def _end(self, outcome: Outcome, upstream: UpstreamEnd, error: str | None) -> None:
        self.over = True
        self._upstream_end = upstream
        self.record.ended_s = self.clock.now_s()
        self.record.outcome = outcome
        self.record.error = error

    def span(self) -> Span:
        """The sighting as the client's own span would be; an attempt still under way ends now."""
        record = self.record
        end_s = record.ended_s if record.ended_s is not None else self.clock.now_s()
        attributes: dict[str, Any] = {
            names.POSITION: 0,
            names.REQUEST: record.request,
            names.ATTEMPT: record.number,
            names.RESEND_COUNT: record.number - 1,
            names.MODE: record.mode,
            names.OUTCOME: str(record.outcome),
            names.METHOD: self.method,
            names.PATH: self.path,
            names.STATUS: record.status,
            names.ERROR_TYPE: record.error,
            names.FIRST_BYTE_S: record.first_byte_s,
            names.LARGEST_GAP_S: record.largest_gap_s,
            names.BYTES_DOWN: record.bytes,
        }
        events = [Event("image event", at_s) for at_s in record.arrivals_s]
        if self.over:
            attributes |= {
                names.UPSTREAM_END: str(self._upstream_end),
                names.UPSTREAM_END_S: end_s,
                names.DOWNSTREAM_END: str(_DOWNSTREAM[self._upstream_end]),
                names.DOWNSTREAM_END_S: end_s,
            }
        if record.timer is not None:
            attributes |= {
                names.CUT_TIMER: record.timer,
                names.CUT_DIRECTIVE: record.directive,
                names.CUT_PHASE: record.phase,
                names.CUT_LIMIT_S: self.read_timeout_s,
                names.CUT_AT_S: end_s,
            }
            events.append(Event("cut", end_s, {names.CUT_TIMER: record.timer}))
        return Span(
            trace_id=self.trace_id,
            span_id=self.span_id,
            parent_id=None,
            layer=self.client,
            kind=SpanKind.ATTEMPT,
            name=f"{self.method} {self.path}",
            start_s=record.started_s,
            end_s=end_s,
            attributes={key: value for key, value in attributes.items() if value is not None},
            events=events,
            error=None if record.outcome in _FINE else record.error or str(record.outcome),
        )


_FINE = frozenset({Outcome.DELIVERED, Outcome.CENSORED})
_DOWNSTREAM = {
    UpstreamEnd.NONE: DownstreamEnd.NONE,
    UpstreamEnd.COMPLETE: DownstreamEnd.ANSWERED,
    UpstreamEnd.ABANDONED: DownstreamEnd.LEFT,
    UpstreamEnd.CUT: DownstreamEnd.OWN_ANSWER,
    UpstreamEnd.CLOSED: DownstreamEnd.TRUNCATED,
    UpstreamEnd.RESET: DownstreamEnd.TRUNCATED,
    UpstreamEnd.REFUSED: DownstreamEnd.OWN_ANSWER,
    UpstreamEnd.MALFORMED: DownstreamEnd.TRUNCATED,
}
