"""What is planted in the way of an attempt: an answer of our own in place of the upstream's, or a fault in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Canned:
    """An answer given without asking the upstream: a status, the API's envelope or a page, some headers.

    `stream` is the text of an event stream, which opens with 200. `retry_at_s`: a Retry-After that is a date, so
    much later.
    """

    status: int
    error: Mapping[str, Any] | None = None
    page: str = ""
    stream: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    after_s: float = 0.2
    retry_at_s: float | None = None

    def render(self, unix_s: float) -> bytes:
        """The answer on the wire."""
        body = (self.stream or self.page).encode()
        kind = "text/event-stream" if self.stream else "text/html; charset=UTF-8"
        if self.error is not None:
            body, kind = orjson.dumps({"error": dict(self.error)}), "application/json"
        fields = [("Date", formatdate(unix_s, usegmt=True)), ("Content-Type", kind), *self.headers]
        if self.retry_at_s is not None:
            fields.append(("retry-after", formatdate(unix_s + self.retry_at_s, usegmt=True)))
        fields += [("Content-Length", str(len(body))), ("x-request-id", "req_planted")]
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
        return f"HTTP/1.1 {self.status} Planted\r\n{lines}\r\n".encode("latin-1") + body


@dataclass(frozen=True, slots=True)
class MockFault:
    """One of the mock's own faults, asked for by its header: ``reset_before_headers``, ``stall=300`` …."""

    name: str


Plant = Canned | MockFault | None
"""None lets an attempt through as it is."""


@dataclass(slots=True)
class Plants:
    """Plants by the order in which attempts come; the last one again and again if `forever`.

    `by_body` counts the attempts of each body apart, for a client that asks for several images at once.
    """

    sequence: tuple[Plant, ...] = ()
    forever: bool = False
    by_body: bool = False
    _came: dict[str, int] = field(default_factory=dict)

    def next(self, digest: str) -> Plant:
        """What is planted for the next attempt with this body."""
        body = digest if self.by_body else ""
        number = self._came.get(body, 0)
        self._came[body] = number + 1
        if number < len(self.sequence):
            return self.sequence[number]
        return self.sequence[-1] if self.forever and self.sequence else None
