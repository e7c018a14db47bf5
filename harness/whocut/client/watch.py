"""One attempt on the wire, watched: what was seen of it, when, and how it ended.

No I/O here: the transports of a client that is ours, or the stage outside of one that is not, call `answered`,
`received` and `finished` as things happen. `Watch` keeps what both see; `AttemptWatch` is the client's own view.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from whocut.chain.retry_after import asked_to_wait_s
from whocut.chain.timers import Phase, TimerKind
from whocut.client.attempt_span import attempt_span
from whocut.client.body import EventBody, JsonBody
from whocut.client.ending import Ending, ending_of, outcome_of
from whocut.client.prompts import prompts_in, without_prompts
from whocut.client.unpack import Unpacked
from whocut.redact import KEPT_BODY, kept_headers, redact
from whocut.trace.records import (
    Attempt,
    AttemptRecord,
    Outcome,
    UpstreamEnd,
    new_span_id,
    traceparent,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from whocut.chain.layers import Layer
    from whocut.client.asking import Asking
    from whocut.client.spending import Permit
    from whocut.clock import Clock
    from whocut.trace.records import SpanSink

_IMAGES: Final = ("/images/generations", "/images/edits")
_READ_OF_PAGE: Final = (
    64 * 1024
)  # bytes in which a prompt is looked for, before the page is cut to what is kept
# The HTTP library's names for the client's timers.
_EXTENSION: Final = {
    (TimerKind.CONNECT, Phase.CONNECT): "connect",
    (TimerKind.IDLE, Phase.SEND): "write",
    (TimerKind.FIRST_BYTE, Phase.WAIT): "read",
    (TimerKind.IDLE, Phase.STREAM): "read",
}


class Watch:
    """Watches one attempt and writes its `record`; `over` as soon as its end is known."""

    def __init__(
        self,
        record: Attempt,
        clock: Clock,
        *,
        layer: str,
        method: str,
        path: str,
        parent_id: str | None = None,
    ) -> None:
        self.record = record
        self.clock = clock
        self.method = method
        self.path = path
        self.over = False
        self.headers: Mapping[str, str] = {}  # of the answer, in lower case
        self.last_byte_s: float | None = None
        self.answer: JsonBody | EventBody | None = None  # None until its head has come
        self.asked = b""  # the request's body, as far as it is known: what it asks for is kept in no record
        self._unpacked = Unpacked("")
        self._layer_name = layer
        self._parent_id = parent_id
        self._upstream: UpstreamEnd | None = None  # None while it is under way
        self._limit_s: float | None = None  # of the timer that ended it

    @property
    def traceparent(self) -> str:
        """The header that makes the next layer's span a child of this attempt."""
        return traceparent(self.record.trace_id, self.record.span_id)

    @property
    def in_body(self) -> bool:
        """Whether the answer's head has come."""
        return self.answer is not None

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        """The response's head has come."""
        self.headers = headers
        self.record.status = status
        self.record.first_byte_s = self.last_byte_s = self.clock.now_s()
        streamed = headers.get("content-type", "").startswith("text/event-stream")
        self.answer = EventBody() if streamed else JsonBody()
        self._unpacked = Unpacked(headers.get("content-encoding", ""))

    def received(self, data: bytes) -> None:
        """Bytes of the body have come."""
        assert self.answer is not None
        assert self.last_byte_s is not None
        now_s, record = self.clock.now_s(), self.record
        if record.bytes:
            record.largest_gap_s = max(now_s - self.last_byte_s, record.largest_gap_s or 0.0)
        self.last_byte_s = now_s
        record.bytes += len(data)
        for piece in self._unpacked.feed(data):
            record.arrivals_s += [now_s] * len(self.answer.feed(piece))

    def finished(self) -> None:
        """The body has ended in good order, or its reader has had enough of it."""
        if self.over:
            return
        assert self.answer is not None
        outcome, error = outcome_of(
            self.answer,
            self.record.status or 0,
            unreadable=self._unpacked.why,
            images=self.path.endswith(_IMAGES),
        )
        if self.record.part and outcome is Outcome.DELIVERED and not self.answer.has_image:
            outcome = Outcome.ACCEPTED
        end = UpstreamEnd.CLOSED if outcome is Outcome.TRUNCATED else UpstreamEnd.COMPLETE
        self._end(outcome, end, error)

    def ended(
        self, ending: Ending, error: str | None, *, directive: str | None = None, limit_s: float | None = None
    ) -> None:
        """It has ended before the answer was whole.

        `directive` and `limit_s` are those of the timer that the ending names. A stream whose last event had come
        is whole, however its connection ended.
        """
        if not self.over and isinstance(self.answer, EventBody) and (self.answer.whole or self.answer.error):
            self.finished()
        if self.over:
            return
        record = self.record
        record.phase = str(ending.phase)
        if ending.timer is not None:
            record.timer, record.directive = str(ending.timer), directive
            self._limit_s = limit_s
        self._end(ending.outcome, ending.upstream, error)

    def _end(self, outcome: Outcome, upstream: UpstreamEnd, error: str | None) -> None:
        self.over = True
        self._upstream = upstream
        record = self.record
        record.ended_s = self.clock.now_s()
        record.outcome = outcome
        record.error = error
        # At the end: a wait is counted from there, and a date is an instant.
        record.retry_after_s = asked_to_wait_s(self.headers, self.clock.unix_s(record.ended_s))
        asked, self.asked = self.asked, b""
        if outcome in {Outcome.DELIVERED, Outcome.ACCEPTED}:
            return
        prompts = prompts_in(asked)
        if error is not None:
            record.error = without_prompts(error, prompts)
        if outcome is not Outcome.REJECTED:
            kept = kept_headers(self.headers)
            record.headers = {name: without_prompts(value, prompts) for name, value in kept.items()}
            record.body_head = self._page(prompts) if outcome is Outcome.GATEWAY_ERROR else None

    def _page(self, prompts: Sequence[str]) -> str | None:
        """The beginning of an error page: it tells which layer wrote it."""
        if not isinstance(self.answer, JsonBody):
            return None
        page = b"".join(self.answer.chunks)[:_READ_OF_PAGE].decode("utf-8", "replace")
        return redact(without_prompts(page, prompts)[:KEPT_BODY])

    def span(self) -> AttemptRecord:
        """The client's span of it; an attempt still under way ends now."""
        record = self.record
        return attempt_span(
            record,
            layer=self._layer_name,
            asked=(self.method, self.path),
            parent_id=self._parent_id,
            end_s=record.ended_s if record.ended_s is not None else self.clock.now_s(),
            upstream=self._upstream,
            last_byte_s=self.last_byte_s,
            limit_s=self._limit_s,
        )


