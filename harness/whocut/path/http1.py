"""Where an HTTP/1.1 message begins and ends, and whether it may pass. No sockets, no clock.

A head is checked by one regular expression and searched by a second; what passes goes on as it came, byte for
byte, save for what HTTP says must not travel (`Connection` and what it names) and the `traceparent`.
Bodies are never decoded: a framing only says how many of the bytes at hand belong to the message.

Whatever two readers could understand in two ways is refused: with 400 towards a caller, with 502 where the
upstream sent it (`Malformed.status`). https://www.rfc-editor.org/rfc/rfc9112#section-6.3
"""

from __future__ import annotations

import re
from typing import Final, Protocol

from whocut.errors import Malformed

# Precedents for the whole head: nginx 4 × 8 KiB, HAProxy 16 KiB (tune.bufsize), Node 16 KiB, h11 16 KiB,
# Go 1 MiB. A caller's head beyond ours is answered 431.
MAX_HEAD_BYTES: Final = 64 * 1024
# nginx 8 KiB, Apache 8,190 bytes, gunicorn 4,094; Azure SAS addresses in image edits are long. Beyond: 414.
MAX_LINE_BYTES: Final = 16 * 1024
# Apache's LimitRequestFields 100, gunicorn 100, HAProxy 101 (tune.http.maxhdr), Node 2,000.
MAX_FIELDS: Final = 200
# nginx stops at 1 MiB, Apache at 1 GiB; an image edit may carry 16 images of 50 MB. Beyond: 413.
MAX_BODY_BYTES: Final = 1024**3
# A chunk's size with its extensions. Node 16 KiB, HAProxy its buffer; nobody sends extensions.
MAX_CHUNK_LINE_BYTES: Final = 1024
MAX_TRAILER_BYTES: Final = 16 * 1024

_TOKEN = rb"[!#$%&'*+\-.0-9A-Z^_`a-z|~]"
_FIELD = rb"%b++:[\t -~\x80-\xff]*+\r\n" % _TOKEN
_FIELD_LINE = re.compile(_FIELD)
_REQUEST = re.compile(rb"(%b++) ([!-~\x80-\xff]++) HTTP/1\.([01])\r\n(?:%b)*+\r\n" % (_TOKEN, _FIELD))
_RESPONSE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: [\t -~\x80-\xff]*+)?\r\n(?:%b)*+\r\n" % _FIELD)
_BARE_LF = re.compile(rb"(?<!\r)\n")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[\t ]*;[\t -~\x80-\xff]*)?")

# The fields a hop must read.
_NAMES = (
    rb"(?=[CHKPTUchkptu])"  # one look at the first letter passes most lines by
    rb"(?i:c(?:ontent-length|onnection)|host|keep-alive|proxy-connection|t(?:e|raceparent|ransfer-encoding)|upgrade)"
)
_NOTABLE = re.compile(rb"\r\n(%b):[\t ]*+([^\r]*+)" % _NAMES)
# Most responses: at most one length, nothing else that a hop must read. The length is found while the head is
# checked; every other head is searched by `_NOTABLE`.
_PASSING = rb"(?:(?i:connection:[\t ]*+keep-alive)\r\n|(?!%b:)%b)*+" % (_NAMES, _FIELD)
_USUAL_RESPONSE = re.compile(
    rb"HTTP/1\.1 ([1-9][0-9][0-9])(?: [\t -~\x80-\xff]*+)?\r\n%b"
    rb"(?:(?i:content-length):[\t ]*+([0-9]{1,15})[\t ]*+\r\n%b)?+\r\n" % (_PASSING, _PASSING)
)
_HOST = re.compile(rb"\r\nhost:[^\r]*+", re.IGNORECASE)
_TRACEPARENT = re.compile(rb"\r\ntraceparent:[^\r]*+", re.IGNORECASE)
_HOP_BY_HOP = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"te", b"upgrade"})
# A `Connection` field may name others that end here too; framing and routing are not its to take away.
_NEVER_DROPPED = frozenset(
    {b"", b"close", b"keep-alive", b"te", b"upgrade", b"proxy-connection", b"connection"}
    | {b"content-length", b"transfer-encoding", b"host", b"authorization", b"traceparent"}
)
_BODILESS = frozenset({204, 304})
_IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})


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
    """A response body that ends with its connection: whoever sees the end cannot tell a cut from it."""

    __slots__ = ("done",)
    until_close = True

    def __init__(self) -> None:
        self.done = False

    def take(self, data: bytes, at: int) -> int:  # noqa: ARG002  # everything, from wherever
        """All of it."""
        return len(data)


