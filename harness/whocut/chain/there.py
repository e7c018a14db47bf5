"""What is on the disk under a name that was written: a question, and never an error."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def is_there(written: str | Path) -> bool:
    """Whether something of this name is there; a name that is too long, or may not be looked at, is not."""
    return os.path.exists(written)  # noqa: PTH110  # Path.exists raises for these


def is_a_file(written: str | Path) -> bool:
    """Whether a file of this name is there, likewise."""
    return os.path.isfile(written)  # noqa: PTH113  # as above


def files_matching(folder: Path, pattern: str) -> list[Path]:
    """The files that a pattern names below a folder, in order; a pattern that cannot be one names none."""
    try:
        return sorted(path for path in folder.glob(pattern) if path.is_file())
    except (OSError, ValueError, NotImplementedError):  # an absolute pattern is not implemented
        return []
