"""TOML as trees in which every value knows its line. Bounded in lines, values and depth."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

import tomli

from whocut.config.trees import BYTES_A_NODE, MOST_DEPTH, MOST_NODES, Tree
from whocut.errors import BadFile

_MOST_LINES: Final = 600_000
_COLLECTIONS: Final = (dict, list)


def toml_tree(file: str, text: str) -> Tree:
    """A TOML file; a value's line is that of its key, found again in the text.

    Raises:
        BadFile: it is no TOML, too deep, or too large.
    """
    if text.count("\n") > _MOST_LINES:
        raise BadFile(file, "it has too many lines to be a configuration", line=_MOST_LINES)
    if text.count("=") + text.count(",") > MOST_NODES + len(text) // BYTES_A_NODE:
        raise BadFile(file, "it holds too many values")
    try:
        return _from_toml(file, tomli.loads(text), _places(text), 1, 0)
    except tomli.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        what = str(error).partition(" (at")[0]
        raise BadFile(
            file, f"it cannot be read as TOML: {what}", line=int(line[1]) if line else None
        ) from None
    except RecursionError:
        raise BadFile(file, "it is nested too deeply to be a configuration") from None
    except ValueError:  # an integer of more digits than Python reads or writes
        raise BadFile(file, "a number in it is too long to be one of a configuration") from None


@dataclass(slots=True)
class _Place:
    """Where a table is written, and what is below it: the line of a key, or the place of a table.

    `each` holds the places of a table that is written several times, as the entries of a list.
    """

    line: int | None = None
    below: dict[str, int | _Place] = field(default_factory=dict)
    each: list[_Place] = field(default_factory=list)

    def at(self, name: str) -> _Place:
        """The table of this name below it; of several the last."""
        below = self.below.get(name)
        if not isinstance(below, _Place):
            below = self.below[name] = _Place(below)
        return below.each[-1] if below.each else below


def _from_toml(
    file: str, value: dict[str, Any] | list[Any], place: int | _Place | None, line: int, depth: int
) -> Tree:
    """A table or a list as a tree; `line` is that of the table around it.

    A table that no line of its own names begins where the first of its values is.
    """
    own = place.line if isinstance(place, _Place) else place
    around = line if own is None else own
    if depth > MOST_DEPTH:
        raise BadFile(file, "it is nested too deeply to be a configuration", line=around)
    if isinstance(value, list):
        each = place.each if isinstance(place, _Place) else []
        return Tree(
            file,
            around,
            [
                _from_toml(file, child, each[n] if n < len(each) else None, around, depth + 1)
                if isinstance(child, _COLLECTIONS)
                else Tree(file, around, child if isinstance(child, bool) else str(child))
                for n, child in enumerate(value)
            ],
        )
    below = place.below if isinstance(place, _Place) else {}
    fields: dict[str, Tree] = {}
    for key, child in value.items():
        at = below.get(key)
        if isinstance(child, _COLLECTIONS):
            fields[key] = _from_toml(file, child, at, around, depth + 1)
            continue
        here = at.line if isinstance(at, _Place) else at
        written = child if isinstance(child, bool) else str(child)
        fields[key] = Tree(file, around if here is None else here, written)
    if own is None:
        own = min((child.line for child in fields.values()), default=1)
    return Tree(file, own, fields)


_KEY: Final = r'(?:[\w-]++|"[^"]*+"|\'[^\']*+\')'
_TOML_LINE: Final = re.compile(
    r"[ \t]*+(?:(\[\[?)[ \t]*+([^\]]++)\]\]?[ \t]*+(?:#.*)?$"  # a table
    rf"|([\w-]++)[ \t]*+=|({_KEY}(?:[ \t]*+\.[ \t]*+{_KEY})*+)[ \t]*+=)"  # a key of one word, or any other
)
_NAME: Final = re.compile(_KEY)


def _places(text: str) -> _Place:
    """The line of each key and table; keys inside a value of several lines are not among them."""
    root = table = _Place()
    match = _TOML_LINE.match
    for number, line in enumerate(text.split("\n"), start=1):
        found = match(line)
        if found is None:
            continue
        brackets, head, key, keys = found.groups()
        if key:
            table.below.setdefault(key, number)
            continue
        *names, last = [name.strip("\"'") for name in _NAME.findall(head or keys)] or [""]
        here = table if keys else root
        for name in names:
            here = here.at(name)
        if keys:
            here.below.setdefault(last, number)
        elif brackets == "[[":
            several = here.below.get(last)
            if not isinstance(several, _Place):
                several = here.below[last] = _Place(several)
            table = _Place(number)
            several.each.append(table)
        else:
            table = here.at(last)
            table.line = number if table.line is None else table.line
    return root
