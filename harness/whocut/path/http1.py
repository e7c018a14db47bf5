"""Where an HTTP/1.1 message begins and ends, and whether it may pass. No sockets, no clock.

A head is checked by one regular expression and searched by a second. What passes is handed on as it came, byte for
byte. Exceptions: the `traceparent`, and what HTTP says must not travel (`Connection` and what it names).
Where a body ends is `framing`'s.

Whatever two readers could understand in two ways is refused: with 400 towards a caller, with 502 where the
upstream sent it (`Malformed.status`). https://www.rfc-editor.org/rfc/rfc9112#section-6.3
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from whocut.errors import Malformed
from whocut.path.framing import FIELD, MAX_BODY_BYTES, TOKEN, Chunked, Counted, UntilClose

if TYPE_CHECKING:
    from whocut.path.framing import Framing

# Precedents for the whole head: nginx 4 × 8 KiB, HAProxy 16 KiB (tune.bufsize), Node 16 KiB, h11 16 KiB,
# Go 1 MiB. A caller's head beyond ours is answered 431.
MAX_HEAD_BYTES: Final = 64 * 1024
# nginx 8 KiB, Apache 8,190 bytes, gunicorn 4,094; Azure SAS addresses in image edits are long. Beyond: 414.
MAX_LINE_BYTES: Final = 16 * 1024
# Apache's LimitRequestFields 100, gunicorn 100, HAProxy 101 (tune.http.maxhdr), Node 2,000.
MAX_FIELDS: Final = 200

_REQUEST = re.compile(rb"(%b++) ([!-~\x80-\xff]++) HTTP/1\.([01])\r\n(?:%b)*+\r\n" % (TOKEN, FIELD))
_RESPONSE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: [\t -~\x80-\xff]*+)?\r\n(?:%b)*+\r\n" % FIELD)
_EMPTY_LINES = re.compile(rb"(?:\r\n)*+")
_BARE_LF = re.compile(rb"(?<!\r)\n")

# The fields a hop must read.
_NAMES = (
    rb"(?=[CHKPTUchkptu])"  # one look at the first letter passes most lines by
    rb"(?i:c(?:ontent-length|onnection)|host|keep-alive|proxy-connection|t(?:e|raceparent|ransfer-encoding)|upgrade)"
)
_NOTABLE = re.compile(rb"\r\n(%b):[\t ]*+([^\r]*+)" % _NAMES)
# Most responses: at most one length, nothing else that a hop must read. The length is found while the head is
# checked; every other head is searched by `_NOTABLE`.
_PASSING = rb"(?:(?i:connection:[\t ]*+keep-alive)\r\n|(?!%b:)%b)*+" % (_NAMES, FIELD)
_USUAL_RESPONSE = re.compile(
    rb"HTTP/1\.1 ([1-9][0-9][0-9])(?: [\t -~\x80-\xff]*+)?\r\n%b"
    rb"(?:(?i:content-length):[\t ]*+([0-9]{1,15})[\t ]*+\r\n%b)?+\r\n" % (_PASSING, _PASSING)
)
_HOST = re.compile(rb"\r\nhost:[^\r]*+", re.IGNORECASE)
# A name or address, and a port; a list or a user in it would be read in two ways.
_AUTHORITY = re.compile(rb"[!$%&'()*+\-.0-9:;=A-Z\[\]_a-z~]*+")
_ABSOLUTE = re.compile(rb"http(s?)://([^/?#]++)([^#]*+)", re.IGNORECASE)
_LINE = re.compile(rb"\r\n([^\r:]++):[^\r]*+")
_TRACEPARENT = re.compile(rb"\r\ntraceparent:[^\r]*+", re.IGNORECASE)
_HOP_BY_HOP = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"te", b"upgrade"})
# A `Connection` field may name others that end here too; framing and routing are not its to take away.
_NEVER_DROPPED = frozenset(
    {b"", b"close", b"keep-alive", b"te", b"upgrade", b"proxy-connection", b"connection"}
    | {b"content-length", b"transfer-encoding", b"host", b"authorization", b"traceparent"}
)
_BODILESS = frozenset({204, 304})
_IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})


class HeadReader:
    """Collects bytes until a head is complete; a whole one passes without a copy.

    Empty lines before a head are skipped, as RFC 9112 §2.2 wants it, and count into the head's bound.
    """

    __slots__ = ("_skipped", "_so_far", "_status")

    def __init__(self, *, status: int) -> None:
        self._status = status
        self._so_far: bytearray | None = None  # most heads come whole
        self._skipped = 0

    def __len__(self) -> int:
        return len(self._so_far or b"") + self._skipped

    def take(self, data: bytes) -> tuple[bytes, int] | None:
        """All bytes so far with the index after the head, or None while there is no whole one.

        Raises:
            Malformed: the head is too long, or cannot become one.
        """
        so_far = self._so_far
        if so_far is None:
            end = data.find(b"\r\n\r\n")
            if 0 < end < MAX_HEAD_BYTES and data[0] != 13:
                self._skipped = 0
                return data, end + 4  # the usual case: one read, one head
            so_far = self._so_far = bytearray()
        scan = max(0, len(so_far) - 3)
        so_far += data
        if so_far[:1] == b"\r":
            empty = _EMPTY_LINES.match(so_far)
            assert empty is not None
            self._skipped += empty.end()
            del so_far[: empty.end()]
            scan = 0
        end = so_far.find(b"\r\n\r\n", scan)
        if end < 0 or end > MAX_HEAD_BYTES:
            # A bare line feed would keep us waiting for an end that another reader has already seen.
            if _BARE_LF.search(so_far, max(0, scan - 1)):
                raise Malformed("a line of the head ends in a bare line feed", status=self._status)
            if self._skipped + len(so_far) > MAX_HEAD_BYTES:
                raise Malformed("the head is too large", status=431 if self._status == 400 else 502)
            return None
        self._so_far = None
        self._skipped = 0
        return bytes(so_far), end + 4


def _read_fields(
    raw: bytes, at: int, *, minor: bool, status: int
) -> tuple[int | None, bool, bool, bytes | None, bytes | None, bool]:
    """Length, chunked, close, the host, traceparent, and whether something in this head ends here."""
    length: int | None = None
    traceparent: bytes | None = None
    chunked = edited = False
    close = not minor
    host: bytes | None = None
    for name, value in _NOTABLE.findall(raw, at):
        name = name.lower()  # noqa: PLW2901  # the name is what it is in lower case
        if name == b"host":
            value = value.rstrip()  # noqa: PLW2901  # as above
            # RFC 9112 §3.2: a second Host, or one that cannot be one, is answered 400.
            if status == 400 and (host is not None or not _AUTHORITY.fullmatch(value)):
                raise Malformed("Host is not given exactly once", status=status)
            host = value
        elif name == b"content-length":
            digits = value.rstrip()  # at most 15 of them: beyond is no body but a test of a parser's integers
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
        raise Malformed("Transfer-Encoding is beside Content-Length, or in HTTP/1.0", status=status)
    return length, chunked, close, host, traceparent, edited


def _listed(value: bytes) -> set[bytes]:
    return {name.strip(b" \t").lower() for name in value.split(b",")}


def _ending_here(raw: bytes) -> list[tuple[int, int]]:
    """The lines of a head that concern this connection only, and any `traceparent` after the first."""
    lines = []
    traceparents = 0
    listed: set[bytes] = set()
    for found in _NOTABLE.finditer(raw):
        name = found[1].lower()
        traceparents += name == b"traceparent"
        if name in _HOP_BY_HOP or (name == b"traceparent" and traceparents > 1):
            lines.append((found.start() + 2, found.end() + 2))
        if name == b"connection":
            listed |= _listed(found[2]) - _NEVER_DROPPED
    if listed:
        lines += [
            (line.start() + 2, line.end() + 2) for line in _LINE.finditer(raw) if line[1].lower() in listed
        ]
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
    """A request's head: what the hop must know of it, and how it is handed on."""

    __slots__ = ("_edited", "_raw", "close", "framing", "method", "minor", "target", "traceparent")

    def __init__(self, raw: bytes, match: re.Match[bytes]) -> None:
        self._raw = raw
        self.method, self.target, minor = match.groups()
        self.minor = minor == b"1"
        length, chunked, self.close, host, self.traceparent, self._edited = _read_fields(
            raw, match.end(3), minor=self.minor, status=400
        )
        if self.method == b"CONNECT":
            raise Malformed("a hop is no tunnel: CONNECT is not taken", status=501)
        if host is None and self.minor:
            raise Malformed("Host is not given exactly once")
        if self.target[:1] != b"/":
            self.target = _origin_form(self.method, self.target, host)
            self._raw = raw[: match.start(2)] + self.target + raw[match.end(2) :]
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
        if self.traceparent is None and not lines:
            return raw[:-2] + line + b"\r\n"  # the usual case: no list, no sorting
        if self.traceparent is None:
            return _spliced(raw, [*lines], (len(raw) - 2, len(raw) - 2, line))
        came = _TRACEPARENT.search(raw)
        assert came is not None
        return _spliced(raw, lines, (came.start() + 2, came.end() + 2, line))


