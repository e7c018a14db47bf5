"""What a tap reads of the bytes that pass: where requests and responses begin and end. No sockets, no clock.

Bytes go on at once and as they came. In a request's head two fields may be changed, its `traceparent` and `Host`;
so the end of a line that has not come whole may wait for its rest. What cannot be read is passed on unread, and so
is everything after it on that connection: `readable` is False then.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol

from whocut.errors import Malformed
from whocut.path.framing import Chunked
from whocut.path.http1 import HeadReader, parse_request, parse_response

if TYPE_CHECKING:
    from whocut.path.framing import Framing
    from whocut.path.http1 import RequestHead
    from whocut.path.looks import Look

_TRACEPARENT: Final = re.compile(rb"(?im)^traceparent:[^\n]*\n")
_HOST: Final = re.compile(rb"(?im)^host:[^\n]*\n")
_EXPECT: Final = re.compile(rb"(?im)^expect:[^\n]*\n")
_TLS: Final = b"\x16\x03"  # a handshake record, of any version since SSL 3
_HTTP_2: Final = b"PRI * HTTP/2"


class Exchanges(Protocol):
    """What hears where requests and responses begin and end."""

    def asked(self, head: RequestHead, raw: bytes) -> Look:
        """A request's head is whole."""

    def all_asked(self, look: Look) -> bytes | None:
        """A request is whole; returns fields to add where it was held, or None if it is not to go on."""

    def awaited(self) -> Look | None:
        """The look whose response comes next; None where nothing was asked."""

    def awaits_head_only(self) -> bool:
        """Whether that response answers a HEAD."""

    def all_answered(self) -> None:
        """A response is whole."""

    def strange(self, protocol: str) -> None:
        """The connection does not begin with HTTP/1.1 but with this."""


class Requests:
    """The caller's bytes. `take` returns what goes up: with the look's `traceparent` if `marks`.

    Where requests are held (`holds`), each goes up when it is whole and its look has said with which fields.
    `reads`: looks get the bodies.
    """

    __slots__ = (
        "_authority",
        "_begun",
        "_exchanges",
        "_framing",
        "_heads",
        "_held",
        "_holds",
        "_line",
        "_look",
        "_marks",
        "_midline",
        "_reads",
        "readable",
    )

    def __init__(
        self,
        exchanges: Exchanges,
        *,
        authority: bytes | None,
        marks: bool,
        holds: bool = False,
        reads: bool = False,
    ) -> None:
        self._exchanges = exchanges
        self._authority = authority  # the `Host` to send; None: as it came
        self._marks = marks
        self._holds = holds
        self._reads = reads
        self._heads = HeadReader(status=400)
        self._begun = False  # some lines of the head that is being read have gone up
        self._line = b""  # the beginning of a line that may become a field of ours
        self._midline = False  # the beginning of a line has gone up, and its rest goes after it
        self._look: Look | None = None
        self._framing: Framing | None = None
        self._held: list[bytes] = []  # of a request that is not whole
        self.readable = True

    def take(self, data: bytes) -> bytes:
        """Bytes from the caller."""
        up: list[bytes] = []
        at = 0
        while at < len(data):
            if not self.readable:
                up += [*self._held, data[at:]]
                self._held = []
                break
            at = self._take_body(data, at, up) if self._look is not None else self._take_head(data, at, up)
        return up[0] if len(up) == 1 else b"".join(up)

    def rest(self) -> bytes:
        """What is held of a line that will not be whole; a request that was held back stays so."""
        held, self._line = self._line, b""
        return held

    def _take_body(self, data: bytes, at: int, up: list[bytes]) -> int:
        look, framing = self._look, self._framing
        assert look is not None
        assert framing is not None
        try:
            end = framing.take(data, at)
        except Malformed:
            self.readable = False
            return at
        piece = data if end - at == len(data) else data[at:end]
        (self._held if self._holds else up).append(piece)
        if self._reads:
            for payload in _payload(framing, piece):
                look.request_body(payload)
        if framing.done:
            self._whole(look, up)
        return end

    def _take_head(self, data: bytes, at: int, up: list[bytes]) -> int:
        piece = data[at:] if at else data
        if not self._heads and not self._begun and piece[:2] == _TLS:
            self._exchanges.strange("TLS")
            self.readable = False
            return at
        try:
            whole = self._heads.take(piece)
            head = parse_request(whole[0][: whole[1]]) if whole is not None else None
        except Malformed:
            if (b"".join(self._held) + self._line + piece).startswith(_HTTP_2):
                self._exchanges.strange("HTTP/2")
            up.append(self.rest())
            self.readable = False
            return at
        if whole is None or head is None:
            if self._holds:
                self._held.append(piece)
            else:
                self._pass_lines(self._line + piece, up)
            return len(data)
        end = len(piece) - (len(whole[0]) - whole[1])
        look = self._look = self._exchanges.asked(head, whole[0][: whole[1]])
        framing = self._framing = head.framing
        if self._reads and isinstance(framing, Chunked):
            framing.payload = []
        if self._holds:
            self._held = [whole[0][: whole[1]]]
        else:
            up.append(self._edited(self._line + piece[:end], look.traceparent))
        self._begun, self._midline, self._line = False, False, b""
        if framing is None:
            self._whole(look, up)
        return at + end

    def _whole(self, look: Look, up: list[bytes]) -> None:
        self._look = self._framing = None
        fields = self._exchanges.all_asked(look)
        if self._holds and fields is not None:
            head, *body = self._held
            up += [_EXPECT.sub(b"", self._without(head))[:-2], fields, b"\r\n", *body]
        self._held = []

    def _pass_lines(self, held: bytes, up: list[bytes]) -> None:
        """Pass what has come of a head, without the fields that are ours to write."""
        cut = held.rfind(b"\n") + 1
        line = held[cut:]
        up.append(self._without(held[:cut]))
        if self._midline and not cut:
            up.append(line)
        elif self._may_be_ours(line):
            self._midline, self._line = False, line
        else:
            self._midline, self._line = bool(line), b""
            up.append(line)
        self._begun = True

    def _may_be_ours(self, line: bytes) -> bool:
        """Whether this may be the beginning of a line that is not passed as it is, or of the last one."""
        names = (b"traceparent:", b"\r\n") * self._marks + (b"host:",) * (self._authority is not None)
        begins = line.lower()
        return bool(line) and any(name.startswith(begins) or begins.startswith(name) for name in names)

    def _without(self, lines: bytes) -> bytes:
        if self._midline:
            cut = lines.find(b"\n") + 1
            if cut:
                self._midline = False
            return lines[:cut] + self._without(lines[cut:]) if cut else lines
        if self._marks:
            lines = _TRACEPARENT.sub(b"", lines)
        return lines if self._authority is None else _HOST.sub(b"Host: %b\r\n" % self._authority, lines)

    def _edited(self, raw: bytes, traceparent: bytes | None) -> bytes:
        """The head, or its last lines."""
        lines = self._without(raw)
        return b"%btraceparent: %b\r\n\r\n" % (lines[:-2], traceparent) if traceparent else lines


