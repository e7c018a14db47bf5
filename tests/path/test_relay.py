"""The way of a body through a layer: bytes in, bytes out, one row a case."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from whocut.errors import Malformed
from whocut.path.framing import Chunked, Counted, UntilClose
from whocut.path.relay import BUFFER_BYTES, MAX_HELD_BYTES, Manners, Relay

if TYPE_CHECKING:
    from collections.abc import Callable

    from whocut.path.framing import Framing

PASSES = Manners()
NGINX = Manners(holds_counted=True)
ALL = Manners(holds_chunked=True, holds_counted=True)
CLEAN = Manners(ends_cleanly=True)
HEAD = b"HEAD\r\n\r\n"
PAGE = b"x" * BUFFER_BYTES


def chunked() -> Framing:
    """A body in chunks."""
    return Chunked(status=502)


def relayed(
    framing: Framing | None, manners: Manners, *pieces: bytes, minor: bool = True
) -> tuple[Relay, list[bytes]]:
    """What goes down for each piece; the first one comes with a head of its own."""
    relay = Relay(framing, manners, minor=minor)
    down = []
    for number, piece in enumerate(pieces):
        out = relay.take(HEAD + piece, len(HEAD), HEAD) if number == 0 else relay.take(piece, 0)
        down.append(bytes(relay.before) + bytes(out))
        relay.before = b""
    return relay, down


TABLE: dict[str, tuple[Callable[[], Framing | None], Manners, tuple[bytes, ...], list[bytes], bool]] = {
    "no body": (lambda: None, PASSES, (b"",), [HEAD], True),
    "no body, everything is held": (lambda: None, ALL, (b"",), [HEAD], True),
    "counted, as it comes": (lambda: Counted(4), PASSES, (b"ab", b"cd"), [HEAD + b"ab", b"cd"], True),
    "counted, not whole": (lambda: Counted(4), PASSES, (b"ab", b"c"), [HEAD + b"ab", b"c"], False),
    "counted, held": (lambda: Counted(4), NGINX, (b"ab", b"cd"), [b"", HEAD + b"abcd"], True),
    "counted, full buffers pass": (
        lambda: Counted(BUFFER_BYTES + 1),
        NGINX,
        (PAGE[: -len(HEAD)] + b"a", b""),
        [HEAD + PAGE[: -len(HEAD)], b""],
        False,
    ),
    "counted, what fills a buffer takes the held bytes along": (
        lambda: Counted(2 * BUFFER_BYTES),
        NGINX,
        (b"ab", PAGE),
        [b"", HEAD + b"ab" + PAGE[: -len(HEAD) - 2]],
        False,
    ),
    "counted, in one piece": (lambda: Counted(2), NGINX, (b"ab",), [HEAD + b"ab"], True),
    "chunked, as it comes": (
        chunked,
        NGINX,
        (b"1\r\na\r\n", b"0\r\n\r\n"),
        [HEAD + b"1\r\na\r\n", b"0\r\n\r\n"],
        True,
    ),
    "chunked, held": (
        chunked,
        ALL,
        (b"1\r\na\r\n", b"0\r\n\r\n"),
        [b"", HEAD + b"1\r\na\r\n0\r\n\r\n"],
        True,
    ),
    "chunked, in chunks of its own": (
        chunked,
        CLEAN,
        (b"5\r\nab", b"cde\r\n1\r", b"\nf\r\n0\r\n\r\n"),
        [HEAD + b"2\r\nab\r\n", b"3\r\ncde\r\n", b"1\r\nf\r\n0\r\n\r\n"],
        True,
    ),
    "until the close, in chunks": (
        UntilClose,
        PASSES,
        (b"ab", b"c"),
        [HEAD + b"2\r\nab\r\n", b"1\r\nc\r\n"],
        False,
    ),
    "everything is held up to a bound": (
        lambda: Counted(2 * MAX_HELD_BYTES),
        ALL,
        (b"x" * MAX_HELD_BYTES,),
        [HEAD + b"x" * MAX_HELD_BYTES],
        False,
    ),
}


@pytest.mark.parametrize(("framing", "manners", "pieces", "down", "done"), TABLE.values(), ids=TABLE.keys())
def test_a_body_goes_down_as_its_layer_has_it(
    framing: Callable[[], Framing | None],
    manners: Manners,
    pieces: tuple[bytes, ...],
    down: list[bytes],
    done: bool,  # noqa: FBT001  # a column of the table
) -> None:
    """What goes on, what is held and where it ends, for each framing and each kind of layer."""
    relay, went = relayed(framing(), manners, *pieces)

    assert (went, relay.done) == (down, done)


def test_what_follows_the_body_does_not_belong_to_it() -> None:
    """The bytes beyond the end stay where they are, and `end` says where that is."""
    relay, went = relayed(Counted(2), PASSES, b"abHTTP/1.1")

    assert (went, relay.end) == ([HEAD + b"ab"], len(HEAD) + 2)


@pytest.mark.parametrize(("minor", "down"), [(True, b"0\r\n\r\n"), (False, b"")])
def test_a_close_ends_a_body_without_a_length(minor: bool, down: bytes) -> None:  # noqa: FBT001  # a column
    """HTTP/1.1 callers get a last chunk, others the close itself."""
    relay, _ = relayed(UntilClose(), PASSES, b"ab", minor=minor)

    assert (relay.ends_with_connection, relay.adds_chunks, relay.closes) == (True, minor, not minor)
    assert (relay.close(), relay.done) == (down, True)


def test_a_held_body_comes_down_with_the_close() -> None:
    """What was held is whole then."""
    relay, _ = relayed(UntilClose(), ALL, b"ab", minor=False)

    assert bytes(relay.close()) == HEAD + b"ab"


@pytest.mark.parametrize(("manners", "head"), [(PASSES, b""), (NGINX, HEAD)])
def test_only_a_held_head_is_left_to_be_sent(manners: Manners, head: bytes) -> None:
    """A layer that held the head with a part of the body sends the head when it gives up."""
    relay, _ = relayed(Counted(9), manners, b"ab")

    assert relay.head_held(len(HEAD)) == head


@pytest.mark.parametrize("manners", [PASSES, NGINX, ALL, CLEAN])
def test_a_body_with_broken_chunks_is_malformed(manners: Manners) -> None:
    """Whatever the layer does with bodies."""
    with pytest.raises(Malformed):
        relayed(chunked(), manners, b"1\r\na\r\n", b"zz\r\n")