@dataclass(slots=True)
class Sinks:
    """Where records go. `attempts` hears of an attempt twice: when it starts and when it has ended."""

    attempts: Callable[[Attempt], None]
    spans: SpanSink


class AttemptWatch(Watch):
    """The client's own view: it knows the request, its timers, what was raised, and what may be spent.

    The record goes to its sinks in every path out, cancellation included: a span that is merely cancelled looks
    healthy. `limits_s` are the client's timers in model seconds, as the HTTP library names them.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        layer: Layer,
        asking: Asking,
        sinks: Sinks,
        number: int,
        method: str,
        path: str,
        limits_s: Mapping[str, float | None] | None = None,
        permit: Permit | None = None,
    ) -> None:
        record = Attempt(
            request=asking.request,
            number=number,
            mode=asking.mode,
            trace_id=asking.trace_id,
            span_id=new_span_id(),
            user=asking.user,
            due_s=asking.due_s,
            dispatched_s=asking.dispatched_s,
            part=asking.part,
            started_s=clock.now_s(),
        )
        super().__init__(record, clock, layer=layer.name, method=method, path=path, parent_id=asking.span_id)
        self.layer = layer
        self.limits_s = limits_s or {}
        self._sinks = sinks
        self._permit = permit
        if permit is not None:
            record.charged_usd = permit.nano_usd / 1e9  # until its end says better
        asking.attempts.append(record)
        sinks.attempts(record)

    def failed(self, error: BaseException) -> None:
        """An error was raised on the way: by the HTTP library, or by the program that asked."""
        ending = ending_of(error, in_body=self.in_body)
        self._by_timer(ending, type(error).__name__)

    def timed_out(self, timer: TimerKind, phase: Phase) -> None:
        """A timer of the client's own fired."""
        self._by_timer(Ending(UpstreamEnd.CUT, Outcome.TIMEOUT, phase, timer), "Timeout")

    def _by_timer(self, ending: Ending, error: str) -> None:
        if ending.timer is None:
            self.ended(ending, error)
            return
        own = self.layer.timers.get(ending.timer)
        directive = own.named_in(ending.phase) if own else str(ending.timer)
        limit_s = self.limits_s.get(_EXTENSION.get((ending.timer, ending.phase), ""))
        if limit_s is None:
            limit_s = own.limit_s if own else self.clock.now_s() - self.record.started_s
        self.ended(ending, error, directive=directive, limit_s=limit_s)

    @property
    def wants_rest(self) -> bool:
        """Whether an error page was left unread: the SDK closes it so when it retries a streamed request."""
        return not self.over and (self.record.status or 0) >= 400 and not self.record.bytes

    def _end(self, outcome: Outcome, upstream: UpstreamEnd, error: str | None) -> None:
        super()._end(outcome, upstream, error)
        record = self.record
        try:
            if self._permit is not None:
                body = self.answer
                charged = self._permit.settle(
                    record, body.usage if body else None, body.error if body else None
                )
                record.charged_usd = charged / 1e9
        finally:  # an account that cannot be written loses no record
            self._sinks.attempts(record)
            self._sinks.spans(self.span())
