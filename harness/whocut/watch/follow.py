"""Files that other processes append to, followed over a rotation and over a restart of the watch."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_AT_ONCE: Final = 4 << 20
_LONGEST: Final = 1 << 20  # bytes of a line; one that is longer is taken in pieces


class Followed:
    """A file, and how far it was read: its inode, an offset, and the number of the next line, as `told`."""

    def __init__(self, path: Path, told: str | None) -> None:
        self.path = path
        self._inode, self._offset, self.line = map(int, (told or "0:0:1").split(":"))
        self._fd: int | None = None
        self._more = False

    def close(self) -> None:
        """Give the file back."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    @property
    def told(self) -> str:
        """How far it was read, for `Followed` after a restart."""
        return f"{self._inode}:{self._offset}:{self.line}"

    @property
    def behind(self) -> bool:
        """Whether as much was there the last time as is read at once."""
        return self._more

    def read(self) -> bytes:
        """The next whole lines; nothing where none were added. A file that was rotated is read to its end first."""
        if self._fd is None and not self._open():
            return b""
        assert self._fd is not None
        new = os.pread(self._fd, _AT_ONCE, self._offset)
        self._more = len(new) == _AT_ONCE
        whole = new[: new.rfind(b"\n") + 1]
        if not whole and len(new) > _LONGEST:
            whole = new
        if whole:
            self._offset += len(whole)
            self.line += whole.count(b"\n")
            return whole
        if self._replaced():
            self.close()
            self._inode = self._offset = 0
            if new:  # the rotated file ends without an end of line
                self.line += 1
                return new + b"\n"
            return self.read() if self._open() else b""
        return b""

    def _open(self) -> bool:
        """Open the file that was read before, by its name or by that of a rotation; or the one of its name."""
        rotated = self.path.with_name(f"{self.path.name}.1")
        for path, anew in ((self.path, False), (rotated, False), (self.path, True)):
            try:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                continue
            state = os.fstat(fd)
            if anew:
                self._inode, self._offset, self.line = state.st_ino, 0, 1
            elif state.st_ino != self._inode or state.st_size < self._offset:
                os.close(fd)
                continue
            self._fd = fd
            return True
        return False

    def _replaced(self) -> bool:
        """Whether another file has its name now, or it was cut to less than was read of it."""
        assert self._fd is not None
        if os.fstat(self._fd).st_size < self._offset:
            return True
        try:
            return self.path.stat().st_ino != self._inode
        except OSError:
            return False
