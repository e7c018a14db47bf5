"""The bytes of users' own files: as they lie on the disk, or as a change would make them.

A change is judged before it is made: inside `instead` every reader sees the new bytes, and the disk keeps the old.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_INSTEAD: ContextVar[dict[Path, bytes] | None] = ContextVar("_INSTEAD", default=None)
_NONE: Final[dict[Path, bytes]] = {}


def read_bytes(path: Path) -> bytes:
    """What a file holds.

    Raises:
        OSError: it cannot be read.
    """
    others = _INSTEAD.get() or _NONE
    if others:
        found = others.get(path.resolve())
        if found is not None:
            return found
    return path.read_bytes()


@contextmanager
def instead(texts: Mapping[Path, bytes]) -> Iterator[None]:
    """Let readers find these bytes at these paths."""
    token = _INSTEAD.set({path.resolve(): data for path, data in texts.items()})
    try:
        yield
    finally:
        _INSTEAD.reset(token)
