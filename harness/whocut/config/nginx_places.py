"""A server of nginx and its locations: which of them a path comes to, by way of `rewrite` and `try_files` too."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from whocut.config.matching import captured, regex, understood

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from whocut.config.nginx_syntax import Directive
    from whocut.config.reading import Rank

_MOST_REWRITES: Final = 10  # nginx's own bound
# The families of modules that pass a request on, and the prefix of their directives.
FAMILIES: Final = {f"{family}_pass": family for family in ("proxy", "grpc", "uwsgi", "fastcgi", "scgi")}


@dataclass(frozen=True, slots=True)
class Scope:
    """A block with those around it, the innermost last."""

    blocks: tuple[Directive, ...]

    def inner(self, block: Directive) -> Scope:
        """This block with one more inside it."""
        return Scope((*self.blocks, block))

    def find(self, name: str) -> tuple[Directive, bool] | None:
        """The directive that holds here, and whether an outer block says it."""
        for depth, block in enumerate(reversed(self.blocks)):
            found = block.first(name)
            if found is not None:
                return found, depth > 0
        return None

    def value(self, name: str) -> str:
        """The directive's argument that holds here; empty: it is not written."""
        found = self.find(name)
        return found[0].value if found else ""

    @property
    def block(self) -> Directive:
        """The innermost block."""
        return self.blocks[-1]


@dataclass(slots=True, eq=False)
class Location:
    """A location: its path, how it matches (`=`, `^~`, `~`, `~*`, or none), its scope, and those inside it."""

    path: str
    kind: str
    scope: Scope
    inner: list[Location]

    @property
    def block(self) -> Directive:
        """Its block."""
        return self.scope.block


def locations_of(scope: Scope) -> Iterator[Location]:
    """The locations of a block, in their order, each with those inside it."""
    for block in scope.block.all("location"):
        if not block.args or block.block is None:
            continue
        kind, path = (block.args[0], block.args[1]) if len(block.args) > 1 else ("", block.args[0])
        glued = re.match(r"(=|\^~|~\*|~)(.+)", path) if not kind else None
        if glued:
            kind, path = glued[1], glued[2]
        inner = scope.inner(block)
        yield Location(path, kind, inner, list(locations_of(inner)))


def every(locations: Sequence[Location]) -> Iterator[Location]:
    """These locations and all those inside them."""
    for location in locations:
        yield location
        yield from every(location.inner)


def _chosen(locations: Sequence[Location], path: str) -> tuple[Location | None, bool]:
    """The location that nginx takes, and whether that is final.

    Exact comes first. The longest prefix and those inside it come next, and a regular expression before them,
    unless the prefix has `^~`.
    """
    best: Location | None = None
    for location in locations:
        if location.kind == "=" and path == location.path:
            return location, True
        if location.kind in {"", "^~"} and path.startswith(location.path) and not is_named(location):
            best = location if best is None or len(location.path) > len(best.path) else best
    found = best
    if best is not None:
        inner, final = _chosen(best.inner, path)
        found = inner or best
        if final:
            return found, True
    if best is None or best.kind != "^~":
        for location in locations:
            if location.kind in {"~", "~*"} and regex(location.path, path, fold=location.kind == "~*"):
                return _chosen(location.inner, path)[0] or location, True
    return found, False


@dataclass(slots=True)
class Server:
    """A server's locations, and the one that a path comes to by way of `rewrite` and `try_files`."""

    note: Callable[[Directive, str], None]
    scope: Scope
    locations: list[Location]
    reached: dict[str, Location | None] = field(default_factory=dict)

    @property
    def leads_on(self) -> bool:
        """Whether a path can come to another location than its own."""
        blocks = (self.scope.block, *(location.block for location in every(self.locations)))
        return any(block.first(name) for block in blocks for name in ("rewrite", "try_files"))

    def rank(self, location: Location, path: str) -> Rank | None:
        """One rank for the location that the path comes to."""
        if path not in self.reached:
            self.reached[path] = self._reached(path)
        return (1,) if self.reached[path] is location else None

    def _reached(self, path: str) -> Location | None:
        written = _rewritten(self.note, self.scope.block, path)
        if written is None:
            return None
        here, _ = _chosen(self.locations, written[0])
        if here is not None and here.block.first("internal") and written[0] == path:
            return None
        for _ in range(_MOST_REWRITES):
            if here is None or here.block.first("return"):
                return here
            before = written[0]
            written = _rewritten(self.note, here.block, before)
            if written is None:
                return None
            path, last = written
            if path == before and not last and passes(here.scope) is None:
                path = _fallback(here.block) or path
            if path == before or (last == "break"):
                return here
            here, written = _chosen(self.locations, path)[0], (path, "")
        return here


def _fallback(block: Directive) -> str:
    """The path that `try_files` falls back on; a file that is served before it is on no path to an upstream."""
    found = block.first("try_files")
    target = found.args[-1] if found and found.args else ""
    return target.partition("?")[0] if target.startswith("/") and "$" not in target.partition("?")[0] else ""


def _rewritten(note: Callable[[Directive, str], None], block: Directive, path: str) -> tuple[str, str] | None:
    """A path behind the `rewrite` directives of a block, with the flag that ended them; None: it is redirected."""
    for rewrite in block.all("rewrite"):
        if len(rewrite.args) < 2:
            continue
        pattern, target, *flag = rewrite.args
        if not understood(pattern):
            note(rewrite, f"rewrite {pattern}: whether it takes a path is not tried")
        groups = captured(pattern, path)
        if groups is None:
            continue
        if flag[:1] in (["redirect"], ["permanent"]) or re.match(r"https?://|\$scheme", target):
            return None
        target = _filled(target, groups).partition("?")[0]
        if "$" in target:
            note(rewrite, f"rewrite {pattern} {target}: a variable that decides at run time")
            continue
        path = target
        if flag[:1] in (["last"], ["break"]):
            return path, flag[0]
    return path, ""


def _filled(target: str, groups: Mapping[str, str]) -> str:
    return re.sub(r"\$(\d)", lambda digit: groups.get(digit[1], ""), target)


def is_named(location: Location) -> bool:
    """Whether only another directive leads to it, by its name."""
    return location.path.startswith("@")


def passes(scope: Scope) -> Directive | None:
    """The directive by which a block passes a request on; inheritance ends at a block of its own."""
    return next((found for name in FAMILIES for found in scope.block.all(name)), None)
