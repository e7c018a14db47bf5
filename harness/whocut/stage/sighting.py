"""One request as it looks from just outside the client: what was asked, what came back, which side ended it.

The client knows nothing of us, so that its own timers are seen only by their effect: it leaves. The SDK tells its
read timeout in a header. A client that leaves within 2 % of that timeout was cut by it; one that leaves at any
other moment has cancelled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from whocut.chain.timers import TimerKind
from whocut.client.ending import ended_by
from whocut.client.watch import Watch
from whocut.stage.generating import asks_for_a_generation
from whocut.trace.records import Attempt, UpstreamEnd, new_span_id, new_trace_id

if TYPE_CHECKING:
    from whocut.clock import Clock

_CLOSE_TO: Final = 0.02


class Sighting(Watch):
    """A request under way or over. `digest` is equal for equal requests; `body` is what was asked, as JSON.

    It is an attempt if it `generates`; any other request has a trace of its own, so that no layer's span of it is
    taken for one of an attempt. `came_in` is trace and parent span, where the client sends a traceparent;
    `read_timeout_s` its own timer in model seconds, where it tells it; `idempotency_key` what makes a repeat
    harmless. The API key is kept nowhere.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        client: str,
        method: str,
        path: str,
        digest: str,
        body: dict[str, Any],
        retry_count: int | None,
        read_timeout_s: float | None,
        came_in: tuple[str, str] | None,
        idempotency_key: str | None = None,
    ) -> None:
        self.generates = asks_for_a_generation(method, path, body)
        record = Attempt(
            request="",
            number=1,
            mode="stream" if body.get("stream") in {True, "true"} else "plain",
            trace_id=came_in[0] if came_in and self.generates else new_trace_id(),
            span_id=new_span_id(),
            user=0,
            started_s=clock.now_s(),
        )
        # A tap further out is the parent: then it is not the client that dials this stage.
        parent_id = came_in[1] if came_in and self.generates else None
        super().__init__(record, clock, layer=client, method=method, path=path, parent_id=parent_id)
        self.digest = digest
        self.body = body
        self.retry_count = retry_count
        self.read_timeout_s = read_timeout_s
        self.came_in = came_in
        self.idempotency_key = idempotency_key

    @property
    def started_s(self) -> float:
        """When its request had come, in model seconds."""
        return self.record.started_s

    @property
    def name(self) -> str:
        """What was asked, in a few words: ``GET /v1/models``, and the status if one came."""
        status = self.record.status
        return f"{self.method} {self.path}" + (f" ({status})" if status is not None else "")

    def broken(self, end: UpstreamEnd) -> None:
        """The other side ended it before the response was whole."""
        self.ended(ended_by(end, in_body=self.in_body), str(end))

    def client_left(self) -> None:
        """The client ended it before the response was whole."""
        limit_s = self.read_timeout_s
        since_s = self.last_byte_s if self.last_byte_s is not None else self.record.started_s
        if limit_s and abs(self.clock.now_s() - since_s - limit_s) <= _CLOSE_TO * limit_s:
            timer = TimerKind.IDLE if self.in_body else TimerKind.FIRST_BYTE
            ending = ended_by(UpstreamEnd.CUT, in_body=self.in_body, timer=timer)
            self.ended(ending, "ReadTimeout", directive="timeout.read", limit_s=limit_s)
        else:
            ending = ended_by(UpstreamEnd.ABANDONED, in_body=self.in_body)
            self.ended(ending, None)
