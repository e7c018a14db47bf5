"""A file that other processes append to is read line by whole line, each once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from whocut.trace.follow import Follower

if TYPE_CHECKING:
    from pathlib import Path


def test_each_line_comes_once_and_a_torn_one_when_it_is_whole(tmp_path: Path) -> None:
    """What is half written now is read later, from its beginning."""
    path = tmp_path / "rows.jsonl"
    follower = Follower(path)

    none = list(follower.rows())
    path.write_bytes(b'{"n":1}\n{"n":')
    first = list(follower.rows())
    path.write_bytes(b'{"n":1}\n{"n":2}\n')
    second = list(follower.rows())

    assert (none, first, second) == ([], [{"n": 1}], [{"n": 2}])


def test_long_file_comes_in_pieces_of_whole_lines(tmp_path: Path) -> None:
    """A reader that bounds its memory loses nothing, not even a line longer than its bound."""
    path = tmp_path / "lines"
    path.write_bytes(b"".join(b"%d" % number * 9 + b"\n" for number in range(1, 8)))
    follower = Follower(path)

    pieces = []
    while piece := list(follower.lines(at_most_bytes=25)):
        pieces.append(piece)
    left = follower.behind_bytes

    assert [len(piece) for piece in pieces] == [3, 3, 1]
    assert b"".join(line for piece in pieces for line in piece) == b"".join(
        b"%d" % n * 9 for n in range(1, 8)
    )
    assert left == 0
