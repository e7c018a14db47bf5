"""nginx.conf and its parts: servers and locations as routes, with includes, inheritance and several files.

A value is that of the innermost block that has it. Includes are followed where they exist, also beside the file
that names them, for a copy of /etc/nginx lies anywhere; those that do not exist are named. `map` and variables are
followed where they lead to one thing, and named where they decide at run time.
One file, because each part looks values up through the same scopes.
"""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from whocut.chain.catalogue import catalogue
from whocut.chain.layers import Buffering, LayerRetries
from whocut.chain.there import files_matching, is_a_file
from whocut.chain.timers import TimerKind
from whocut.config import units
from whocut.config.building import AT_ONCE_S, layer_of, limit
from whocut.config.formats import Format, Source, file_name, register
from whocut.config.matching import regex, understood
from whocut.config.nginx_places import (
    FAMILIES,
    Location,
    Scope,
    Server,
    every,
    is_named,
    locations_of,
    passes,
)
from whocut.config.nginx_syntax import Directive, inserted, parse
from whocut.config.reading import Harmless, Later, NotRead, Reading, Route
from whocut.errors import BadFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from whocut.chain.catalogue import Limit
    from whocut.chain.layers import Layer
    from whocut.config.reading import Rank

_MOST_FILES: Final = 500
_BLOCKS: Final = {"http", "server", "location", "upstream", "map", "if", "limit_except"}
_BLOCKS_AT_TOP: Final = ("http", "server", "location", "upstream", "events", "stream")
_HERE: Final = re.compile(rf"^[ \t]*+(?:{'|'.join(_BLOCKS_AT_TOP)})\b[^;{{}}]{{0,300}}\{{", re.MULTILINE)
_WORDS: Final = (
    "proxy_pass",
    "proxy_read_timeout",
    "grpc_pass",
    "uwsgi_pass",
    "fastcgi_pass",
    "keepalive_timeout",
)
_DIRECTIVE: Final = re.compile(rf"^[ \t]*+(?:{'|'.join(_WORDS)})\s[^;]{{0,300}};", re.MULTILINE)


@dataclass(slots=True)
class _Conf:
    """Files read together: their http blocks, and what could not be read."""

    not_read: list[NotRead] = field(default_factory=list)
    opened: dict[str, list[Directive]] = field(default_factory=dict)
    product: str = "nginx"

    def note(self, where: Directive, what: str) -> None:
        note = NotRead(file=where.file, line=where.line, what=what)
        if note not in self.not_read:
            self.not_read.append(note)

    # --- files

    def tree(self, source: Source) -> list[Directive]:
        """A file with its includes in their places."""
        directives = parse(source.path, source.text)
        self.opened[_key(source.path)] = directives
        return self._followed(directives, Path(source.path).parent, (_key(source.path),))

    def _followed(self, directives: list[Directive], root: Path, chain: tuple[str, ...]) -> list[Directive]:
        followed: list[Directive] = []
        for directive in directives:
            if directive.name == "include" and directive.args:
                followed += self._included(directive, root, chain)
                continue
            if directive.block is not None and directive.name in _BLOCKS:
                directive.block = self._followed(directive.block, root, chain)
            followed.append(directive)
        return followed

    def _included(self, include: Directive, root: Path, chain: tuple[str, ...]) -> list[Directive]:
        pattern = include.args[0]
        if Path(pattern).name in {
            "mime.types",
            "fastcgi_params",
            "uwsgi_params",
            "scgi_params",
            "fastcgi.conf",
        }:
            return []  # they say nothing of time
        files = _files(pattern, root)
        if not files:
            self.note(include, f"include {pattern}: there is no such file here")
        found: list[Directive] = []
        for path in files:
            key = _key(path)
            if key in chain:
                self.note(include, f"include {pattern}: the file includes itself")
            elif len(self.opened) >= _MOST_FILES:
                self.note(include, f"include {pattern}: more than {_MOST_FILES} files")
            else:
                try:
                    source = Source.open(path)
                    inner = parse(source.path, source.text)
                except BadFile as error:
                    self.not_read.append(NotRead(file=error.path, line=error.line, what=error.problem))
                    continue
                self.opened[key] = inner
                found += self._followed(inner, root, (*chain, key))
        return found


