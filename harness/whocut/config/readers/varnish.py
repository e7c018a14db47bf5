"""Varnish VCL: backends with their timeouts, and what `vcl_backend_fetch` sets for all of them."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from whocut.chain.timers import TimerKind
from whocut.config import units
from whocut.config.building import layer_of, limit_at, put
from whocut.config.formats import Format, Source, file_name, register
from whocut.config.reading import Later, NotRead, Reading, Route
from whocut.config.trees import Tree
from whocut.errors import BadFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from whocut.chain.catalogue import Limit
    from whocut.chain.layers import Layer

_MOST_BACKENDS: Final = 10_000  # each is a way that the request may take
_TIMERS: Final = {
    "connect_timeout": TimerKind.CONNECT,
    "first_byte_timeout": TimerKind.FIRST_BYTE,
    "between_bytes_timeout": TimerKind.IDLE,
}
_BRACE: Final = re.compile(r"[{}]")
_COMMENT: Final = re.compile(r"/\*.*?\*/|(?:#|//)[^\n]*", re.DOTALL)
_BACKEND: Final = re.compile(r"\bbackend\s+([\w.-]+)\s*\{")
_FIELD: Final = re.compile(r"\.(\w+)\s*=\s*([^;}]+?)\s*;")
_SET: Final = re.compile(r"\bset\s+bereq\.(\w+_timeout)\s*=\s*([^;]+?)\s*;")


@dataclass(frozen=True, slots=True)
class _Text:
    """A file's text without its comments, and the line of each place in it."""

    path: str
    text: str
    begins: list[int]

    @classmethod
    def of(cls, source: Source) -> _Text:
        # A comment's lines stay, so that every line keeps its number.
        text = _COMMENT.sub(lambda found: "\n" * found[0].count("\n"), source.text)
        return cls(source.path, text, [0, *(found.end() for found in re.finditer("\n", text))])

    def line(self, at: int) -> int:
        return bisect_right(self.begins, at)

    def note(self, at: int, what: str) -> NotRead:
        return NotRead(file=self.path, line=self.line(at), what=what)

    def tree(self, at: int, value: str) -> Tree:
        return Tree(self.path, self.line(at), value)


def _read(sources: Sequence[Source]) -> Reading:
    not_read: list[NotRead] = []
    routes: list[Route] = []
    for source in sources:
        text = _Text.of(source)
        not_read += [
            text.note(found.start(), f"include {found[1]}: give that file too")
            for found in re.finditer(r"^\s*include\s+\"([^\"]*)\"", text.text, re.MULTILINE)
        ]
        routes += _backends(text, not_read)
    if not routes:
        raise BadFile(sources[0].path, "there is no backend in it", line=1)
    return Reading(routes=tuple(routes), not_read=tuple(dict.fromkeys(not_read)))


def _shared(text: _Text, not_read: list[NotRead]) -> dict[TimerKind, Limit]:
    """The limits that a subroutine sets for every backend; one inside a condition is named."""
    shared: dict[TimerKind, Limit] = {}
    depth = at = 0
    for found in _SET.finditer(text.text):
        depth += text.text.count("{", at, found.start()) - text.text.count("}", at, found.start())
        at = found.start()
        kind = _TIMERS.get(found[1])
        if kind is None:
            continue
        if depth > 1:
            not_read.append(text.note(at, f"set bereq.{found[1]}: a condition decides at run time"))
            continue
        tree = text.tree(found.start(1), found[2])
        put(shared, kind, limit_at(tree, units.varnish, not_read, inherited=True))
    return shared


def _backends(text: _Text, not_read: list[NotRead]) -> Iterator[Route]:
    shared = _shared(text, not_read)
    for number, backend in enumerate(_BACKEND.finditer(text.text)):
        if number == _MOST_BACKENDS:
            raise BadFile(
                text.path, f"it has more than {_MOST_BACKENDS:,} backends", line=text.line(backend.start())
            )
        end = _closing(text.text, backend.end())
        line = text.line(backend.start())
        if end is None:
            raise BadFile(text.path, f"the block of backend {backend[1]} is not closed", line=line)
        limits: dict[TimerKind, Limit] = {}
        for entry in _FIELD.finditer(text.text, backend.end(), end):
            kind = _TIMERS.get(entry[1])
            if kind is not None:
                put(limits, kind, limit_at(text.tree(entry.start(1), entry[2]), units.varnish, not_read))
        yield Route(
            host="",
            path=f" backend {backend[1]}",
            file=text.path,
            line=line,
            layers=Later(partial(_layers, {**limits, **shared})),
        )


def _layers(limits: dict[TimerKind, Limit]) -> tuple[Layer, ...]:
    return (layer_of("varnish", limits),)


def _closing(text: str, at: int) -> int | None:
    depth = 1
    for found in _BRACE.finditer(text, at):
        depth += 1 if found[0] == "{" else -1
        if not depth:
            return found.start()
    return None


def _looks(source: Source) -> int:
    name = file_name(source)
    if name.endswith(".vcl"):
        return 95
    return 80 if re.search(r"^\s*vcl\s+\d", source.text, re.MULTILINE) else 0


VARNISH: Final = register(
    Format(name="varnish", title="Varnish VCL", looks=_looks, read=_read, also=("vcl",))
)
