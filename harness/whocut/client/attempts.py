"""One attempt on the wire, watched from the client: what it saw, when, and how it ended.

No I/O here: `transports` calls `answered`, `received`, `finished`, `failed` as things happen. The record goes to
its sinks in every path out, cancellation included; a span that is merely cancelled looks healthy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from whocut.chain.retry_after import asked_to_wait_s
from whocut.chain.timers import Phase, TimerKind
from whocut.client.attempt_span import attempt_span
from whocut.client.body import JsonBody
from whocut.client.endings import ending_of
from whocut.client.incoming import Incoming
from whocut.client.outcomes import outcome_of
from whocut.redact import KEPT_BODY, kept_headers, redact
from whocut.trace.records import (
    Attempt,
    Outcome,
    Span,
    UpstreamEnd,
    new_span_id,
    traceparent,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from whocut.chain.layers import Layer
    from whocut.client.asking import Asking
    from whocut.client.spending import Permit
    from whocut.clock import Clock
    from whocut.trace.records import SpanSink

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
    _incoming: Incoming = field(init=False)
    _readable: bool = True
    _headers: Mapping[str, str] = field(default_factory=dict)
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
        self._incoming = Incoming(self.record)
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
        self._incoming.head(self.clock.now_s(), status, headers)
        self._headers = headers
        self._readable = headers.get("content-encoding", "identity") == "identity"

    def received(self, data: bytes) -> None:
        """Bytes of the body have come."""
        self._incoming.data(self.clock.now_s(), data)

    def finished(self) -> None:
        """The body has ended in good order, or its reader has had enough of it."""
        if self._done:
            return
        assert self._incoming.body is not None
        outcome, error = outcome_of(
            self._incoming.body,
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
        if self._incoming.said_its_last_word:
            self.finished()
            return
        in_body = self._incoming.body is not None
        ending = ending_of(error, in_body=in_body)
        phase = ending.phase or (Phase.STREAM if in_body else Phase.WAIT)
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
        # At the end: a wait is counted from there, and a date is an instant.
        record.retry_after_s = asked_to_wait_s(self._headers, self.clock.unix_s(record.ended_s))
        if outcome not in {Outcome.DELIVERED, Outcome.REJECTED}:
            record.headers = kept_headers(self._headers)
            record.body_head = self._page() if outcome is Outcome.GATEWAY_ERROR else None
        try:
            if self.permit is not None:
                body = self._incoming.body
                charged = self.permit.settle(
                    record, body.usage if body else None, body.error if body else None
                )
                record.charged_usd = charged / 1e9
        finally:  # an account that cannot be written loses no record
            self.sinks.attempts(record)
            self.sinks.spans(self._span(upstream))

    def _page(self) -> str | None:
        """The beginning of an error page: whose it is can be told by it."""
        body = self._incoming.body
        if not isinstance(body, JsonBody) or not self._readable:
            return None
        return redact(b"".join(body.chunks)[:KEPT_BODY].decode("utf-8", "replace"))

    def _span(self, upstream: UpstreamEnd) -> Span:
        record = self.record
        assert record.ended_s is not None
        limit_s = self.limits_s.get(self._limit_name())
        return attempt_span(
            record,
            layer=self.layer.name,
            asked=(self.method, self.path),
            parent_id=self.asking.span_id,
            end_s=record.ended_s,
            upstream=upstream,
            last_byte_s=self._incoming.last_byte_s,
            limit_s=limit_s if limit_s is not None else record.ended_s - record.started_s,
        )

    def _limit_name(self) -> str:
        if self.record.phase == Phase.SEND:
            return "write"
        return _EXTENSION[TimerKind(self.record.timer or TimerKind.IDLE)]
