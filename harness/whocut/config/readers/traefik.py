"""Traefik: static and dynamic configuration, in YAML, TOML, flags or labels, read together.

An entry point's `respondingTimeouts.writeTimeout` is a total; a ServersTransport's `forwardingTimeouts` count
towards the service. The rule with the most characters comes first, unless a priority is written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from whocut.chain.layers import LayerRetries
from whocut.chain.timers import TimerKind
from whocut.config import units
from whocut.config.building import layer_of, limit_at, put
from whocut.config.formats import Format, Source, file_name, register
from whocut.config.matching import regex
from whocut.config.reading import Harmless, Later, NotRead, Reading, Route, reading_of_many
from whocut.config.toml_trees import toml_tree
from whocut.config.trees import Tree, yaml_trees
from whocut.errors import BadFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from whocut.chain.catalogue import Limit
    from whocut.chain.layers import Layer
    from whocut.config.reading import Rank

_NOTHING: Final = Tree("", 0, None)
_DYNAMIC_FILES: Final = frozenset({".yml", ".yaml", ".toml"})
_MOST_FILES: Final = 200
_MOST_SERVICES: Final = 20  # behind one another
# Linear: no start within a word, no blanks but behind a mark, and no values that are longer than a page.
_MATCHER: Final = re.compile(r"(?:(!)\s*+)?(?<!\w)(\w++)\(([^)]{0,1000}+)\)")
_OF_HOSTS: Final = {"Host": "exact", "HostRegexp": "regex", "HostSNI": "exact"}
_OF_PATHS: Final = {"Path": "exact", "PathPrefix": "prefix", "PathRegexp": "regex"}
_NAMES: Final = re.compile(r"[`\"']([^`\"']*)[`\"']")


def _traefik(text: str) -> float | None:
    return units.or_none(units.traefik, text)


@dataclass(slots=True)
class Settings:
    """The trees of all files, flags and labels; a field is looked for in each, in any spelling."""

    trees: list[Tree] = field(default_factory=list)
    not_read: list[NotRead] = field(default_factory=list)

    def get(self, *keys: str) -> Tree | None:
        """The first tree's value below these keys."""
        for tree in self.trees:
            found: Tree | None = tree
            for key in keys:
                found = _folded(found, key) if found else None
            if found is not None:
                return found
        return None

    def every(self, *keys: str) -> Iterator[tuple[str, Tree]]:
        """The entries below these keys, of all trees."""
        for tree in self.trees:
            found: Tree | None = tree
            for key in keys:
                found = _folded(found, key) if found else None
            yield from found.items() if found else ()


def _folded(tree: Tree, key: str) -> Tree | None:
    """A field whose name is spelled so, but for capitals: flags and labels are written small."""
    fields = tree.value
    if not isinstance(fields, dict):
        return None
    direct = fields.get(key)
    if direct is not None:
        return direct
    key = key.lower()
    for name in fields:
        if name.lower() == key:
            return fields[name]
    return None


def nested(pairs: Sequence[tuple[str, Tree]]) -> Tree:
    """``http.routers.x.rule=…`` and the like as a tree."""
    root: dict[str, Tree] = {}
    file, line = (pairs[0][1].file, pairs[0][1].line) if pairs else ("", 0)
    for name, value in pairs:
        here, parts = root, name.split(".")
        for part in parts[:-1]:
            child = here.get(part)
            if child is None or not isinstance(child.value, dict):
                child = Tree(value.file, value.line, {})
                here[part] = child
            assert isinstance(child.value, dict)
            here = child.value
        here[parts[-1]] = value
    return Tree(file, line, root)


def _read(sources: Sequence[Source]) -> Reading:
    settings = Settings()
    given = {Path(source.path).resolve() for source in sources}
    for source in sources:
        trees = _trees(source)
        settings.trees += trees
        for provider in [one for tree in trees if (one := _below(tree, "providers", "file")) is not None]:
            for path in _provided(settings, Path(source.path).parent, provider):
                if path.resolve() not in given:
                    given.add(path.resolve())
                    try:
                        settings.trees += _trees(Source.open(path))
                    except BadFile as error:
                        note = NotRead(file=error.path, line=error.line, what=error.problem)
                        settings.not_read.append(note)
    return routes_of(settings)


def _trees(source: Source) -> list[Tree]:
    if file_name(source).endswith(".toml"):
        return [toml_tree(source.path, source.text)]
    return yaml_trees(source.path, source.text)


def _below(tree: Tree, *keys: str) -> Tree | None:
    found: Tree | None = tree
    for key in keys:
        found = _folded(found, key) if found else None
    return found


