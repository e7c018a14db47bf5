"""A response as it comes in: when, how much, with which gaps, and which of its bytes meant something."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from whocut.client.body import EventBody, JsonBody

if TYPE_CHECKING:
    from collections.abc import Mapping

    from whocut.trace.records import Attempt


@dataclass(slots=True)
class Incoming:
    """Written into the attempt's `record` as it comes; `body` None until the head has come."""

    record: Attempt
    body: JsonBody | EventBody | None = None
    last_byte_s: float | None = None

    def head(self, now_s: float, status: int, headers: Mapping[str, str]) -> None:
        """The response's head has come."""
        self.record.status = status
        self.record.first_byte_s = self.last_byte_s = now_s
        streamed = headers.get("content-type", "").startswith("text/event-stream")
        self.body = EventBody() if streamed else JsonBody()

    def data(self, now_s: float, data: bytes) -> None:
        """Bytes of the body have come."""
        assert self.body is not None
        assert self.last_byte_s is not None
        if self.record.bytes:
            gap_s = now_s - self.last_byte_s
            self.record.largest_gap_s = max(gap_s, self.record.largest_gap_s or 0.0)
        self.last_byte_s = now_s
        self.record.bytes += len(data)
        self.record.arrivals_s += [now_s] * len(self.body.feed(data))

    @property
    def said_its_last_word(self) -> bool:
        """Whether a stream's last event has come: how its connection ends after that is nobody's loss."""
        return isinstance(self.body, EventBody) and bool(self.body.whole or self.body.error)
