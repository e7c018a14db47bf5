"""Following a file that other processes append to: each new whole line once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Follower:
    """Remembers how far a file has been read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    @property
    def behind_bytes(self) -> int:
        """How much has been added that was not yet read."""
        return self._path.stat().st_size - self._offset if self._path.is_file() else 0

    def lines(self, at_most_bytes: int | None = None) -> Iterator[bytes]:
        """The lines that have been added since the last call; one that is not yet whole waits for the next.

        A reader with little memory takes about so many bytes at a time, and comes again.
        """
        if not self._path.is_file():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            new = file.read(at_most_bytes)
            if at_most_bytes is not None and not new.endswith(b"\n"):
                new += file.readline()
        whole = new[: new.rfind(b"\n") + 1]
        self._offset += len(whole)
        yield from whole.splitlines()

    def rows(self, at_most_bytes: int | None = None) -> Iterator[dict[str, Any]]:
        """The same lines as rows."""
        for line in self.lines(at_most_bytes):
            yield orjson.loads(line)