_SIZE, _DATA, _AFTER, _TRAILER = range(4)


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
            Malformed: a size that is none, a chunk that does not end, too large a body or trailer.
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
            if self._state == _TRAILER:
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
        limit = MAX_TRAILER_BYTES if self._state == _TRAILER else MAX_CHUNK_LINE_BYTES
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
        self._state = _DATA if self._left else _TRAILER

    def _trailing(self, line: bytes) -> bool:
        if line == b"\r\n":
            self.done = True
            return True
        self._trailer += len(line)
        if self._trailer > MAX_TRAILER_BYTES or not _FIELD_LINE.fullmatch(line):
            raise Malformed("a trailer is not a header field", status=self._status)
        return False


class HeadReader:
    """Collects bytes until a head is complete; a whole one passes without a copy."""

    __slots__ = ("_so_far", "_status")

    def __init__(self, *, status: int) -> None:
        self._status = status
        self._so_far = b""

    def __bool__(self) -> bool:
        return bool(self._so_far)

    def take(self, data: bytes) -> tuple[bytes, int] | None:
        """All bytes so far with the index after the head, or None while there is no whole one.

        Raises:
            Malformed: the head is too long, or cannot become one.
        """
        scan = 0
        if not self._so_far:
            end = data.find(b"\r\n\r\n")
            if 0 < end < MAX_HEAD_BYTES and data[0] != 13:
                return data, end + 4  # the usual case: one read, one head
        else:
            scan = max(0, len(self._so_far) - 3)
            data = self._so_far + data
        while data.startswith(b"\r\n"):  # RFC 9112 §2.2: an empty line before a head is to be ignored
            data = data[2:]
            scan = 0
        end = data.find(b"\r\n\r\n", scan)
        if end < 0 or end > MAX_HEAD_BYTES:
            # A bare line feed would keep us waiting for an end that another reader has already seen.
            if _BARE_LF.search(data, max(0, scan - 1)):
                raise Malformed("a line of the head ends in a bare line feed", status=self._status)
            if len(data) > MAX_HEAD_BYTES:
                raise Malformed("the head is too large", status=431 if self._status == 400 else 502)
            self._so_far = data
            return None
        self._so_far = b""
        return data, end + 4


def _read_fields(
    raw: bytes, at: int, *, minor: bool, status: int
) -> tuple[int | None, bool, bool, int, bytes | None, bool]:
    """Length, chunked, close, number of hosts, traceparent, and whether something in this head ends here."""
    length: int | None = None
    traceparent: bytes | None = None
    chunked = edited = False
    close = not minor
    hosts = 0
    for name, value in _NOTABLE.findall(raw, at):
        name = name.lower()  # noqa: PLW2901  # the name is what it is in lower case
        if name == b"host":
            hosts += 1
        elif name == b"content-length":
            digits = value.rstrip()  # at most 15 of them: beyond is no body but a test of somebody's integers
            if length is not None or not digits.isdigit() or len(digits) > 15:
                raise Malformed("Content-Length is not one number", status=status)
            length = int(digits)
        elif name == b"connection" and value.lower() == b"keep-alive":
            pass  # it ends here, but ours to the next says the same, word for word
        elif name == b"transfer-encoding":
            if chunked or value.rstrip().lower() != b"chunked":
                raise Malformed("Transfer-Encoding is not 'chunked' once", status=status)
            chunked = True
        elif name == b"traceparent":
            # W3C: more than one is as good as none.
            edited = edited or traceparent is not None
            traceparent = value.rstrip() if traceparent is None else b""
        else:
            edited = True
            close = close or (name == b"connection" and b"close" in _listed(value))
    if chunked and (length is not None or not minor):
        raise Malformed("Transfer-Encoding stands with Content-Length, or in HTTP/1.0", status=status)
    return length, chunked, close, hosts, traceparent, edited


