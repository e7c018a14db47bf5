"""The head of a response, behind the interim ones: one row a case."""

from __future__ import annotations

import pytest

from whocut.errors import Malformed
from whocut.path.replies import MAX_INTERIMS, Replies

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n"
FINAL = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"

TABLE: dict[str, tuple[tuple[bytes, ...], list[tuple[tuple[bytes, ...], bool, bytes]]]] = {
    "the final one alone": ((FINAL,), [((), True, FINAL)]),
    "with a body behind it": ((FINAL + b"ok",), [((), True, FINAL)]),
    "in two pieces": ((FINAL[:9], FINAL[9:]), [((), True, b""), ((), True, FINAL)]),
    "an interim one alone": ((CONTINUE,), [((CONTINUE,), False, b"")]),
    "an interim one of HTTP/1.0": ((b"HTTP/1.0" + HINTS[8:],), [((HINTS,), False, b"")]),
    "two of them, and the final one": ((CONTINUE + HINTS + FINAL,), [((CONTINUE, HINTS), True, FINAL)]),
    "one, and a part of the next": (
        (CONTINUE + FINAL[:5], FINAL[5:]),
        [((CONTINUE,), True, b""), ((), True, FINAL)],
    ),
}


@pytest.mark.parametrize(("pieces", "replies"), TABLE.values(), ids=TABLE.keys())
def test_heads_are_told_apart(
    pieces: tuple[bytes, ...], replies: list[tuple[tuple[bytes, ...], bool, bytes]]
) -> None:
    """Which interim ones came, whether the final one has begun, and the final one as it came."""
    reader = Replies()

    got = []
    for piece in pieces:
        found = reader.take(piece, to_head=False)
        got.append((reader.interims, reader.begun, found[1] if found is not None else b""))

    assert got == replies


@pytest.mark.parametrize(
    "data", [CONTINUE * (MAX_INTERIMS + 1), b"HTTP/1.1 101 Switching\r\n\r\n", b"SSH-2.0-x\r\n\r\n"]
)
def test_what_never_becomes_a_response_is_malformed(data: bytes) -> None:
    """A flood of interim ones, another protocol, no HTTP at all; in one piece or byte by byte."""
    for pieces in ([data], [data[at : at + 1] for at in range(len(data))]):
        reader = Replies()
        with pytest.raises(Malformed):  # noqa: PT012  # in whichever piece it shows
            for piece in pieces:
                reader.take(piece, to_head=False)