def _key(path: str | Path) -> str:
    return str(Path(path).resolve())


def _files(pattern: str, root: Path) -> list[Path]:
    """The files that an include names; of a copy of /etc/nginx those in the copy, never this machine's own."""
    parts = Path(pattern).parts
    beside = root.joinpath(*parts[parts.index("nginx") + 1 :]) if "nginx" in parts else root / pattern
    tries = [beside]
    if Path(pattern).is_absolute() and ("nginx" not in parts or root.resolve().parts[:3] == parts[:3]):
        tries = [Path(pattern), beside]
    for path in tries:
        if any(mark in str(path) for mark in "*?["):
            found = files_matching(path.parent, path.name)
        else:
            found = [path] if is_a_file(path) else []
        if found:
            return found
    return []


# --- routes ---------------------------------------------------------------------------------------


def _read(sources: Sequence[Source]) -> Reading:
    conf = _Conf()
    trees = [conf.tree(source) for source in sources]
    https, servers, loose = [], [], []
    for tree, source in zip(trees, sources, strict=True):
        # A file that another of those given includes is read in its place.
        if any(
            _key(source.path) in conf.opened and _includes(other, source)
            for other in trees
            if other is not tree
        ):
            continue
        https += [block for block in tree if block.name == "http" and block.block is not None]
        servers += [block for block in tree if block.name == "server"]
        loose += [block for block in tree if block.name not in {"http", "server", "events", "stream"}]
    file = sources[0].path
    http = https[0] if https else Directive("http", [], file, 1, [])
    assert http.block is not None
    # Parts of an http block, given beside it or alone.
    http.block += [inner for other in https[1:] for inner in other.block or ()] + servers + loose
    if any(block.name == "location" for block in loose):
        http.block.append(Directive("server", [], file, 1, [b for b in loose if b.name == "location"]))
    routes = [route for server in http.all("server") for route in _server(conf, Scope((http,)).inner(server))]
    return Reading(routes=tuple(routes), not_read=conf.not_read)


def _includes(tree: list[Directive], source: Source) -> bool:
    """Whether the directives of a file are among these."""
    key = _key(source.path)
    pending = list(tree)
    while pending:
        directive = pending.pop()
        if _key(directive.file) == key:
            return True
        pending += directive.block or ()
    return False


def _server(conf: _Conf, scope: Scope) -> Iterator[Route]:
    names = [name for found in scope.block.all("server_name") for name in found.args] or [""]
    host = next((name for name in names if name not in {"", "_"}), "")
    default = any("default_server" in listen.args for listen in scope.block.all("listen"))
    takes_host = _takes_host(names, default=default)
    server = Server(conf.note, scope, list(locations_of(scope)))
    locations = list(every(server.locations))
    named = {location.block.args[0]: location for location in locations if is_named(location)}
    for location in locations:
        if location.kind in {"~", "~*"} and not understood(location.path):
            conf.note(location.block, f"location {location.path}: whether it takes a path is not tried")
        if is_named(location) or (location.block.first("internal") and not server.leads_on):
            continue
        passed = _Passed(conf, location, named)
        yield Route(
            host=host,
            path=location.path,
            file=location.block.file,
            line=location.block.line,
            layers=Later(passed.layers),
            harmless=Later(passed.harmless),
            takes_host=takes_host,
            takes_path=partial(server.rank, location),
        )


def _takes_host(names: Sequence[str], *, default: bool) -> Callable[[str], Rank | None]:
    def takes(host: str) -> Rank | None:
        ranks = [rank for name in names if (rank := _host_rank(name, host.lower())) is not None]
        # Whatever no name takes goes to the default server.
        return max(ranks, default=(1,) if default else (0,))

    return takes