def _listed(value: bytes) -> set[bytes]:
    return {name.strip(b" \t").lower() for name in value.split(b",")}


def _ending_here(raw: bytes) -> list[tuple[int, int]]:
    """The lines of a head that concern this connection only, and any `traceparent` after the first."""
    lines = []
    traceparents = 0
    for found in _NOTABLE.finditer(raw):
        name = found[1].lower()
        traceparents += name == b"traceparent"
        if name in _HOP_BY_HOP or (name == b"traceparent" and traceparents > 1):
            lines.append((found.start() + 2, found.end() + 2))
        if name == b"connection":
            for other in _listed(found[2]) - _NEVER_DROPPED:
                named = re.compile(rb"\r\n%b:[^\r]*+" % re.escape(other), re.IGNORECASE)
                lines += [(line.start() + 2, line.end() + 2) for line in named.finditer(raw)]
    return lines


def _spliced(raw: bytes, lines: list[tuple[int, int]], *instead: tuple[int, int, bytes]) -> bytes:
    """The head without these lines, and with other bytes in the place of some."""
    edits = [*((start, end, b"") for start, end in lines), *instead]
    pieces: list[bytes] = []
    at = 0
    for start, end, put in sorted(edits):
        if start >= at:
            pieces += (raw[at:start], put)
            at = end
    pieces.append(raw[at:])
    return b"".join(pieces)


class RequestHead:
    """A request's head: what the hop must know of it, and how it goes on."""

    __slots__ = ("_edited", "_raw", "close", "framing", "method", "minor", "target", "traceparent")

    def __init__(self, raw: bytes, match: re.Match[bytes]) -> None:
        self._raw = raw
        self.method, self.target, minor = match.groups()
        self.minor = minor == b"1"
        length, chunked, self.close, hosts, self.traceparent, self._edited = _read_fields(
            raw, match.end(3), minor=self.minor, status=400
        )
        if hosts != 1 and (hosts or self.minor):
            raise Malformed("Host is not given exactly once")
        if self.method == b"CONNECT":
            raise Malformed("a hop is no tunnel: CONNECT is not taken", status=501)
        self.framing: Framing | None = None
        if chunked:
            self.framing = Chunked(status=400)
        elif length:
            if length > MAX_BODY_BYTES:
                raise Malformed("the body is too large", status=413)
            self.framing = Counted(length)

    @property
    def idempotent(self) -> bool:
        """Whether sending it twice means the same as sending it once (RFC 9110 §9.2.2)."""
        return self.method in _IDEMPOTENT

    def forwarded(self, traceparent: bytes | None, host: bytes | None = None) -> bytes:
        """The head for the next layer; with None, traceparent and host go on as they came."""
        raw = self._raw
        if host is not None:
            came = _HOST.search(raw)
            raw = (
                raw[:-2] + b"Host: %b\r\n\r\n" % host  # HTTP/1.0 may come without
                if came is None
                else _spliced(raw, [], (came.start() + 2, came.end(), b"Host: %b" % host))
            )
        lines = _ending_here(raw) if self._edited else []
        if traceparent is None:
            return _spliced(raw, lines) if lines else raw
        line = b"traceparent: %b\r\n" % traceparent
        if self.traceparent is None:
            return _spliced(raw, [*lines], (len(raw) - 2, len(raw) - 2, line))
        came = _TRACEPARENT.search(raw)
        assert came is not None
        return _spliced(raw, lines, (came.start() + 2, came.end() + 2, line))


