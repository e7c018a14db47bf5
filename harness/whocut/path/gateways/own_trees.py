"""A user's own YAML, JSON or TOML as plain data with the line of each value, and as the product gets it: JSON.

The products name fields, and no lines; so each field's line is kept, and put behind what the product says of it.
"""

from __future__ import annotations

import json
import re
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import tomli
import yaml

from whocut.tables import LOADER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from whocut.clock import Clock

Place = tuple[str | int, ...]
_MOST_NODES: Final = 200_000
_UNITS_S: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")


@dataclass(slots=True)
class OwnTree:
    """A file's data, to be changed; how it was before; and the line of each of its values."""

    data: Any
    before: Any
    lines: dict[Place, int] = field(default_factory=dict)

    @classmethod
    def of(cls, path: Path, text: str) -> OwnTree | None:
        """The data of a file; None: it cannot be read, and what is wrong with it is the product's to say."""
        try:
            if path.suffix == ".toml":
                data: Any = tomli.loads(text)
                return cls(data, deepcopy(data), _lines_of_toml(text))
            node = yaml.compose(text, Loader=LOADER)
            lines: dict[Place, int] = {}
            _walk(node, (), lines)
            data = yaml.load(text, Loader=LOADER)  # noqa: S506  # a safe loader
        except (yaml.YAMLError, ValueError, RecursionError):
            return None
        return cls(data, deepcopy(data), lines) if isinstance(data, dict) else None

    def texts(self) -> tuple[str, str]:
        """The file before and after, as JSON, which is YAML as well."""
        before, after = (
            json.dumps(data, indent=2, ensure_ascii=False, default=str) + "\n"
            for data in (self.before, self.data)
        )
        return before, after

    def fields(self) -> dict[str, int]:
        """The line on which each field is first."""
        found: dict[str, int] = {}
        for place, line in self.lines.items():
            if place and isinstance(place[-1], str):
                found.setdefault(place[-1], line)
        return found

    def at_line(self, line: int | None) -> Place:
        """The deepest value that begins on a line; of several on one line the outermost list's entry."""
        here = [place for place, number in self.lines.items() if number == line]
        return min(here, key=len, default=())


def each(data: Any, place: Place = ()) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Every mapping below, with its place; changes of it while it is looked at are seen."""
    if isinstance(data, dict):
        yield place, data
        for key, value in list(data.items()):
            yield from each(value, (*place, str(key)))
    elif isinstance(data, list):
        for number, value in enumerate(data):
            yield from each(value, (*place, number))


def scale_times(data: Any, names: Callable[[str], bool], clock: Clock) -> None:
    """Each duration under one of these names, on the run's clock."""
    if clock.scale == 1:
        return
    for _, mapping in each(data):
        for name, value in mapping.items():
            if names(name):
                mapping[name] = scaled_time(value, clock)


def scaled_time(value: Any, clock: Clock) -> Any:
    """A duration as it is on the run's clock, in decimal seconds; anything else as it is."""
    limit_s = duration_s(value)
    return f"{max(0.001, clock.real_s(limit_s)):.3f}s" if limit_s else value


def duration_s(value: Any) -> float | None:
    """A duration as Go and Envoy write it, in seconds, or a bare number of seconds; None for anything else."""
    text = str(value)
    parts = _PART.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return sum(float(number) * _UNITS_S[unit] for number, unit in parts)
    if re.fullmatch(r"\d+(?:\.\d+)?", text) and not isinstance(value, bool):
        return float(text)
    return None


def _walk(node: yaml.Node | None, place: Place, lines: dict[Place, int]) -> None:
    if node is None:
        return
    if len(lines) > _MOST_NODES:
        raise ValueError("it holds too many values")
    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*place, str(key.value))
            lines[inner] = key.start_mark.line + 1
            _walk(value, inner, lines)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            _walk(value, (*place, number), lines)


def _lines_of_toml(text: str) -> dict[Place, int]:
    """The line of each field's name, whatever table it belongs to."""
    found: dict[Place, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        name = re.match(r"\s*\[*\s*([\w.\"'-]+)", line)
        if name:
            found.setdefault((name[1].strip("\"'").rpartition(".")[2],), number)
    return found