def _host_rank(name: str, host: str) -> Rank | None:
    name = name.lower()
    if name.startswith("~"):
        return (2,) if regex(name[1:], host, fold=True) else None
    if name == host:
        return (5,)
    if name.startswith("."):
        return (4, len(name)) if host == name[1:] or host.endswith(name) else None
    if "*" in name and fnmatch.fnmatchcase(host, name):
        return (4 if name.startswith("*") else 3, len(name))
    return None


@dataclass(slots=True)
class _Passed:
    """What a location passes a request on by, made when it is asked for."""

    conf: _Conf
    location: Location
    named: dict[str, Location]
    made: tuple[Layer, tuple[Harmless, ...]] | None = None
    is_made: bool = False

    def _make(self) -> tuple[Layer, tuple[Harmless, ...]] | None:
        if not self.is_made:
            self.made, self.is_made = _followed(self.conf, self.location, self.named), True
        return self.made

    def layers(self) -> Sequence[Layer]:
        made = self._make()
        return (made[0],) if made else ()

    def harmless(self) -> Sequence[Harmless]:
        made = self._make()
        return made[1] if made else ()


# --- layers ---------------------------------------------------------------------------------------


def _followed(
    conf: _Conf, location: Location, named: dict[str, Location], seen: frozenset[str] = frozenset()
) -> tuple[Layer, tuple[Harmless, ...]] | None:
    """The layer of a location, or of the named one that it hands the request to."""
    scope = location.scope
    if any(block.first("return") for block in scope.blocks if block is scope.block or block.name == "server"):
        return None
    for condition in scope.block.all("if"):
        if any(
            FAMILIES.get(inner.name) or inner.name.endswith("_timeout") for inner in condition.block or ()
        ):
            conf.note(condition, f"if {condition.value}: a condition that decides at run time")
    passing = passes(scope)
    if passing is not None:
        return _layer(conf, scope, FAMILIES[passing.name], passing)
    for name in ("try_files", "error_page"):
        found = scope.block.first(name)
        target = found.args[-1] if found and found.args else ""
        if target in named and target not in seen:
            return _followed(conf, named[target], named, seen | {target})
    return None


def _layer(conf: _Conf, scope: Scope, family: str, passing: Directive) -> tuple[Layer, tuple[Harmless, ...]]:
    limits: dict[TimerKind, Limit] = {}
    for kind, name in (
        (TimerKind.CONNECT, f"{family}_connect_timeout"),
        (TimerKind.FIRST_BYTE, f"{family}_read_timeout"),
        (TimerKind.KEEPALIVE, "keepalive_timeout"),
    ):
        found = scope.find(name)
        if found is not None:
            limits[kind] = _limit(conf, *found, family=family)
    if family != "proxy":
        _named_after(limits, family)
    layer = layer_of(
        conf.product,
        limits,
        buffering=Buffering.NONE
        if scope.value(f"{family}_buffering") == "off" or family == "grpc"
        else Buffering.CONTENT_LENGTH,
        retries=_retries(conf, scope, family, passing),
        notices_abort=scope.value(f"{family}_ignore_client_abort") != "on",
    )
    return layer, tuple(_harmless(conf.product, scope))


def _named_after(limits: dict[TimerKind, Limit], family: str) -> None:
    """The knobs of another family: what is not written is its default under its own name."""
    for kind, name in ((TimerKind.CONNECT, "connect"), (TimerKind.FIRST_BYTE, "read")):
        if kind not in limits:
            directive = f"{family}_{name}_timeout"
            limits[kind] = limit(
                60.0, "", None, inherited=True, directive=directive, knob=f"{directive} {{s}}s;"
            )
    limits[TimerKind.IDLE] = limits[TimerKind.FIRST_BYTE]