def _provided(settings: Settings, root: Path, provider: Tree) -> list[Path]:
    """The dynamic files that a static one names: of a copy of /etc/traefik those beside it."""
    for name in ("filename", "directory"):
        named = _folded(provider, name)
        written = named.text() if named else ""
        for path in (
            (root / written.lstrip("/"), root / written.rstrip("/").rpartition("/")[2]) if written else ()
        ):
            try:
                if path.is_file():
                    return [path]
                if path.is_dir() and path.resolve() != root.resolve():
                    return [one for one in sorted(path.iterdir()) if one.suffix in _DYNAMIC_FILES][
                        :_MOST_FILES
                    ]
            except (OSError, ValueError):
                break
        if named is not None and written:
            what = f"providers.file {written}: there is no such file here"
            settings.not_read.append(NotRead(file=named.file, line=named.line, what=what))
    return []


def routes_of(settings: Settings) -> Reading:
    """The routers with their services; without routers, what holds for all."""
    routers = list(settings.every("http", "routers"))
    routes = [_route(settings, name, router) for name, router in routers]
    if not routers:
        where = settings.trees[0] if settings.trees else _NOTHING
        layer, harmless = _layer(settings, None)
        routes = [
            Route(host="", path="", file=where.file, line=where.line, layers=(layer,), harmless=harmless)
        ]
    return reading_of_many(routes, settings.not_read, host_first=False)


def _route(settings: Settings, name: str, router: Tree) -> Route:
    rule = _folded(router, "rule")
    text = rule.text() if rule else ""
    matchers = _matchers(text)
    hosts, paths = _of(matchers, "Host"), _of(matchers, "PathPrefix") or _of(matchers, "Path")
    priority = _folded(router, "priority")
    weight = int(priority.text()) if priority and priority.text().isdecimal() else len(text)
    if "||" in text and ("&&" in text or "!" in text):
        settings.not_read.append(
            NotRead(
                file=router.file,
                line=(rule or router).line,
                what=f"the rule of {name} is read as one list: {text}",
            )
        )
    made = Later(lambda: (_layer(settings, router),))
    return Route(
        host=hosts[0] if hosts else "",
        path=paths[0] if paths else "/",
        file=router.file,
        line=(rule or router).line,
        layers=Later(lambda: (made[0][0],)),
        harmless=Later(lambda: made[0][1]),
        takes_host=_takes(matchers, _OF_HOSTS, weight),
        takes_path=_takes(matchers, _OF_PATHS, weight),
    )


_Matcher = tuple[str, bool, list[str]]  # its name, whether it is denied, and its values


def _matchers(rule: str) -> list[_Matcher]:
    """The matchers of a rule, in their order."""
    return [(name, bool(denied), _NAMES.findall(values)) for denied, name, values in _MATCHER.findall(rule)]


def _of(matchers: Sequence[_Matcher], wanted: str) -> list[str]:
    return [value for name, _, values in matchers if name == wanted for value in values]


def _takes(matchers: Sequence[_Matcher], kinds: dict[str, str], weight: int) -> Callable[[str], Rank | None]:
    """Whether a rule's matchers of these kinds take a text: any of their values is enough."""
    tests = [
        (kinds[name], value)
        for name, denied, values in matchers
        if name in kinds and not denied
        for value in values
    ]

    def takes(text: str) -> Rank | None:
        return (weight,) if not tests or any(_fits(kind, value, text) for kind, value in tests) else None

    return takes


def _fits(kind: str, value: str, text: str) -> bool:
    if kind == "regex":
        return regex(value, text)
    return text.lower() == value.lower() if kind == "exact" else text.startswith(value)


def _layer(settings: Settings, router: Tree | None) -> tuple[Layer, tuple[Harmless, ...]]:
    limits: dict[TimerKind, Limit] = {}
    transport = _transport(settings, router)
    times = _folded(transport, "forwardingTimeouts") if transport else None
    inherited = transport is settings.get("serversTransport")
    for kind, name in ((TimerKind.CONNECT, "dialTimeout"), (TimerKind.FIRST_BYTE, "responseHeaderTimeout")):
        found = _folded(times, name) if times else None
        put(
            limits,
            kind,
            limit_at(found, _traefik, settings.not_read, inherited=inherited and router is not None),
        )
    entry = _entry(settings, router)
    responding = _folded(entry, "transport") if entry else None
    responding = _folded(responding, "respondingTimeouts") if responding else None
    harmless = []
    for name, kinds in (("writeTimeout", TimerKind.TOTAL), ("idleTimeout", TimerKind.KEEPALIVE)):
        found = _folded(responding, name) if responding else None
        put(limits, kinds, limit_at(found, _traefik, settings.not_read, inherited=router is not None))
    read = _folded(responding, "readTimeout") if responding else None
    if read is not None:
        one = limit_at(read, _traefik, settings.not_read)
        harmless.append(
            Harmless(
                directive="respondingTimeouts.readTimeout",
                limit_s=one.limit_s if one else None,
                why="watches reading the request: slow uploads, not slow responses",
                file=read.file,
                line=read.line,
            )
        )
    return layer_of("traefik", limits, retries=_retries(settings, router)), tuple(harmless)


