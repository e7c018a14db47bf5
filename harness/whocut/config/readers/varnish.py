"""Varnish VCL: backends with their timeouts, and what `vcl_backend_fetch` sets for all of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from whocut.chain.timers import TimerKind
from whocut.config import units
from whocut.config.building import layer_of, limit_at, put
from whocut.config.formats import Format, Source, file_name, register
from whocut.config.reading import NotRead, Reading, Route
from whocut.config.trees import Tree
from whocut.errors import BadFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from whocut.chain.catalogue import Limit

_TIMERS: Final = {
    "connect_timeout": TimerKind.CONNECT,
    "first_byte_timeout": TimerKind.FIRST_BYTE,
    "between_bytes_timeout": TimerKind.IDLE,
}
_COMMENT: Final = re.compile(r"/\*.*?\*/|(?:#|//)[^\n]*", re.DOTALL)
_BACKEND: Final = re.compile(r"\bbackend\s+([\w.-]+)\s*\{")
_FIELD: Final = re.compile(r"\.(\w+)\s*=\s*([^;}]+?)\s*;")
_SET: Final = re.compile(r"\bset\s+bereq\.(\w+_timeout)\s*=\s*([^;]+?)\s*;")


def _read(sources: Sequence[Source]) -> Reading:
    not_read: list[NotRead] = []
    routes: list[Route] = []
    for source in sources:
        # A comment's lines stay, so that every line keeps its number.
        text = _COMMENT.sub(lambda found: "\n" * found[0].count("\n"), source.text)
        not_read += [
            _note(source, text, found.start(), f"include {found[1]}: give that file too")
            for found in re.finditer(r"^\s*include\s+\"([^\"]*)\"", text, re.MULTILINE)
        ]
        routes += _backends(source, text, not_read)
    if not routes:
        raise BadFile(sources[0].path, "there is no backend in it", line=1)
    return Reading(routes=tuple(routes), not_read=tuple(dict.fromkeys(not_read)))


def _note(source: Source, text: str, at: int, what: str) -> NotRead:
    return NotRead(file=source.path, line=_line(text, at), what=what)


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def _backends(source: Source, text: str, not_read: list[NotRead]) -> Iterator[Route]:
    shared: dict[TimerKind, Limit] = {}
    for found in _SET.finditer(text):
        kind = _TIMERS.get(found[1])
        before = text[: found.start()]
        if kind is None:
            continue
        if before.count("{") - before.count("}") > 1:
            not_read.append(
                _note(source, text, found.start(), f"set bereq.{found[1]}: a condition decides at run time")
            )
            continue
        tree = Tree(source.path, _line(text, found.start(1)), found[2])
        put(shared, kind, limit_at(tree, units.varnish, not_read, inherited=True))
    for backend in _BACKEND.finditer(text):
        end = _closing(text, backend.end())
        if end is None:
            raise BadFile(
                source.path,
                f"the block of backend {backend[1]} is not closed",
                line=_line(text, backend.start()),
            )
        limits: dict[TimerKind, Limit] = {}
        for entry in _FIELD.finditer(text, backend.end(), end):
            kind = _TIMERS.get(entry[1])
            if kind is not None:
                tree = Tree(source.path, _line(text, entry.start(1)), entry[2])
                put(limits, kind, limit_at(tree, units.varnish, not_read))
        yield Route(
            host="",
            path=f" backend {backend[1]}",
            file=source.path,
            line=_line(text, backend.start()),
            layers=(layer_of("varnish", {**limits, **shared}),),
        )


def _closing(text: str, at: int) -> int | None:
    depth = 1
    for found in re.compile(r"[{}]").finditer(text, at):
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
