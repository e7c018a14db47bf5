"""The framer: what comes out is what went in, or a clean refusal; however the bytes are split."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whocut.errors import Malformed
from whocut.path.framing import Chunked, Counted, Framing, UntilClose
from whocut.path.http1 import (
    MAX_FIELDS,
    MAX_HEAD_BYTES,
    MAX_LINE_BYTES,
    HeadReader,
    parse_request,
    parse_response,
)

HOST = b"Host: a\r\n"


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    """The bytes, split at these places."""
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(places)]


def read(pieces: list[bytes], *, response: bool) -> tuple[bytes, bytes, bytes, bool]:
    """Head, body and rest as the framer sees them, and whether the message is whole."""
    reader = HeadReader(status=502 if response else 400)
    framing: Framing | None = None
    head = body = rest = b""
    for piece in pieces:
        if head:
            at = 0
            data = piece
        else:
            whole = reader.take(piece)
            if whole is None:
                continue
            data, at = whole
            head = data[:at]
            framing = parse_response(head, to_head=False).framing if response else parse_request(head).framing
        end = framing.take(data, at) if framing is not None and not framing.done else at
        body += data[at:end]
        rest += data[end:]
    return head, body, rest, bool(head) and (framing is None or framing.done)


def refused(pieces: list[bytes], *, response: bool) -> int | None:
    """The status by which these bytes are refused, or None where they are not."""
    try:
        read(pieces, response=response)
    except Malformed as error:
        return error.status
    return None


def chunked(payload: list[bytes], extension: bytes, trailers: list[bytes]) -> bytes:
    """A chunked body."""
    chunks = b"".join(b"%x%b\r\n%b\r\n" % (len(data), extension, data) for data in payload if data)
    return chunks + b"0\r\n" + b"".join(b"X-T: " + value + b"\r\n" for value in trailers) + b"\r\n"


TOKENS = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789!#$%&'*+-.^_`|~", min_size=1, max_size=12).map(
    str.encode
)
VALUES = st.binary(max_size=20).map(lambda raw: bytes(byte for byte in raw if byte >= 0x20 and byte != 0x7F))
NAMED = {b"content-length", b"transfer-encoding", b"connection", b"keep-alive", b"proxy-connection"}
NAMED |= {b"te", b"upgrade", b"traceparent", b"host"}
FIELDS = st.lists(st.tuples(TOKENS.filter(lambda name: name.lower() not in NAMED), VALUES), max_size=8)
BODIES = st.one_of(
    st.binary(max_size=400).map(lambda body: (b"Content-Length: %d\r\n" % len(body), body)),
    st.builds(
        lambda payload, extension, trailers: (
            b"Transfer-Encoding: chunked\r\n",
            chunked(payload, extension, trailers),
        ),
        st.lists(st.binary(max_size=200), max_size=5),
        st.sampled_from([b"", b";a=b", b' ; q="x"']),
        st.lists(VALUES, max_size=2),
    ),
)
CUTS = st.lists(st.integers(0, 2000), max_size=12)


@given(FIELDS, BODIES, CUTS, st.binary(max_size=30))
def test_requests_come_out_as_they_went_in(
    fields: list[tuple[bytes, bytes]], body: tuple[bytes, bytes], cuts: list[int], after: bytes
) -> None:
    """A request split anywhere ends where it ends, and what follows it is left alone."""
    head = b"POST /v1 HTTP/1.1\r\n" + HOST + b"".join(b"%b:%b\r\n" % field for field in fields) + body[0]
    head += b"\r\n"

    got = read(pieces_of(head + body[1] + after, cuts), response=False)

    assert got == (head, body[1], after, True)


@given(FIELDS, BODIES, CUTS)
def test_responses_come_out_as_they_went_in(
    fields: list[tuple[bytes, bytes]], body: tuple[bytes, bytes], cuts: list[int]
) -> None:
    """The same for a response, and its head goes on untouched."""
    head = b"HTTP/1.1 200 OK\r\n" + b"".join(b"%b:%b\r\n" % field for field in fields) + body[0] + b"\r\n"

    got = read(pieces_of(head + body[1], cuts), response=True)

    assert got == (head, body[1], b"", True)
    assert parse_response(head, to_head=False).forwarded(close=False, chunk=False) == head


@given(st.binary(max_size=300), CUTS, st.booleans())
def test_anything_at_all_is_read_or_refused(noise: bytes, cuts: list[int], response: bool) -> None:  # noqa: FBT001
    """No bytes make the framer fail in another way than with `Malformed`."""
    start = (
        b"HTTP/1.1 200 OK\r\n"
        if response
        else b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    )

    assert refused(pieces_of(start + noise, cuts), response=response) in (
        {None, 502} if response else {None, 400, 413, 431, 501}
    )


@given(BODIES, CUTS)
def test_a_body_split_anywhere_is_read_as_in_one_piece(body: tuple[bytes, bytes], cuts: list[int]) -> None:
    """Whether a chunked body is collected or passed, the bytes between its framing are the same."""
    coding, data = body
    if b"chunked" not in coding:
        return
    one, many = Chunked(status=502), Chunked(status=502)
    one.payload, many.payload = [], []

    one.take(data, 0)
    for piece in pieces_of(data, cuts):
        many.take(piece, 0)

    assert one.done
    assert many.done
    assert b"".join(many.payload) == b"".join(one.payload)


REFUSED = {
    "length and coding": (b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", 400),
    "coding and length": (b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", 400),
    "two lengths": (b"Content-Length: 3\r\nContent-Length: 4\r\n", 400),
    "the same length twice": (b"Content-Length: 3\r\nContent-Length: 3\r\n", 400),
    "a list of lengths": (b"Content-Length: 3, 3\r\n", 400),
    "a signed length": (b"Content-Length: +3\r\n", 400),
    "a negative length": (b"Content-Length: -3\r\n", 400),
    "a hexadecimal length": (b"Content-Length: 0x3\r\n", 400),
    "an empty length": (b"Content-Length:\r\n", 400),
    "a length with an underscore": (b"Content-Length: 1_0\r\n", 400),
    "a length beyond all integers": (b"Content-Length: 99999999999999999999\r\n", 400),
    "a folded line": (b"X: a\r\n b\r\n", 400),
    "a folded line with a tab": (b"X: a\r\n\tb\r\n", 400),
    "a bare line feed": (b"X: a\nContent-Length: 3\r\n", 400),
    "a bare carriage return": (b"X: a\rContent-Length: 3\r\n", 400),
    "a space before the colon": (b"Content-Length : 3\r\n", 400),
    "a tab before the colon": (b"Transfer-Encoding\t: chunked\r\n", 400),
    "a vertical tab in a name": (b"Transfer-Encoding\x0b: chunked\r\n", 400),
    "a name with a null": (b"Content\x00-Length: 3\r\n", 400),
    "a value with a null": (b"X: a\x00b\r\n", 400),
    "no colon": (b"Content-Length 3\r\n", 400),
    "no name": (b": 3\r\n", 400),
    "another coding": (b"Transfer-Encoding: gzip\r\n", 400),
    "chunked and more": (b"Transfer-Encoding: gzip, chunked\r\n", 400),
    "chunked, misspelt": (b"Transfer-Encoding: xchunked\r\n", 400),
    "chunked, quoted": (b'Transfer-Encoding: "chunked"\r\n', 400),
    "chunked twice": (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400),
    "a coding that is none": (b"Transfer-Encoding: identity\r\n", 400),
    "two hosts": (b"Host: b\r\n", 400),
    "the same host twice": (HOST, 400),
    "too many fields": (b"X: a\r\n" * (MAX_FIELDS + 1), 431),
    "too large a body": (b"Content-Length: 99999999999\r\n", 413),
}


@pytest.mark.parametrize(("fields", "status"), REFUSED.values(), ids=REFUSED.keys())
def test_shapes_for_smuggling_are_refused(fields: bytes, status: int) -> None:
    """Whatever two readers could read in two ways is read by none."""
    with pytest.raises(Malformed) as refused:
        read([b"POST / HTTP/1.1\r\n" + HOST + fields + b"\r\nabc"], response=False)

    assert refused.value.status == status


LINES = {
    "no target": (b"GET HTTP/1.1", 400),
    "two spaces": (b"GET  / HTTP/1.1", 400),
    "a tab": (b"GET\t/ HTTP/1.1", 400),
    "a space at the end": (b"GET / HTTP/1.1 ", 400),
    "a space in the target": (b"GET /a b HTTP/1.1", 400),
    "a space before all": (b" GET / HTTP/1.1", 400),
    "no version": (b"GET /", 400),
    "HTTP/2": (b"PRI * HTTP/2.0", 505),
    "HTTP/0.9 spelt out": (b"GET / HTTP/0.9", 505),
    "lower case": (b"GET / http/1.1", 400),
    "a method that is no token": (b"GE(T / HTTP/1.1", 400),
    "a tunnel": (b"CONNECT a:443 HTTP/1.1", 501),
    "too long a line": (b"GET /" + b"a" * MAX_LINE_BYTES + b" HTTP/1.1", 414),
    "another host than Host's": (b"GET http://evil.example/x HTTP/1.1", 400),
    "Host's host at another port": (b"GET http://a:8080/x HTTP/1.1", 400),
    "a user in the target": (b"GET http://a@evil.example/x HTTP/1.1", 400),
    "another scheme": (b"GET ftp://a/x HTTP/1.1", 400),
    "no path at all": (b"GET x HTTP/1.1", 400),
    "all of it, but no OPTIONS": (b"GET * HTTP/1.1", 400),
}


@pytest.mark.parametrize(("line", "status"), LINES.values(), ids=LINES.keys())
def test_first_lines_that_are_none_are_refused(line: bytes, status: int) -> None:
    """A request begins with method, one space, target, one space, HTTP/1.1."""
    with pytest.raises(Malformed) as refused:
        parse_request(line + b"\r\n" + HOST + b"\r\n")

    assert refused.value.status == status


def test_a_host_is_asked_for() -> None:
    """HTTP/1.1 needs a Host; HTTP/1.0 does not, and closes."""
    with pytest.raises(Malformed):
        parse_request(b"GET / HTTP/1.1\r\n\r\n")

    assert parse_request(b"GET / HTTP/1.0\r\n\r\n").close


@pytest.mark.parametrize("host", [b"a, b", b"a b", b"u@a", b"a/b", b"a?b", b"a#b", b"a\\b", b"\xe4"])
def test_a_host_that_two_readers_take_for_two_hosts_is_refused(host: bytes) -> None:
    """A list, a user, a path: none of them is the name of one host."""
    with pytest.raises(Malformed) as refused:
        parse_request(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")

    assert refused.value.status == 400


@pytest.mark.parametrize(
    "host", [b"", b"a", b"a.example:8080", b"[::1]:80", b"xn--a_b.example", b"127.0.0.1"]
)
def test_a_host_is_a_name_or_an_address(host: bytes) -> None:
    """With a port or without; empty where the target has no authority."""
    assert parse_request(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n").target == b"/"


TARGETS = {
    "a path": (b"GET", b"/x?y", b"/x?y"),
    "all of it": (b"OPTIONS", b"*", b"*"),
    "with scheme and host": (b"GET", b"http://a/x?y", b"/x?y"),
    "with a default port": (b"GET", b"http://A:80/x", b"/x"),
    "with another scheme": (b"GET", b"HTTPS://a:443/x", b"/x"),
    "with no path": (b"GET", b"http://a?y", b"/?y"),
    "with nothing but a host": (b"GET", b"http://a", b"/"),
}


@pytest.mark.parametrize(("method", "target", "path"), TARGETS.values(), ids=TARGETS.keys())
def test_a_target_goes_on_as_a_path(method: bytes, target: bytes, path: bytes) -> None:
    """A target with its host is taken where Host says the same, and the next layer gets the path alone."""
    head = parse_request(method + b" " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n")

    assert head.target == path
    assert head.forwarded(None) == method + b" " + path + b" HTTP/1.1\r\n" + HOST + b"\r\n"


@pytest.mark.parametrize(
    "name",
    [
        "Content-Length",
        "transfer-encoding",
        "Host",
        "AUTHORIZATION",
        "Set-Cookie",
        "traceparent",
        "Trailer",
        "TE",
    ],
)
def test_a_trailer_that_would_count_in_a_head_is_refused(name: str) -> None:
    """What frames, routes or vouches stands in the head: a reader that joins trailers to it would believe it."""
    body = b"0\r\n" + name.encode() + b": x\r\n\r\n"
    for status in (400, 502):
        with pytest.raises(Malformed) as refused:
            Chunked(status=status).take(body, 0)
        assert refused.value.status == status


@pytest.mark.parametrize("name", [b"X-Checksum", b"Content-MD5", b"Hostess", b"Teapot", b"Server-Timing"])
def test_other_trailers_pass(name: bytes) -> None:
    """Also those whose names only begin like a forbidden one."""
    framing = Chunked(status=400)

    framing.take(b"0\r\n" + name + b": x\r\n\r\n", 0)

    assert framing.done


def test_http_1_0_has_no_chunks() -> None:
    """RFC 9112 §6.1: a coding in HTTP/1.0 is a framing fault."""
    with pytest.raises(Malformed):
        parse_request(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n")


@pytest.mark.parametrize(
    "body",
    [
        b"x\r\n",
        b"-1\r\n",
        b"+1\r\na\r\n",
        b"0x1\r\na\r\n",
        b"1 \r\na\r\n",
        b" 1\r\na\r\n",
        b"1\na\r\n",
        b"1\r\nab\r\n",
        b"1\r\na\n0\r\n\r\n",
        b"1;a\x00b\r\na\r\n",
        b"ffffffffffffffff\r\n",
        b"7fffffffffff\r\n",
        b"0\r\nbad trailer\r\n\r\n",
        b"0\r\n folded: x\r\n\r\n",
        b"1" * 2000,
        b"0\r\n" + b"X: a\r\n" * 5000,
    ],
)
def test_chunks_that_are_none_are_refused(body: bytes) -> None:
    """A chunk is a hexadecimal size, CRLF, so many bytes, CRLF; in one piece or byte by byte."""
    with pytest.raises(Malformed):
        Chunked(status=400).take(body, 0)
    with pytest.raises(Malformed):
        read_bytewise(Chunked(status=400), body)


def read_bytewise(framing: Framing, body: bytes) -> None:
    """Hand over one byte after the other."""
    for at in range(len(body)):
        framing.take(body[at : at + 1], 0)


def test_a_head_without_an_end_is_refused() -> None:
    """A head is bounded, and a bare line feed does not make the reader wait for more."""
    reader = HeadReader(status=400)

    reader.take(b"X" * MAX_HEAD_BYTES)
    with pytest.raises(Malformed) as too_large:
        reader.take(b"X")
    with pytest.raises(Malformed) as bare:
        HeadReader(status=400).take(b"GET / HTTP/1.1\nHost: a\n\n")

    assert too_large.value.status == 431
    assert bare.value.status == 400


def test_empty_lines_before_a_request_are_ignored() -> None:
    """Some clients send a stray CRLF after a body (RFC 9112 §2.2)."""
    head, _, _, whole = read([b"\r", b"\n\r\nGET / HTTP/1.1\r\n" + HOST + b"\r\n"], response=False)

    assert whole
    assert head.startswith(b"GET /")


RESPONSES = {
    "not HTTP": b"SSH-2.0-x\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "a status below 100": b"HTTP/1.1 099 OK\r\n\r\n",
    "HTTP/2": b"HTTP/2 200 OK\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "a bad length": b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    "length and coding": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    "another coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    "a folded line": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
    "a space before a colon": b"HTTP/1.1 200 OK\r\nX : a\r\n\r\n",
    "a bare line feed": b"HTTP/1.1 200 OK\nX: a\r\n\r\n",
}


@pytest.mark.parametrize("head", RESPONSES.values(), ids=RESPONSES.keys())
def test_responses_that_are_none_are_502(head: bytes) -> None:
    """What the upstream got wrong is the upstream's fault."""
    with pytest.raises(Malformed) as refused:
        parse_response(head, to_head=False)

    assert refused.value.status == 502


