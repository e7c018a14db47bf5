"""Whether an answer is whole: only its end marker tells.

A cut stream may look complete: the layer that cut sent a terminating chunk, or the body is close-delimited. So the
way in which the bytes end proves nothing. Valid JSON does, and the stream's last event does.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

import orjson

LAST_EVENTS = frozenset({"image_generation.completed", "image_edit.completed", "response.completed"})
ERROR_EVENTS = frozenset({"error", "response.failed"})
_KEEP_ERROR_BYTES = 65_536  # an error event is a line; an image never ends up in here
# The end of an event's line holds its `usage`, behind an image of any size.
_KEEP_TAIL_BYTES = 4096
_USAGE = re.compile(r'(?<!\\)"usage"\s*:\s*')


@dataclass(slots=True)
class JsonBody:
    """A body in one piece, kept until it ends."""

    chunks: list[bytes] = field(default_factory=list)

    def feed(self, data: bytes) -> list[str]:
        """Take bytes; a JSON body has no events."""
        self.chunks.append(data)
        return []

    def parse(self) -> dict[str, Any] | None:
        """The object it holds; None: it holds no object, or is not whole."""
        try:
            value = orjson.loads(b"".join(self.chunks))
        except orjson.JSONDecodeError:
            return None
        return value if isinstance(value, dict) else None

    @property
    def whole(self) -> bool:
        """Whether it is a complete JSON object."""
        return self.parse() is not None

    @property
    def has_image(self) -> bool:
        """Whether there is an image in it, or the address of one."""
        answer = self.parse() or {}
        inner = answer.get("response")  # a line of a batch's answers
        if isinstance(inner, dict) and isinstance(inner.get("body"), dict):
            answer = inner["body"]
        return any(
            isinstance(each, dict) and bool(each.get("b64_json") or each.get("url") or each.get("result"))
            for name in ("data", "output")  # of the Images API, of the Responses API
            for each in _list(answer.get(name))
        )

    @property
    def error(self) -> dict[str, Any] | None:
        """The API's error envelope, if that is what came."""
        return envelope(self.parse())

    @property
    def usage(self) -> object:
        """What the API says was used; None where it does not."""
        return (self.parse() or {}).get("usage")


@dataclass(slots=True)
class EventBody:
    """A body of server-sent events, read for their names alone: the images in them are not kept."""

    seen: list[str] = field(default_factory=list)
    error: dict[str, Any] | None = None
    usage: object = None  # what the last event says was used
    _name: str | None = None
    _line: bytearray = field(default_factory=bytearray)
    _tail: bytes = b""
    _long: bool = False

    def feed(self, data: bytes) -> list[str]:
        """Take bytes; the names of the events that became complete."""
        complete: list[str] = []
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            self._extend(data[start:end])
            self._line_done(complete)
            start = end + 1
        self._extend(data[start:])
        return complete

    def _extend(self, piece: bytes) -> None:
        room = _KEEP_ERROR_BYTES - len(self._line)
        self._line += piece[:room]
        self._long = self._long or len(piece) > room
        self._tail = (self._tail + piece[-_KEEP_TAIL_BYTES:])[-_KEEP_TAIL_BYTES:]

    def _line_done(self, complete: list[str]) -> None:
        line = bytes(self._line).rstrip(b"\r")
        self._line.clear()
        whole, self._long = not self._long, False
        tail, self._tail = self._tail, b""
        if line.startswith(b"event:"):
            self._name = line[6:].strip().decode("utf-8", "replace")
        elif line.startswith(b"data:") and self._name in ERROR_EVENTS and whole:
            try:
                self.error = envelope(orjson.loads(line[5:])) or {
                    "message": line[5:].decode("utf-8", "replace")
                }
            except orjson.JSONDecodeError:
                self.error = {"message": line[5:].decode("utf-8", "replace")}
        elif line.startswith(b"data:") and self._name in LAST_EVENTS:
            self.usage = _usage_at_the_end(tail)
        elif not line and self._name is not None:
            complete.append(self._name)
            self.seen.append(self._name)
            self._name = None

    @property
    def whole(self) -> bool:
        """Whether the last event has come."""
        return any(name in LAST_EVENTS for name in self.seen)

    @property
    def has_image(self) -> bool:
        """Whether the image has come: the last event brings it."""
        return self.whole


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def envelope(value: object) -> dict[str, Any] | None:
    """``{"error": {"message": …}}`` as the API answers it; gateways write other shapes."""
    if isinstance(value, dict) and isinstance(value.get("error"), dict) and "message" in value["error"]:
        return dict(value["error"])
    return None


def _usage_at_the_end(line: bytes) -> object:
    """The last `usage` of a line of JSON whose beginning may be missing."""
    text = line.decode("utf-8", "replace")
    found = list(_USAGE.finditer(text))
    if not found:
        return None
    try:
        usage: object = json.JSONDecoder().raw_decode(text, found[-1].end())[0]
    except (ValueError, RecursionError):
        return None
    return usage