class ResponseHead:
    """A response's head: what the hop must know of it, and how it goes on."""

    __slots__ = ("_edited", "_raw", "close", "framing", "minor", "status")

    def __init__(self, raw: bytes, *, to_head: bool) -> None:
        self._raw = raw
        length: int | None
        usual = _USUAL_RESPONSE.fullmatch(raw)
        if usual is not None:
            status, digits = usual.groups()
            length = int(digits) if digits else None
            chunked = self.close = self._edited = False
            self.minor = True
        else:
            match = _RESPONSE.fullmatch(raw)
            if match is None:
                raise Malformed("the response's head is not HTTP/1.1", status=502)
            minor, status = match.groups()
            self.minor = minor == b"1"
            length, chunked, self.close, _, _, self._edited = _read_fields(
                raw, match.end(2), minor=self.minor, status=502
            )
        self.status = int(status)
        self.framing: Framing | None = None
        if to_head or self.status < 200 or self.status in _BODILESS:
            return
        if chunked:
            self.framing = Chunked(status=502)
        elif length is None:
            self.framing = UntilClose()
            self.close = True
        elif length:
            self.framing = Counted(length)

    def forwarded(self, *, close: bool, chunk: bool) -> bytes:
        """The head for the caller, saying what becomes of the connection and of a body with no end."""
        raw = self._raw
        if not close and not chunk and self.minor and not self._edited:
            return raw
        head = _spliced(raw, _ending_here(raw))
        if not self.minor:
            head = b"HTTP/1.1" + head[8:]
        coding = b"Transfer-Encoding: chunked\r\n" if chunk else b""
        connection = b"Connection: close\r\n" if close else b""
        return b"".join((head[:-2], coding, connection, b"\r\n"))


def parse_request(raw: bytes) -> RequestHead:
    """A caller's head, from its first byte to its empty line.

    Raises:
        Malformed: it is no HTTP/1.1 request, or one that two readers could take for two things.
    """
    match = _REQUEST.fullmatch(raw)
    if match is None or match.end(2) > MAX_LINE_BYTES:
        raise _what_is_wrong(raw)
    if raw.count(b"\n") > MAX_FIELDS:
        raise Malformed("the head has too many fields", status=431)
    return RequestHead(raw, match)


def parse_response(raw: bytes, *, to_head: bool) -> ResponseHead:
    """An upstream's head; `to_head`: it answers a HEAD, so whatever it says, no body follows.

    Raises:
        Malformed: it is no HTTP/1.1 response, or one that two readers could take for two things.
    """
    if raw.count(b"\n") > MAX_FIELDS:
        raise Malformed("the response's head has too many fields", status=502)
    return ResponseHead(raw, to_head=to_head)


def chunk(data: bytes) -> bytes:
    """The bytes as one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK: Final = b"0\r\n\r\n"


# What can be wrong with a line of a head, from the most to the least telling.
_LINE_FAULTS: Final = (
    (re.compile(rb"[ \t].*", re.DOTALL), "a header field goes on over the end of its line"),
    (re.compile(rb"%b+[ \t]+:.*" % _TOKEN, re.DOTALL), "there is a space before the colon of a header field"),
    (re.compile(rb"(?!%b+:[\t -~\x80-\xff]*\Z).*" % _TOKEN, re.DOTALL), "a line is not a header field"),
)
_OTHER_VERSION = re.compile(rb"\S+ \S+ HTTP/[02-9](\.[0-9])?")


def _what_is_wrong(raw: bytes) -> Malformed:
    """The sentence, and the status, for a request head that did not pass."""
    line, _, fields = raw.partition(b"\r\n")
    if len(line) > MAX_LINE_BYTES:
        return Malformed("the request line is too long", status=414)
    if _OTHER_VERSION.fullmatch(line):
        return Malformed("it is another version of HTTP", status=505)
    if _REQUEST.fullmatch(line + b"\r\n\r\n"):
        for field in fields[:-4].split(b"\r\n"):
            for fault, sentence in _LINE_FAULTS:
                if fault.fullmatch(field):
                    return Malformed(sentence)
    return Malformed("the first line is not 'METHOD target HTTP/1.1'")
