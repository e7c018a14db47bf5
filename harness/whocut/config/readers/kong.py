"""Kong's declarative configuration: services with their timeouts, and the routes that lead to them.

What decK fills in by `_info.defaults` is inherited. A route by a header or a share decides at run time, and comes
last. Plugins with upstreams of their own are named.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from whocut.chain.catalogue import preset
from whocut.chain.layers import Buffering
from whocut.chain.timers import TimerKind
from whocut.config import units
from whocut.config.building import layer_of, limit_at, put
from whocut.config.formats import Format, Source, file_name, register
from whocut.config.matching import any_host, path_rank, understood
from whocut.config.reading import Later, NotRead, Reading, Route, reading_of_many
from whocut.config.trees import Tree, yaml_trees

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from whocut.chain.catalogue import Limit
    from whocut.chain.layers import Layer
    from whocut.config.reading import Rank

_NOTHING: Final = Tree("", 0, None)
_TIMERS: Final = (("connect_timeout", TimerKind.CONNECT), ("read_timeout", TimerKind.FIRST_BYTE))
_OWN_UPSTREAM: Final = re.compile(r"ai-(?:proxy|request)|(?:aws-lambda|azure-functions|forward-proxy)$")


@dataclass(slots=True)
class _Conf:
    """One file: the service of each name, and what decK fills in."""

    tree: Tree
    not_read: list[NotRead]

    def note(self, tree: Tree, what: str) -> None:
        self.not_read.append(NotRead(file=tree.file, line=tree.line, what=what))

    def default(self, of: str, name: str) -> Tree | None:
        return self.tree.get("_info", "defaults", of, name)

    def routes(self) -> Iterator[Route]:
        """The routes inside their services, and those that name one."""
        services = list((self.tree.get("services") or _NOTHING).each())
        by_name: dict[str, Tree] = {}
        for service in services:
            for called in (service.text("name"), service.text("id")):
                by_name.setdefault(called, service)
            for route in (service.get("routes") or _NOTHING).each():
                yield from self._ways(route, service)
        for route in (self.tree.get("routes") or _NOTHING).each():
            name = route.text("service", "name") or route.text("service")
            named = by_name.get(name) if name else None
            if named is None:
                self.note(route, f"route {route.text('name')}: its service is not in this file")
            else:
                yield from self._ways(route, named)

    def _ways(self, route: Tree, service: Tree) -> Iterator[Route]:
        hosts = [host.text() for host in (route.get("hosts") or _NOTHING).each()]
        methods = [method.text() for method in (route.get("methods") or _NOTHING).each()]
        sure = not (route.get("headers") or route.get("snis") or route.get("sources"))
        if methods and "POST" not in methods:
            return
        if not sure:
            self.note(route, f"route {route.text('name')}: a header or an address decides at run time")
        for owner in (route, service, self.tree):
            for plugin in (owner.get("plugins") or _NOTHING).each():
                if _OWN_UPSTREAM.match(plugin.text("name")) and plugin.text("enabled") != "false":
                    self.note(plugin, f"plugin {plugin.text('name')}: it has an upstream of its own")
        layers = Later(lambda: (self._layer(route, service),))
        for path in list((route.get("paths") or _NOTHING).each()) or [_NOTHING]:
            written = path.text() or "/"
            if written.startswith("~") and not understood(written[1:]):
                self.note(path, f"path {written}: whether it takes a path is not tried")
            where = path if path.line else route
            yield Route(
                host=hosts[0] if hosts else "",
                path=written.removeprefix("~"),
                file=where.file,
                line=where.line,
                layers=layers,
                takes_host=any_host(hosts),
                takes_path=_takes(written, route.text("regex_priority"), sure=sure),
            )

    def _layer(self, route: Tree, service: Tree) -> Layer:
        limits: dict[TimerKind, Limit] = {}
        for name, kind in _TIMERS:
            own = service.get(name)
            found = own or self.default("service", name)
            put(limits, kind, limit_at(found, units.milliseconds, self.not_read, inherited=own is None))
        retries = service.get("retries") or self.default("service", "retries")
        again = retries.text() if retries else ""
        off = (
            route.get("response_buffering") or self.default("route", "response_buffering") or _NOTHING
        ).text()
        return layer_of(
            "kong",
            limits,
            buffering=Buffering.NONE if off == "false" else None,
            retries=replace(
                preset("kong").retries, tries=1 + int(again), file=retries.file, line=retries.line
            )
            if retries and again.isdecimal()
            else None,
        )


def _takes(path: str, priority: str, *, sure: bool) -> Callable[[str], Rank | None]:
    """A pattern before a prefix, and the longer prefix first."""

    def takes(asked: str) -> Rank | None:
        if path.startswith("~"):
            found = path_rank("regex", f"(?:{path[1:]}).*", asked)
            return (int(sure), 2, int(priority) if priority.isdecimal() else 0) if found else None
        rank = path_rank("prefix", path, asked)
        return (int(sure), *rank) if rank is not None else None

    return takes


def _read(sources: Sequence[Source]) -> Reading:
    not_read: list[NotRead] = []
    routes = [
        route
        for source in sources
        for tree in yaml_trees(source.path, source.text)
        for route in _Conf(tree, not_read).routes()
    ]
    return reading_of_many(routes, not_read)


_VERSION: Final = re.compile(r"^[ \t]*+[{,]?[ \t]*+[\"']?_format_version\b", re.MULTILINE)


def _looks(source: Source) -> int:
    if not file_name(source).endswith((".yaml", ".yml", ".json")):
        return 0
    return 95 if source.has(_VERSION, "_format_version") else 0


KONG: Final = register(
    Format(name="kong", title="Kong, declarative", looks=_looks, read=_read, also=("deck",))
)