def _origin_form(method: bytes, target: bytes, host: bytes | None) -> bytes:
    """The path of a target that does not begin with one. Its authority has to be the Host: readers differ."""
    if target == b"*" and method == b"OPTIONS":
        return target
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise Malformed("the target is not a path")
    port = b":443" if absolute[1] else b":80"
    if host is None or absolute[2].lower().removesuffix(port) != host.lower().removesuffix(port):
        raise Malformed("the target names another host than Host does")
    return absolute[3] if absolute[3][:1] == b"/" else b"/" + absolute[3]


class ResponseHead:
    """A response's head: what the hop must know of it, and how it is handed on.

    `length` is how many bytes of a body follow; None where only the body itself tells.
    """

    __slots__ = ("_chunked", "_edited", "_raw", "close", "length", "minor", "status")

    def __init__(self, raw: bytes, *, to_head: bool) -> None:
        self._raw = raw
        length: int | None
        usual = _USUAL_RESPONSE.fullmatch(raw)
        if usual is not None:
            status, digits = usual.groups()
            length = int(digits) if digits else None
            self._chunked = self.close = self._edited = False
            self.minor = True
        else:
            match = _RESPONSE.fullmatch(raw)
            if match is None:
                raise Malformed("the response's head is not HTTP/1.1", status=502)
            minor, status = match.groups()
            self.minor = minor == b"1"
            length, self._chunked, self.close, _, _, self._edited = _read_fields(
                raw, match.end(2), minor=self.minor, status=502
            )
        self.status = int(status)
        if to_head or self.status < 200 or self.status in _BODILESS:
            length = 0
        elif length is None and not self._chunked:
            self.close = True
        self.length = length

    @property
    def framing(self) -> Framing | None:
        """Where its body ends, made anew at each asking; None: no body follows."""
        if self.length is not None:
            return Counted(self.length) if self.length else None
        return Chunked(status=502) if self._chunked else UntilClose()

    @property
    def passes(self) -> bool:
        """Whether it goes down as it came, save for what the hop has to add."""
        return self.minor and not self._edited

    def forwarded(self, *, close: bool, chunk: bool) -> bytes:
        """The head for the caller, saying what becomes of the connection and of a body with no end."""
        raw = self._raw
        if not close and not chunk and self.passes:
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


# What can be wrong with a line of a head, from the most to the least telling.
_LINE_FAULTS: Final = (
    (re.compile(rb"[ \t].*", re.DOTALL), "a header field continues over the end of its line"),
    (re.compile(rb"%b+[ \t]+:.*" % TOKEN, re.DOTALL), "there is a space before the colon of a header field"),
    (re.compile(rb"(?!%b+:[\t -~\x80-\xff]*\Z).*" % TOKEN, re.DOTALL), "a line is not a header field"),
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