class Responses:
    """The upstream's bytes. `take` returns what goes down; `rewrites` and `reads` are the onlooker's."""

    __slots__ = (
        "_exchanges",
        "_framing",
        "_heads",
        "_held",
        "_in_body",
        "_reads",
        "_rewrites",
        "ended",
        "readable",
    )

    def __init__(self, exchanges: Exchanges, *, rewrites: bool = False, reads: bool = False) -> None:
        self._exchanges = exchanges
        self._rewrites = rewrites
        self._reads = reads
        self._heads = HeadReader(status=502)
        self._in_body = False
        self._framing: Framing | None = None
        self._held: list[bytes] = []  # of a head that a look rewrites
        self.readable = True
        self.ended = False  # the last bytes taken ended a response

    @property
    def ends_with_connection(self) -> bool:
        """Whether a close is the good end of the response that is being read."""
        return self._in_body and self._framing is not None and self._framing.until_close

    def take(self, data: bytes, now_s: float) -> bytes:
        """Bytes from the upstream.

        Raises:
            Malformed: they are not HTTP/1.1; they and what follows are to be passed unread.
        """
        self.ended = False
        look = self._exchanges.awaited()
        if not self.readable or (look is None and not self._in_body and not self._heads):
            return data  # nothing was asked: some servers say 408 before they close an idle connection
        down: list[bytes] | None = [] if self._rewrites else None
        at = 0
        try:
            while at < len(data) and self.readable:
                at = self._take(data, at, now_s, down)
        except Malformed:
            self.readable = False
            raise
        return data if down is None else b"".join((*down, data[at:]))

    def rest(self) -> bytes:
        """What is held of a head that will not be whole."""
        held, self._held = b"".join(self._held), []
        return held

    def _take(self, data: bytes, at: int, now_s: float, down: list[bytes] | None) -> int:
        look = self._exchanges.awaited()
        if look is None:
            if down is not None:
                down.append(data[at:])
            return len(data)
        if not self._in_body:
            return self._take_head(look, data, at, now_s, down)
        framing = self._framing
        end = at if framing is None else framing.take(data, at)
        look.bytes_came(end - at, now_s)
        piece = data if end - at == len(data) else data[at:end]
        if down is not None:
            down.append(piece)
        if self._reads and piece:
            for payload in _payload(framing, piece):
                look.response_body(payload)
        if framing is None or framing.done:
            self._end()
        return end

    def _take_head(self, look: Look, data: bytes, at: int, now_s: float, down: list[bytes] | None) -> int:
        piece = data[at:] if at else data
        whole = self._heads.take(piece)
        if whole is None:
            look.bytes_came(len(piece), now_s)
            if self._rewrites:
                self._held.append(piece)
            return len(data)
        self._held = []
        came, end = whole
        end_here = len(piece) - (len(came) - end)
        look.bytes_came(end_here, now_s)
        raw = came[:end]
        head = parse_response(raw, to_head=self._exchanges.awaits_head_only())
        sent = look.answered(head.status, raw)
        if down is not None:
            down.append(sent)
        if head.status == 101:
            self.readable = False  # another protocol from here on
            self._end()
        elif head.status < 200:
            look.interim()
        else:
            self._in_body = True
            framing = self._framing = head.framing
            if self._reads and isinstance(framing, Chunked):
                framing.payload = []
            if framing is None:
                self._end()
        return at + end_here

    def _end(self) -> None:
        self._in_body = False
        self._framing = None
        self.ended = True
        self._exchanges.all_answered()

    def close(self) -> None:
        """The upstream's close has ended the response in good order."""
        self._end()


def _payload(framing: Framing | None, piece: bytes) -> list[bytes]:
    if not isinstance(framing, Chunked):
        return [piece]
    payload, framing.payload = framing.payload or [], []
    return payload
