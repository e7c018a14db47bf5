"""One attempt as it looks from just outside the client: what was asked, what came back, who let go.

The client knows nothing of us, so that its own timers are seen only by their effect: it leaves. The SDK tells its
read timeout in a header; who leaves exactly then was cut by it, and who leaves at any other moment just went.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from whocut.chain.retry_after import asked_to_wait_s
from whocut.chain.timers import Phase, TimerKind
from whocut.client.attempt_span import attempt_span
from whocut.client.incoming import Incoming
from whocut.client.outcomes import outcome_of
from whocut.trace.records import (
    Attempt,
    Outcome,
    Span,
    UpstreamEnd,
    new_span_id,
    new_trace_id,
    traceparent,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from whocut.clock import Clock

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
    _incoming: Incoming = field(init=False)

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
        self._incoming = Incoming(self.record)

    @property
    def traceparent(self) -> str:
        """What goes on to the first layer: this sighting is the parent there."""
        return traceparent(self.trace_id, self.span_id)

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        """The response's head has come."""
        self.headers = headers
        self._incoming.head(self.clock.now_s(), status, headers)

    def received(self, data: bytes) -> None:
        """Bytes of the body have come."""
        self._incoming.data(self.clock.now_s(), data)

    def finished(self) -> None:
        """The response has ended in good order."""
        assert self._incoming.body is not None
        self.error_body = self._incoming.body.error
        outcome, error = outcome_of(self._incoming.body, self.record.status or 0)
        end = UpstreamEnd.CLOSED if outcome is Outcome.TRUNCATED else UpstreamEnd.COMPLETE
        self._end(outcome, end, error)

    def broken(self, end: UpstreamEnd) -> None:
        """The other side ended it before the response was whole."""
        if self._said_its_last_word():
            return
        in_body = self._incoming.body is not None
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
        in_body = self._incoming.body is not None
        record.phase = str(Phase.STREAM if in_body else Phase.WAIT)
        limit_s = self.read_timeout_s
        last_byte_s = self._incoming.last_byte_s
        since_s = last_byte_s if last_byte_s is not None else record.started_s
        if limit_s and abs(self.clock.now_s() - since_s - limit_s) <= _CLOSE_TO * limit_s:
            record.timer = str(TimerKind.IDLE if in_body else TimerKind.FIRST_BYTE)
            record.directive = "timeout.read"
            self._end(Outcome.TIMEOUT, UpstreamEnd.CUT, "ReadTimeout")
        else:
            self._end(Outcome.CENSORED, UpstreamEnd.ABANDONED, None)

    def _said_its_last_word(self) -> bool:
        """Whether it was over already, or is now: a stream whose last event had come is whole."""
        if not self.over and self._incoming.said_its_last_word:
            self.finished()
        return self.over

    def _end(self, outcome: Outcome, upstream: UpstreamEnd, error: str | None) -> None:
        self.over = True
        self._upstream_end = upstream
        self.record.ended_s = self.clock.now_s()
        self.record.outcome = outcome
        self.record.error = error
        # At the end: a wait is counted from there, and a date is an instant.
        self.record.retry_after_s = asked_to_wait_s(self.headers, self.clock.unix_s(self.record.ended_s))

    def span(self) -> Span:
        """The sighting as the client's own span would be; an attempt still under way ends now."""
        record = self.record
        return attempt_span(
            record,
            layer=self.client,
            asked=(self.method, self.path),
            parent_id=None,
            end_s=record.ended_s if record.ended_s is not None else self.clock.now_s(),
            upstream=self._upstream_end if self.over else None,
            last_byte_s=self._incoming.last_byte_s,
            limit_s=self.read_timeout_s,
        )
