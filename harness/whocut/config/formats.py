"""The formats that can be read, each registered by its own file; told by a file's name and content, or said.

A new format is one new file in this folder: it calls `register`, and is found because it is there.
"""

from __future__ import annotations

import pkgutil
import re
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from whocut.chain.texts import read_bytes
from whocut.errors import BadFile, BadInput, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from whocut.config.reading import Reading

_MOST_BYTES: Final = 16_000_000
_MOST_LINES: Final = 600_000  # of a format that is read line by line


@dataclass(frozen=True, slots=True)
class Source:
    """One file as it was read: its path as the user wrote it, and its text."""

    path: str
    text: str = field(repr=False)

    @classmethod
    def open(cls, path: Path | str) -> Source:
        """Read a file.

        Raises:
            BadFile: it cannot be read, is not text, or is larger than any configuration.
        """
        try:
            where = Path(path)
            if not where.is_file():
                raise BadFile(path, "it is not a file" if where.exists() else "there is no such file")
            if where.stat().st_size > _MOST_BYTES:
                raise BadFile(path, "it is larger than 16 MB; a configuration is smaller")
            return cls(str(path), read_bytes(where).decode("utf-8-sig").replace("\r\n", "\n"))
        except OSError as error:
            raise BadFile(path, f"it cannot be read: {error.strerror or error}") from None
        except ValueError:
            raise BadFile(path, "it is not UTF-8 text") from None

    def has(self, pattern: re.Pattern[str], *words: str) -> bool:
        """Whether a pattern is somewhere in it.

        A text that holds none of the pattern's words is not searched. Of a pattern for any letters they are small.
        """
        text = self.text.lower() if pattern.flags & re.IGNORECASE else self.text
        return any(word in text for word in words) and pattern.search(self.text) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One kind of configuration.

    `looks` gives how surely a file is of this kind, from 0 (it is not) to 100; `read` reads files of one kind
    together, for several make one configuration. `in_parts`: neighbours of this kind in a chain are parts of one
    configuration, and not layers one behind the other. `insert` gives a text with one more setting for the
    route that is written on a line. It gives None where there is no room for one. `made`: a program writes such
    files, so that a change of them is lost. `made_from`: kinds of which the product's own configuration is made.
    """

    name: str
    title: str
    looks: Callable[[Source], int]
    read: Callable[[Sequence[Source]], Reading]
    also: tuple[str, ...] = ()
    in_parts: bool = False
    made: bool = False
    made_from: tuple[str, ...] = ()
    insert: Callable[[str, int, str], str | None] | None = None


_FORMATS: dict[str, Format] = {}


def register(format_: Format) -> Format:
    """Make a format known."""
    _FORMATS[format_.name] = format_
    return format_


@cache
def formats() -> dict[str, Format]:
    """Every format, by its name: each file of the folder of readers registers its own."""
    package = import_module("whocut.config.readers")
    for module in pkgutil.iter_modules(package.__path__):
        import_module(f"whocut.config.readers.{module.name}")
    return dict(sorted(_FORMATS.items()))


def format_of(name: str) -> Format:
    """The format of that name.

    Raises:
        BadInput: the format is unknown; the message names the nearest one.
    """
    known = {also: format_ for format_ in formats().values() for also in (format_.name, *format_.also)}
    if name not in known:
        raise BadInput(f"there is no format '{name}'{nearest(name, known)}; there are {', '.join(formats())}")
    return known[name]


def told(source: Source) -> Format:
    """The format of a file, by its name and its content.

    Raises:
        BadFile: no format looks like it, or two do alike; says how to name one.
    """
    sure = sorted(
        ((format_.looks(source), format_) for format_ in formats().values()),
        key=lambda found: -found[0],
    )
    (first, best), (second, other) = sure[0], (sure[1] if len(sure) > 1 else (0, sure[0][1]))
    if not first:
        raise BadFile(
            source.path,
            f"its format is not known; say it, as in nginx={source.path}. There are {', '.join(formats())}",
        )
    if first == second:
        raise BadFile(
            source.path,
            f"it can be {best.name} or {other.name}; say which, as in {best.name}={source.path}",
        )
    return best


def said_for(name: str, source: Source) -> Format:
    """The format of a file that is said to be for a product: the product's own, or one that its own is made from.

    Raises:
        BadInput: the format is unknown; the message names the nearest one.
    """
    named = format_of(name)
    others = [formats()[other] for other in named.made_from]
    return max((named, *others), key=lambda format_: format_.looks(source))


def lines_of(source: Source) -> list[str]:
    """The lines of a file whose format is read line by line.

    Raises:
        BadFile: it has more than any configuration.
    """
    lines = source.text.split("\n")
    if len(lines) > _MOST_LINES:
        raise BadFile(source.path, "it has too many lines to be a configuration", line=_MOST_LINES)
    return lines


def file_name(source: Source) -> str:
    """The file's own name, in lower case."""
    return Path(source.path).name.lower()