def _limit(conf: _Conf, found: Directive, inherited: bool, *, family: str) -> Limit:  # noqa: FBT001  # a pair, unpacked
    own: dict[str, Any] = {}
    if family != "proxy" and found.name.startswith(family):
        own = {"directive": found.name, "knob": f"{found.name} {{s}}s;"}
    written = found.args[0] if found.args else ""
    try:
        seconds = units.nginx(written)
    except ValueError as error:
        conf.note(found, f"{found.name}: {error}")
        return limit(None, found.file, found.line, inherited=inherited, unknown=True, **own)
    if not seconds and not found.name.startswith("keepalive"):
        conf.note(found, f"{found.name} 0: no time at all, and not no limit; each request ends at once")
        seconds = AT_ONCE_S
    return limit(seconds or None, found.file, found.line, inherited=inherited, **own)


def _retries(conf: _Conf, scope: Scope, family: str, passing: Directive) -> LayerRetries:
    """Tries by `*_next_upstream`: as many as there are servers, and of a POST only where it says non_idempotent."""
    found = scope.find(f"{family}_next_upstream")
    on = found[0].args if found else ["error", "timeout"]
    servers = _servers(scope, passing)
    most = scope.value(f"{family}_next_upstream_tries")
    tries = min(servers, int(most)) if most.isdecimal() and int(most) else servers
    if "off" in on:
        tries = 1
    post = "non_idempotent" in on
    if post and servers == 0:
        conf.note(passing, f"{passing.name} {passing.value}: how many servers it has is decided at run time")
    return LayerRetries(
        tries=max(1, tries),
        post=post,
        on_timeout="timeout" in on,
        file=found[0].file if found else "",
        line=found[0].line if found else None,
    )


def _servers(scope: Scope, passing: Directive) -> int:
    """How many servers are behind a pass; 0 where that is decided at run time."""
    target = re.sub(r"^\w+://", "", passing.args[0] if passing.args else "").split("/")[0]
    http = scope.blocks[0]
    for _ in range(3):
        if "$" not in target:
            break
        target = _resolved(scope, http, target)
    group = next((block for block in http.all("upstream") if block.args[:1] == [target.split(":")[0]]), None)
    group = group or next((block for block in http.all("upstream") if block.args[:1] == [target]), None)
    if group is not None:
        return len([server for server in group.all("server") if "down" not in server.args])
    return 0 if "$" in target else 1


def _resolved(scope: Scope, http: Directive, target: str) -> str:
    """A target with its variable's value, where a `set` or a `map` leaves it only one."""
    name = re.search(r"\$\{?(\w+)\}?", target)
    if name is None:
        return target
    values: set[str] = set()
    for block in (*scope.blocks, *http.all("map")):
        if block.name == "map" and block.args[1:2] == [f"${name[1]}"]:
            values |= {entry.args[-1] for entry in block.block or () if entry.args}
        values |= {
            found.args[1]
            for found in block.all("set")
            if found.args[:1] == [f"${name[1]}"] and len(found.args) > 1
        }
    values = {re.sub(r"^\w+://", "", value) for value in values}
    return target.replace(name[0], values.pop()) if len(values) == 1 else target


def _harmless(product: str, scope: Scope) -> Iterator[Harmless]:
    """Timers that are written and cannot end a slow answer, with the reason."""
    for other in catalogue()[product].other:
        found = scope.find(other.directive)
        if found is None:
            continue
        try:
            seconds = units.nginx(found[0].args[0] if found[0].args else "")
        except ValueError:
            continue
        yield Harmless(
            directive=other.directive,
            limit_s=seconds or None,
            why=f"watches {other.watches}",
            file=found[0].file,
            line=found[0].line,
        )


def _looks(source: Source) -> int:
    name = file_name(source)
    if name.endswith((".yaml", ".yml", ".json", ".toml", ".tf", ".js", ".ts", ".vcl")):
        return 0
    if name == "nginx.conf":
        return 90
    text = source.text
    if ";" in text and source.has(_HERE, *_BLOCKS_AT_TOP):
        return 80 if any(word in text for word in _WORDS) or "listen" in text else 40
    return 30 if source.has(_DIRECTIVE, *_WORDS) else 0


NGINX: Final = register(
    Format(name="nginx", title="nginx.conf", looks=_looks, read=_read, also=("openresty",), insert=inserted)
)
