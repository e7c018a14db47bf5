"""The request on its way up: what is kept of it, and how long."""

from __future__ import annotations

import pytest

from whocut.path.framing import Counted
from whocut.path.upward import MAX_REPLAY_BYTES, MAX_WAITING_BYTES, Upward

HEAD = b"POST / HTTP/1.1\r\n\r\n"


def test_a_request_waits_for_its_connection() -> None:
    """Head and body so far go up together, once, where it may not be sent again."""
    upward = Upward(HEAD, Counted(4), idempotent=False)

    piece, end = upward.take(b"..abGET", 2, waiting=True)

    assert (piece, end, upward.done) == (b"abGE", 6, True)
    assert (upward.all_so_far(), upward.all_so_far()) == (HEAD + b"abGE", b"")


def test_a_request_that_may_be_sent_again_is_kept_until_it_is_answered() -> None:
    """Also what went up after the connection was made."""
    upward = Upward(HEAD, Counted(4), idempotent=True)
    upward.all_so_far()
    upward.take(b"ab", 0, waiting=False)

    assert upward.all_so_far() == HEAD + b"ab"
    upward.answered()
    assert upward.all_so_far() == b""


def test_a_large_request_is_not_kept() -> None:
    """Beyond the bound it is sent once."""
    upward = Upward(HEAD, Counted(2 * MAX_REPLAY_BYTES), idempotent=True)
    upward.take(b"x" * MAX_REPLAY_BYTES, 0, waiting=False)

    assert (upward.replayable, upward.all_so_far()) == (False, b"")


@pytest.mark.parametrize(("waits", "crowded"), [(MAX_WAITING_BYTES // 2, False), (MAX_WAITING_BYTES, True)])
def test_only_so_much_waits_for_a_connection(waits: int, crowded: bool) -> None:  # noqa: FBT001  # a column
    """The caller is held back beyond the bound."""
    upward = Upward(HEAD, Counted(2 * MAX_WAITING_BYTES), idempotent=False)
    upward.take(b"x" * waits, 0, waiting=True)

    assert upward.crowded is crowded
