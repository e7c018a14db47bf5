"""Where a body ends: by its length, by its chunks, or with its connection. Bodies are never decoded.

A framing only says how many of the bytes at hand belong to the message. Between two pieces it keeps less than a
line, and it looks at each byte once or twice, however the body was cut into pieces.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

from whocut.errors import Malformed

# nginx stops at 1 MiB, Apache at 1 GiB; an image edit may carry 16 images of 50 MB. Beyond: 413.
MAX_BODY_BYTES: Final = 1024**3
# A chunk's size with its extensions. Node 16 KiB, HAProxy its buffer; extensions are not used.
MAX_CHUNK_LINE_BYTES: Final = 1024
MAX_TRAILER_BYTES: Final = 16 * 1024

TOKEN: Final = rb"[!#$%&'*+\-.0-9A-Z^_`a-z|~]"
FIELD: Final = rb"%b++:[\t -~\x80-\xff]*+\r\n" % TOKEN
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[\t ]*;[\t -~\x80-\xff]*)?")
# What frames, routes, vouches for or names a message belongs in its head: a reader that joins trailers to the head
# would take it from here. https://www.rfc-editor.org/rfc/rfc9110#section-6.5.1
_HEADS_ONLY = (
    rb"content-(?:encoding|length|range|type)|transfer-encoding|te|trailer|connection|upgrade|host|expect|traceparent"
    rb"|(?:proxy-)?authorization|(?:set-)?cookie|location|retry-after"
)
_TRAILER = re.compile(rb"(?!(?i:%b)[\t ]*:)%b" % (_HEADS_ONLY, FIELD))


class Framing(Protocol):
    """How one body ends. `done` once its last byte has been seen."""

    done: bool
    until_close: bool

    def take(self, data: bytes, at: int) -> int:
        """The index after the last byte of `data`, from `at` on, that belongs to this body."""


class Counted:
    """A body of Content-Length bytes."""

    __slots__ = ("done", "left")
    until_close = False

    def __init__(self, length: int) -> None:
        self.left = length
        self.done = not length

    def take(self, data: bytes, at: int) -> int:
        """Up to as many bytes as are left."""
        there = len(data) - at
        if there < self.left:
            self.left -= there
            return len(data)
        end = at + self.left
        self.left = 0
        self.done = True
        return end


class UntilClose:
    """A response body that ends with its connection: its end and a cut look the same."""

    __slots__ = ("done",)
    until_close = True

    def __init__(self) -> None:
        self.done = False

    def take(self, data: bytes, at: int) -> int:  # noqa: ARG002  # everything, from wherever
        """All of it."""
        return len(data)


_SIZE, _DATA, _AFTER, _TRAILERS = range(4)


class Chunked:
    """A body in chunks. `payload`, where it is a list, collects the bytes between the framing."""

    __slots__ = ("_left", "_line", "_state", "_status", "_total", "_trailer", "done", "payload")
    until_close = False

    def __init__(self, *, status: int) -> None:
        self.done = False
        self.payload: list[bytes] | None = None
        self._status = status  # 400 or 502: whose fault it would be
        self._state = _SIZE
        self._left = 0
        self._line = b""  # the part of a line that came so far
        self._total = 0
        self._trailer = 0

    def take(self, data: bytes, at: int) -> int:
        """Everything up to the end of the trailers.

        Raises:
            Malformed: an invalid size, a chunk that does not end, too large a body or trailer.
        """
        size = len(data)
        while at < size:
            if self._state == _DATA:
                end = min(size, at + self._left)
                if self.payload is not None:
                    self.payload.append(data[at:end])
                self._left -= end - at
                at = end
                if not self._left:
                    self._state = _AFTER
                continue
            newline = data.find(b"\n", at)
            if newline < 0:
                self._line += data[at:]
                self._check_length()
                return size
            line = self._line + data[at : newline + 1]
            self._line = b""
            at = newline + 1
            if self._state == _TRAILERS:
                if self._trailing(line):
                    return at
            elif self._state == _AFTER:
                if line != b"\r\n":
                    raise Malformed("a chunk does not end where its size says", status=self._status)
                self._state = _SIZE
            else:
                self._sized(line)
        return at

    def _check_length(self) -> None:
        limit = MAX_TRAILER_BYTES if self._state == _TRAILERS else MAX_CHUNK_LINE_BYTES
        if len(self._line) > limit or (self._state == _AFTER and not b"\r\n".startswith(self._line)):
            raise Malformed("a line between chunks does not end", status=self._status)
        if self._state == _SIZE and self._line[:1] not in b"0123456789abcdefABCDEF":
            raise Malformed("a chunk's size is not a number", status=self._status)

    def _sized(self, line: bytes) -> None:
        match = _CHUNK_LINE.fullmatch(line, 0, len(line) - 2) if line.endswith(b"\r\n") else None
        if match is None or len(line) > MAX_CHUNK_LINE_BYTES:
            raise Malformed("a chunk's size is not a number", status=self._status)
        self._left = int(match[1], 16)
        self._total += self._left
        if self._total > MAX_BODY_BYTES:
            raise Malformed("the body is too large", status=413 if self._status == 400 else 502)
        self._state = _DATA if self._left else _TRAILERS

    def _trailing(self, line: bytes) -> bool:
        if line == b"\r\n":
            self.done = True
            return True
        self._trailer += len(line)
        if self._trailer > MAX_TRAILER_BYTES or not _TRAILER.fullmatch(line):
            raise Malformed("a trailer is not a header field, or may not be one", status=self._status)
        return False


def chunk(data: bytes) -> bytes:
    """The bytes as one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK: Final = b"0\r\n\r\n"
