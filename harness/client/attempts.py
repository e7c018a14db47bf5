"""One attempt on the wire, watched from the client: what it saw, when, and how it ended.

No I/O here: `transports` calls `answered`, `received`, `finished`, `failed` as things happen. The record goes to
its sinks in every path out, cancellation included; a span that is merely cancelled looks healthy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.chain.timers import Phase, TimerKind
from harness.client.body import EventBody, JsonBody
from harness.client.endings import ending_of
from harness.client.outcomes import outcome_of
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
    traceparent,
)
from harness.trace.secrets import KEPT_BODY, kept_headers, redact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.chain.layers import Layer
    from harness.client.asking import Asking
    from harness.client.spending import Permit
    from harness.clock import Clock
    from harness.trace.records import SpanSink

_EXTENSION = {TimerKind.CONNECT: "connect", TimerKind.FIRST_BYTE: "read", TimerKind.IDLE: "read"}


@dataclass(slots=True)
class Sinks:
    """Where records go. `attempts` hears of an attempt twice: when it starts and when it has ended."""

    attempts: Callable[[Attempt], None]
    spans: SpanSink


@dataclass(slots=True)
class AttemptWatch:
    """Watches one attempt. `limits_s` are the client's own timers in model seconds, as the library names them."""

    clock: Clock
    layer: Layer
    asking: Asking
    sinks: Sinks
    number: int
    method: str
    path: str
    limits_s: Mapping[str, float | None] = field(default_factory=dict)
    permit: Permit | None = None
    record: Attempt = field(init=False)
    _body: JsonBody | EventBody | None = None
    _readable: bool = True
    _last_byte_s: float | None = None
    _headers: dict[str, str] = field(default_factory=dict)
    _done: bool = False

    def __post_init__(self) -> None:
        self.record = Attempt(
            request=self.asking.request,
            number=self.number,
            mode=self.asking.mode,
            trace_id=self.asking.trace_id,
            span_id=new_span_id(),
            user=self.asking.user,
            due_s=self.asking.due_s,
            dispatched_s=self.asking.dispatched_s,
            started_s=self.clock.now_s(),
        )
        if self.permit is not None:
            self.record.charged_usd = self.permit.nano_usd / 1e9  # until its end says better
        self.asking.attempts.append(self.record)
        self.sinks.attempts(self.record)

    @property
    def traceparent(self) -> str:
        """The header that makes the next layer's span a child of this attempt."""
        return traceparent(self.record.trace_id, self.record.span_id)

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        """The response's head has come."""
        self.record.status = status
        self.record.first_byte_s = self._last_byte_s = self.clock.now_s()
        self.record.retry_after_s = _seconds(headers.get("retry-after"))
        self._headers = kept_headers(headers)
        self._readable = headers.get("content-encoding", "identity") == "identity"
        streamed = headers.get("content-type", "").startswith("text/event-stream")
        self._body = EventBody() if streamed else JsonBody()

    def received(self, data: bytes) -> None:
        """Bytes of the body have come."""
        assert self._body is not None
        assert self._last_byte_s is not None
        now_s = self.clock.now_s()
        if self.record.bytes:
            gap_s = now_s - self._last_byte_s
            self.record.largest_gap_s = max(gap_s, self.record.largest_gap_s or 0.0)
        self._last_byte_s = now_s
        self.record.bytes += len(data)
        self.record.arrivals_s += [now_s] * len(self._body.feed(data))

    def finished(self) -> None:
        """The body has ended in good order, or its reader has had enough of it."""
        if self._done:
            return
        assert self._body is not None
        outcome, error = outcome_of(
            self._body,
            self.record.status or 0,
            readable=self._readable,
            images=self.path.endswith(("/images/generations", "/images/edits")),
        )
        end = UpstreamEnd.CLOSED if outcome is Outcome.TRUNCATED else UpstreamEnd.COMPLETE
        self._end(outcome, end, error)

    def failed(self, error: BaseException) -> None:
        """Something was raised on the way: by the HTTP library, or by the program that asked."""
        if self._done:
            return
        if isinstance(self._body, EventBody) and (self._body.whole or self._body.error):
            # The stream's last word had been handed on; how the connection ended after it is nobody's loss.
            self.finished()
            return
        ending = ending_of(error, in_body=self._body is not None)
        phase = ending.phase or (Phase.WAIT if self._body is None else Phase.STREAM)
        self.record.phase = str(phase)
        if ending.timer is not None:
            self.record.timer = str(ending.timer)
            timer = self.layer.timers.get(ending.timer)
            self.record.directive = timer.named_in(phase) if timer else str(ending.timer)
        self._end(ending.outcome, ending.upstream, type(error).__name__)

    @property
    def wants_rest(self) -> bool:
        """Whether an error page was left unread: the SDK closes it so when it retries a streamed request."""
        return not self._done and (self.record.status or 0) >= 400 and not self.record.bytes

    def _end(self, outcome: Outcome, upstream: UpstreamEnd, error: str | None) -> None:
        self._done = True
        record = self.record
        record.ended_s = self.clock.now_s()
        record.outcome = outcome
        record.error = error
        if outcome not in {Outcome.DELIVERED, Outcome.REJECTED}:
            record.headers = self._headers
            record.body_head = self._page() if outcome is Outcome.GATEWAY_ERROR else None
        try:
            if self.permit is not None:
                body = self._body
                charged = self.permit.settle(
                    record, body.usage if body else None, body.error if body else None
                )
                record.charged_usd = charged / 1e9
        finally:  # an account that cannot be written loses no record
            self.sinks.attempts(record)
            self.sinks.spans(self._span(upstream))

    def _page(self) -> str | None:
        """The beginning of an error page: whose it is can be told by it."""
        if not isinstance(self._body, JsonBody) or not self._readable:
            return None
        return redact(b"".join(self._body.chunks)[:KEPT_BODY].decode("utf-8", "replace"))

    def _span(self, upstream: UpstreamEnd) -> Span:
        record = self.record
        assert record.ended_s is not None
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
            names.UPSTREAM_END: str(upstream),
            names.UPSTREAM_END_S: record.ended_s,
            names.DOWNSTREAM_END: str(_DOWNSTREAM[upstream]),
            names.DOWNSTREAM_END_S: record.ended_s,
            names.FIRST_BYTE_S: record.first_byte_s,
            names.LAST_BYTE_S: self._last_byte_s,
            names.BODY_HEAD: record.body_head,
            **{f"{names.RESPONSE_HEADER}{name}": [value] for name, value in record.headers.items()},
            names.LARGEST_GAP_S: record.largest_gap_s,
            names.BYTES_DOWN: record.bytes,
        }
        events = [Event("image event", at_s) for at_s in record.arrivals_s]
        if record.timer is not None:
            limit_s = self.limits_s.get(self._limit_name())
            attributes |= {
                names.CUT_TIMER: record.timer,
                names.CUT_DIRECTIVE: record.directive,
                names.CUT_PHASE: record.phase,
                names.CUT_LIMIT_S: limit_s if limit_s is not None else record.ended_s - record.started_s,
                names.CUT_AT_S: record.ended_s,
            }
            events.append(Event("cut", record.ended_s, {names.CUT_TIMER: record.timer}))
        failed = record.outcome not in {Outcome.DELIVERED, Outcome.CENSORED}
        return Span(
            trace_id=record.trace_id,
            span_id=record.span_id,
            parent_id=self.asking.span_id,
            layer=self.layer.name,
            kind=SpanKind.ATTEMPT,
            name=f"{self.method} {self.path}",
            start_s=record.started_s,
            end_s=record.ended_s,
            attributes={key: value for key, value in attributes.items() if value is not None},
            events=events,
            error=(record.error or str(record.outcome)) if failed else None,
        )

    def _limit_name(self) -> str:
        if self.record.phase == Phase.SEND:
            return "write"
        return _EXTENSION[TimerKind(self.record.timer or TimerKind.IDLE)]


_DOWNSTREAM = {
    UpstreamEnd.COMPLETE: DownstreamEnd.ANSWERED,
    UpstreamEnd.ABANDONED: DownstreamEnd.LEFT,
    UpstreamEnd.CUT: DownstreamEnd.OWN_ANSWER,
    UpstreamEnd.CLOSED: DownstreamEnd.TRUNCATED,
    UpstreamEnd.RESET: DownstreamEnd.TRUNCATED,
    UpstreamEnd.REFUSED: DownstreamEnd.OWN_ANSWER,
    UpstreamEnd.NONE: DownstreamEnd.OWN_ANSWER,
}


def _seconds(header: str | None) -> float | None:
    """Retry-After in seconds; a date is left to whoever waits for it."""
    try:
        return float(header) if header is not None else None
    except ValueError:
        return None