def _transport(settings: Settings, router: Tree | None) -> Tree | None:
    service = _folded(router, "service") if router else None
    name = service.text().partition("@")[0] if service else ""
    named = _named_transport(settings, name) if name else None
    if named is not None:
        wanted = named.text().partition("@")[0]
        found = settings.get("http", "serversTransports", wanted)
        if found is None:
            what = f"serversTransport {named.text()}: it is not in these files"
            settings.not_read.append(NotRead(file=named.file, line=named.line, what=what))
        return found
    return settings.get("serversTransport")


def _named_transport(settings: Settings, name: str, depth: int = 0) -> Tree | None:
    """The transport that a service names; of several services behind it the first one's, and that is said."""
    service = settings.get("http", "services", name)
    if service is None or depth > _MOST_SERVICES:
        return None
    found = settings.get("http", "services", name, "loadBalancer", "serversTransport")
    for kind in ("weighted", "failover", "mirroring"):
        inner = _folded(service, kind)
        if inner is None:
            continue
        parts = _folded(inner, "services")
        first = next(parts.each(), None) if parts else None
        behind = (_folded(first, "name") if first and first.is_mapping else first) or _folded(
            inner, "service"
        )
        if kind == "weighted":
            what = f"service {name}: the limits of the first of its weighted services are taken"
            settings.not_read.append(NotRead(file=service.file, line=service.line, what=what))
        if behind is not None:
            return _named_transport(settings, behind.text().partition("@")[0], depth + 1)
    return found


def _entry(settings: Settings, router: Tree | None) -> Tree | None:
    """The entry point of a router: the one it names, or of several the first that has timeouts."""
    entries = dict(settings.every("entryPoints"))
    said = _folded(router, "entryPoints") if router else None
    names = [one.text() for one in said.each()] if said else []
    if len(names) == 1 and "," in names[0]:
        names = [name.strip() for name in names[0].split(",")]
    candidates = [entries[name] for name in names if name in entries] or list(entries.values())
    timed = [entry for entry in candidates if _folded(entry, "transport") is not None]
    return timed[0] if timed else candidates[0] if candidates else None


def _retries(settings: Settings, router: Tree | None) -> LayerRetries | None:
    """A retry middleware of the router: after a connection that failed, never after an answer or a timer."""
    pending = _names(_folded(router, "middlewares") if router else None)
    for _ in range(_MOST_SERVICES):
        if not pending:
            break
        name = pending.pop(0).partition("@")[0]
        attempts = settings.get("http", "middlewares", name, "retry", "attempts")
        if attempts is not None and attempts.text().isdecimal():
            return LayerRetries(tries=max(1, int(attempts.text())), file=attempts.file, line=attempts.line)
        chain = settings.get("http", "middlewares", name, "chain", "middlewares")
        pending = [*_names(chain), *pending]
    return None


def _names(written: Tree | None) -> list[str]:
    """Names as a list, or in one text with commas; in Kubernetes each is an object."""
    found = [one.text("name") if one.is_mapping else one.text() for one in written.each()] if written else []
    return [name.strip() for one in found for name in one.split(",")]


_STATIC: Final = re.compile(r"^[ \t]*+\[?(?:entryPoints|serversTransport)\b", re.MULTILINE | re.IGNORECASE)
_DYNAMIC: Final = re.compile(
    r"^[ \t]*+\[*(?:http\.)?(?:routers|serversTransports|services)\b", re.MULTILINE | re.IGNORECASE
)


_HTTP: Final = re.compile(r"^\[?http\b", re.MULTILINE)


def _looks(source: Source) -> int:
    name = file_name(source)
    if not name.endswith((".yaml", ".yml", ".toml")) or "apiVersion" in source.text:
        return 0
    if source.has(_STATIC, "entrypoints", "serverstransport"):
        return 85
    http = "[http." in source.text or source.has(_HTTP, "http")
    if http and source.has(_DYNAMIC, "routers", "serverstransports", "services"):
        return 85
    return 50 if name.startswith("traefik") else 0


TRAEFIK: Final = register(
    Format(name="traefik", title="Traefik, static and dynamic", looks=_looks, read=_read, in_parts=True)
)
