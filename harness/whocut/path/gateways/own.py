"""A user's own configuration on its way into a gateway: edits that keep every line where it was.

The product reads a copy. Its messages name that copy and a line, and the line is the user's own, so that only the
name has to be put back.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from whocut.errors import BadFile
from whocut.redact import redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from whocut.clock import Clock

_NAMED: Final = re.compile(r"['\"`]?\b([A-Za-z_][\w-]*)\b")
DIFF: Final = "config.diff"


@dataclass(frozen=True, slots=True)
class Edit:
    """A stretch of a text, from `start` to `end`, and what replaces it."""

    start: int
    end: int
    text: str


@dataclass(slots=True)
class Own:
    """The user's files as the product gets them: the text of each copy, and the file that it was made from."""

    texts: dict[str, str] = field(default_factory=dict)
    origins: dict[str, Path] = field(default_factory=dict)
    before: dict[str, str] = field(default_factory=dict)
    fields: dict[str, tuple[Path, int]] = field(default_factory=dict)  # of a product that says no lines

    def add(self, origin: Path, before: str, after: str, name: str = "") -> str:
        """Take one more file; the name of its copy."""
        name = name or f"{len(self.texts)}-{origin.name}"
        self.texts[name] = after
        self.origins[name] = origin
        self.before[name] = before
        return name

    def diff(self) -> str:
        """All that was changed, as a unified diff of the user's files, without what looks like a secret."""
        lines: list[str] = []
        for name, after in self.texts.items():
            if name not in self.origins:
                continue  # ours alone
            path = str(self.origins[name])
            lines += difflib.unified_diff(
                self.before[name].splitlines(keepends=True), after.splitlines(keepends=True), path, path
            )
        return redact("".join(line if line.endswith("\n") else f"{line}\n" for line in lines))


def read_own(path: Path) -> str:
    """The text of a user's file.

    Raises:
        BadFile: it cannot be read, or is not text.
    """
    try:
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise BadFile(path, f"it cannot be read: {error.strerror or error}") from None
    except ValueError:
        raise BadFile(path, "it is not UTF-8 text") from None


def edited(text: str, edits: Iterable[Edit]) -> str:
    """The text with its edits; what had several lines keeps as many."""
    parts: list[str] = []
    at = 0
    for edit in sorted(edits, key=lambda one: (one.start, one.end)):
        parts += [text[at : edit.start], edit.text, "\n" * (text[edit.start : edit.end].count("\n"))]
        at = edit.end
    return "".join([*parts, text[at:]])


def with_own_names(said: str, folder: Path, origins: Mapping[str, Path]) -> str:
    """What the product said, with the user's files in place of their copies."""
    for name, origin in sorted(origins.items(), key=lambda one: -len(one[0])):
        said = said.replace(str(folder / name), str(origin))
    return said


def with_places(said: str, fields: Mapping[str, tuple[Path, int]]) -> str:
    """What the product said, with the user's file and line behind it for the last of the fields that it names."""
    named = [word for word in _NAMED.findall(said) if word in fields]
    if not named:
        return said
    path, line = fields[named[-1]]
    return f"{said.rstrip()} ({path}:{line})"


def scaled(limit_s: float, clock: Clock) -> str:
    """A limit of the user's on the run's clock, in whole milliseconds, as nginx and HAProxy take it."""
    return f"{max(1, round(clock.real_s(limit_s) * 1000))}ms"
