"""What a tap reads of the bytes that pass: the same exchanges, and the same bytes, however they were cut."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import example, given
from hypothesis import strategies as st

from whocut.errors import Malformed
from whocut.path.looks import Unseen
from whocut.path.reading import Requests, Responses

if TYPE_CHECKING:
    from collections.abc import Callable

    from whocut.path.http1 import RequestHead
    from whocut.path.looks import Look

OURS = b"traceparent: 00-ours\r\n"
THEIRS = re.compile(rb"(?im)^traceparent:[^\n]*\n")


class Noted(Unseen):
    """A look that notes what it is told."""

    def __init__(self, head: RequestHead) -> None:
        self.told = [head.target]

    @property
    def traceparent(self) -> bytes:  # type: ignore[override]  # the base has none
        """Ours."""
        return b"00-ours"

    def request_body(self, data: bytes) -> None:
        """Joined: pieces depend on the cuts."""
        self.told.append(data)

    def whole(self, answer: Callable[[bytes], None]) -> bytes:  # noqa: ARG002  # nothing is answered here
        """Noted."""
        self.told.append(b"|whole|")
        return b""

    def answered(self, status: int, raw: bytes) -> bytes:
        """Noted."""
        self.told.append(b"|%d|" % status)
        return raw

    def response_body(self, data: bytes) -> None:
        """As above."""
        self.told.append(data)

    def complete(self, now_s: float) -> None:  # noqa: ARG002  # no clock here
        """Noted."""
        self.told.append(b"|complete|")


class Notes:
    """Takes everything down, in order."""

    def __init__(self) -> None:
        self.looks: list[Noted] = []
        self.next = 0
        self.others: list[str] = []

    def asked(self, head: RequestHead, raw: bytes) -> Look:
        """One more."""
        del raw
        self.looks.append(Noted(head))
        return self.looks[-1]

    def all_asked(self, look: Look) -> bytes | None:
        """Told to the look."""
        return look.whole(lambda _: None)

    def awaited(self) -> Look | None:
        """The first that has not been answered."""
        return self.looks[self.next] if self.next < len(self.looks) else None

    def awaits_head_only(self) -> bool:
        """None of these is a HEAD."""
        return False

    def all_answered(self) -> None:
        """On to the next."""
        self.looks[self.next].complete(0.0)
        self.next += 1

    def strange(self, protocol: str) -> None:
        """Noted."""
        self.others.append(protocol)

    def told(self) -> list[bytes]:
        """What each look was told."""
        return [b"".join(look.told) for look in self.looks]


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    """The bytes, split at these places."""
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(places)]


def passed(data: bytes, cuts: list[int], authority: bytes | None) -> tuple[bytes, Notes, bool]:
    """What goes up for these bytes, what was told, and whether they could be read."""
    notes = Notes()
    requests = Requests(notes, authority=authority, marks=True, reads=True)
    up = b"".join(requests.take(piece) for piece in pieces_of(data, cuts)) + requests.rest()
    return up, notes, requests.readable


FIELD = st.sampled_from([
    b"X: y", b"hostess: z", b"X-traceparent: no", b"Traceparent: 00-theirs", b"traceparent: b", b"TE: trailers",
    b"H: o", b"T: race", b"Connection: close",
])  # fmt: skip
BODY = st.sampled_from([
    (b"", b""),
    (b"Content-Length: 5\r\n", b"abcde"),
    (b"Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
])  # fmt: skip
REQUEST = st.builds(
    lambda number, fields, body: (
        b"POST /%d HTTP/1.1\r\nHost: a\r\n" % number
        + b"".join(field + b"\r\n" for field in fields)
        + body[0]
        + b"\r\n"
        + body[1]
    ),
    st.integers(0, 9),
    st.lists(FIELD, max_size=4),
    BODY,
)
CUTS = st.lists(st.integers(0, 600), max_size=20)


@given(st.lists(REQUEST, max_size=4).map(b"".join), CUTS, st.sampled_from([None, b"b"]))
@example(b"POST /1 HTTP/1.1\r\nHost: a\r\nX-traceparent: no\r\n\r\n", list(range(60)), None)
@example(b"POST /1 HTTP/1.1\r\nTraceparent: 00-theirs\r\nHost: a\r\n\r\n", list(range(60)), b"b")
def test_requests_pass_the_same_however_they_are_cut(
    data: bytes, cuts: list[int], authority: bytes | None
) -> None:
    """Bytes and exchanges are those of one piece; of the bytes, only the fields that are ours have changed."""
    up, notes, readable = passed(data, cuts, authority)
    whole_up, whole_notes, _ = passed(data, [], authority)

    assert (up, notes.told(), readable) == (whole_up, whole_notes.told(), True)
    expected = THEIRS.sub(b"", data)
    if authority is not None:
        expected = expected.replace(b"Host: a\r\n", b"Host: b\r\n")
    assert up.replace(OURS, b"") == expected
    assert up.count(OURS) == len(notes.looks)


@given(st.binary(max_size=200), st.lists(REQUEST, max_size=2).map(b"".join), CUTS)
def test_what_cannot_be_read_passes_as_it_came(noise: bytes, before: bytes, cuts: list[int]) -> None:
    """Whatever follows whole requests goes up byte for byte, save for fields that are ours."""
    up, notes, _ = passed(before + noise, cuts, None)

    assert THEIRS.sub(b"", up) == THEIRS.sub(b"", before + noise)
    assert len(notes.looks) >= before.count(b"POST /")


ANSWERS = st.sampled_from([
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
])  # fmt: skip


@given(st.lists(ANSWERS, max_size=4), CUTS, st.binary(max_size=30))
def test_responses_pass_and_are_told_the_same_however_they_are_cut(
    answers: list[bytes], cuts: list[int], after: bytes
) -> None:
    """Each goes to the request that it answers; what was not asked for goes down too."""

    def read(pieces: list[bytes]) -> tuple[bytes, list[bytes]]:
        notes = Notes()
        requests = Requests(notes, authority=None, marks=True)
        for number in range(len(answers)):
            requests.take(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
        responses = Responses(notes, reads=True)
        down = b"".join(responses.take(piece, 0.0) for piece in pieces)
        return down, notes.told()

    data = b"".join(answers)

    assert read([*pieces_of(data, cuts), after]) == read([data, after])
    assert read([data, after])[0] == data + after


@given(st.binary(min_size=1, max_size=60), CUTS)
def test_an_answer_that_cannot_be_read_is_told_once_and_passes(noise: bytes, cuts: list[int]) -> None:
    """Its bytes go down unread from there on."""
    notes = Notes()
    requests = Requests(notes, authority=None, marks=True)
    requests.take(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    responses = Responses(notes)
    down, failures = b"", 0
    for piece in pieces_of(b"HTTP/1.1 2x0\r\n\r\n" + noise, cuts):
        try:
            down += responses.take(piece, 0.0)
        except Malformed:
            failures += 1
            down += responses.rest() + piece

    assert (down, failures) == (b"HTTP/1.1 2x0\r\n\r\n" + noise, 1)
