"""A log in blocks of whole lines, and single lines of it by their numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whocut.trace.logs.opening import opened
from whocut.trace.logs.reading import LONGEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import BinaryIO

PIECE: Final = 1 << 20  # bytes read at once
_BLOCK: Final = 16 << 20


def blocks_of(file: BinaryIO) -> Iterator[bytes]:
    """Whole lines, some megabytes at a time; of a line that never ends only the beginning is kept."""
    pieces: list[bytes] = []
    size = 0
    tail = b""
    skipping = False
    while piece := file.read(PIECE):
        if skipping:
            end = piece.find(b"\n")
            if end < 0:
                continue
            piece, skipping = piece[end:], False
        end = piece.rfind(b"\n") + 1
        if not end:
            tail += piece
            if len(tail) > 2 * PIECE:
                tail, skipping = tail[: 2 * LONGEST], True
            continue
        pieces += [tail, piece[:end]]
        size += len(tail) + end
        tail = piece[end:]
        if size >= _BLOCK:
            yield b"".join(pieces)
            pieces, size = [], 0
    if tail or pieces:
        yield b"".join([*pieces, tail])


def lines_at(path: Path, numbers: Iterable[int]) -> dict[int, bytes]:
    """The lines of these numbers, read again from the file; it is read no further than the last of them."""
    wanted = sorted(set(numbers))
    found: dict[int, bytes] = {}
    if not wanted:
        return found
    first = 1
    with opened(path) as file:
        for block in blocks_of(file):
            count = block.count(b"\n") + (not block.endswith(b"\n"))
            here = [number for number in wanted if first <= number < first + count]
            if here:
                lines = block.split(b"\n")
                found |= {number: lines[number - first].removesuffix(b"\r") for number in here}
            first += count
            if first > wanted[-1]:
                break
    return found