@pytest.mark.parametrize(
    ("head", "to_head", "framing"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", True, None),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", False, None),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", False, None),
        (b"HTTP/1.1 100 Continue\r\n\r\n", False, None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", False, None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", False, Counted),
        (b"HTTP/1.1 200 OK\r\nTRANSFER-ENCODING: Chunked\r\n\r\n", False, Chunked),
        (b"HTTP/1.1 200\r\n\r\n", False, UntilClose),
    ],
)
def test_a_response_ends_as_rfc_9112_says(head: bytes, to_head: bool, framing: type | None) -> None:  # noqa: FBT001
    """HEAD, 1xx, 204 and 304 have no body; then chunks, then a length, then the close."""
    got = parse_response(head, to_head=to_head).framing

    assert got is None if framing is None else isinstance(got, framing)


def test_what_concerns_one_connection_ends_here() -> None:
    """`Connection`, what it names and its old companions do not travel; everything else does."""
    head = parse_request(
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Mine ,content-length\r\n"
        b"X-Mine: 1\r\nTE: trailers\r\nKeep-Alive: 5\r\n"
        b"Proxy-Connection: x\r\nUpgrade: websocket\r\nX-Yours: 2\r\nContent-Length: 3\r\n\r\n"
    )

    assert head.close
    assert head.forwarded(None) == b"GET / HTTP/1.1\r\nHost: a\r\nX-Yours: 2\r\nContent-Length: 3\r\n\r\n"


def test_the_traceparent_is_rewritten_where_it_stands() -> None:
    """One comes and is replaced, none comes and one is added, two come and one goes on."""
    ours = b"00-aa-bb-01"

    one = parse_request(b"GET / HTTP/1.1\r\nTraceParent: 00-x\r\nHost: a\r\n\r\n")
    none = parse_request(b"GET / HTTP/1.1\r\nHost: a\r\nTE: x\r\n\r\n")
    two = parse_request(b"GET / HTTP/1.1\r\ntraceparent: 1\r\nHost: a\r\ntraceparent: 2\r\n\r\n")

    assert one.traceparent == b"00-x"
    assert one.forwarded(ours) == b"GET / HTTP/1.1\r\ntraceparent: 00-aa-bb-01\r\nHost: a\r\n\r\n"
    assert none.forwarded(ours) == b"GET / HTTP/1.1\r\nHost: a\r\ntraceparent: 00-aa-bb-01\r\n\r\n"
    assert two.traceparent == b""
    assert two.forwarded(ours) == b"GET / HTTP/1.1\r\ntraceparent: 00-aa-bb-01\r\nHost: a\r\n\r\n"
