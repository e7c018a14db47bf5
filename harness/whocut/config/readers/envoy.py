"""Envoy's own configuration, YAML or JSON: listeners, virtual hosts, routes and clusters.

The route's limits count before the connection manager's, and the cluster's beside them. What is served by RDS or
CDS is in other files, which can be given too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

from whocut.chain.layers import LayerRetries
from whocut.chain.timers import TimerKind
from whocut.config import units
from whocut.config.building import layer_of, limit
from whocut.config.formats import Format, Source, file_name, register
from whocut.config.matching import any_host, path_rank, understood
from whocut.config.reading import Later, NotRead, Reading, Route, reading_of_many
from whocut.config.trees import Tree, yaml_trees
from whocut.errors import BadFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from whocut.chain.catalogue import Limit
    from whocut.chain.layers import Layer
    from whocut.config.reading import Rank

# Conditions of a retry policy under which the end of a try's timer is followed by another try.
_RETRIED: Final = frozenset({"5xx", "gateway-error", "reset"})
_MATCHES: Final = {"prefix": "prefix", "path": "exact", "path_separated_prefix": "segments"}


@cache
def _camel(key: str) -> str:
    head, *rest = key.split("_")
    return head + "".join(part.title() for part in rest)


def get(tree: Tree | None, *keys: str) -> Tree | None:
    """A field by its name in the protocol, also as JSON spells it."""
    for key in keys:
        if tree is None:
            return None
        tree = tree.get(key) or tree.get(_camel(key))
    return tree


def text(tree: Tree | None, *keys: str) -> str:
    """A scalar field as text; empty: the field is missing."""
    found = get(tree, *keys)
    return found.text() if found else ""


@dataclass(slots=True)
class _Found:
    """What is somewhere in the files."""

    managers: list[Tree] = field(default_factory=list)
    tables: list[Tree] = field(default_factory=list)
    clusters: dict[str, Tree] = field(default_factory=dict)
    not_read: list[NotRead] = field(default_factory=list)

    def walk(self, tree: Tree) -> None:
        """Every connection manager, table of routes and cluster, wherever it is."""
        pending = [tree]
        while pending:
            here = pending.pop()
            if here.is_mapping:
                hosts = get(here, "virtual_hosts")
                if hosts:
                    self.tables.append(here)
                if get(here, "route_config") or (get(here, "rds") and get(here, "stat_prefix")):
                    self.managers.append(here)
                if here.text("name") and (
                    get(here, "load_assignment")
                    or get(here, "lb_policy")
                    or get(here, "connect_timeout")
                    or get(here, "eds_cluster_config")
                ):
                    self.clusters[here.text("name")] = here
                # A table's hosts hold routes alone, and are most of a large file.
                pending += [child for _, child in reversed(list(here.items())) if child is not hosts]
            elif isinstance(here.value, list):
                pending += reversed(here.value)

    def note(self, tree: Tree, what: str) -> None:
        self.not_read.append(NotRead(file=tree.file, line=tree.line, what=what))


def _read(sources: Sequence[Source]) -> Reading:
    found = _Found()
    for source in sources:
        for tree in yaml_trees(source.path, source.text):
            found.walk(tree)
    routes = [
        route
        for table in found.tables
        for host in (get(table, "virtual_hosts") or table).each()
        for route in _of_host(found, table, host)
    ]
    if not found.tables:
        where = found.managers[0] if found.managers else None
        if where is None:
            raise BadFile(sources[0].path, "there is no route in it: `virtual_hosts` is missing")
        found.note(where, "its routes come from RDS; give their file too")
    return reading_of_many(routes, found.not_read)


def _manager_of(found: _Found, table: Tree) -> Tree | None:
    """The connection manager that holds a table, or that fetches one of its name."""
    for manager in found.managers:
        if get(manager, "route_config") is not None and get(manager, "route_config", "virtual_hosts") == get(
            table, "virtual_hosts"
        ):
            return manager
        if text(manager, "rds", "route_config_name") == table.text("name") != "":
            return manager
    return found.managers[0] if len(found.managers) == 1 else None


def _of_host(found: _Found, table: Tree, host: Tree) -> Iterator[Route]:
    domains = [domain.text() for domain in (get(host, "domains") or Tree("", 0, None)).each()]
    manager = _manager_of(found, table)
    routes = list((get(host, "routes") or Tree("", 0, None)).each())
    for place, route in enumerate(routes):
        match = get(route, "match")
        kind, value = _match(match)
        sure = not (_headers(match) or get(match, "query_parameters") or get(match, "runtime_fraction"))
        if kind == "regex" and not understood(value):
            found.note(match or route, f"{value}: whether it takes a path is not tried")
        if not sure:
            found.note(match or route, "the match asks for headers or a share, which decides at run time")
        action = get(route, "route")
        yield Route(
            host=next((domain for domain in domains if domain != "*"), ""),
            path=value or "/",
            file=route.file,
            line=route.line,
            layers=Later(partial(_layers, found, manager, table, host, action)) if action else (),
            takes_host=any_host(domains),
            takes_path=_in_order(kind, value, (int(sure), -place)),
        )


def _layers(found: _Found, manager: Tree | None, table: Tree, host: Tree, action: Tree) -> tuple[Layer, ...]:
    return (_layer(found, manager, table, host, action),)


def _match(match: Tree | None) -> tuple[str, str]:
    for name, kind in _MATCHES.items():
        value = get(match, name)
        if value is not None:
            return kind, value.text()
    pattern = text(match, "safe_regex", "regex")
    return ("regex", pattern) if pattern else ("prefix", "/")


def _headers(match: Tree | None) -> list[Tree]:
    """The headers that a match asks for, but for the method that is meant."""
    headers = get(match, "headers")
    return [one for one in (headers.each() if headers else ()) if text(one, "name") != ":method"]


def _in_order(kind: str, value: str, rank: Rank) -> Callable[[str], Rank | None]:
    """The first route that matches is taken; one that asks for more only where no other one is."""
    return lambda path: rank if path_rank(kind, value, path) is not None else None


def _layer(found: _Found, manager: Tree | None, table: Tree, host: Tree, action: Tree) -> Layer:
    cluster = _cluster(found, action)
    policy = get(action, "retry_policy") or get(host, "retry_policy")
    limits: dict[TimerKind, Limit] = {}
    read = _Limits(found)
    total = read.shortest(
        (get(action, "timeout"), "route timeout"),
        (get(action, "max_stream_duration", "max_stream_duration"), "max_stream_duration (route)"),
        (get(manager, "common_http_protocol_options", "max_stream_duration"), "max_stream_duration"),
        (_of_cluster(cluster, "max_stream_duration"), "max_stream_duration (cluster)"),
        default_s=15.0 if get(action, "timeout") is None else None,
    )
    if total is not None:
        limits[TimerKind.TOTAL] = total
    stream = (get(action, "idle_timeout"), "idle_timeout (route)")
    idle = read.shortest(
        stream if stream[0] else (get(manager, "stream_idle_timeout"), "stream_idle_timeout"),
        (get(policy, "per_try_idle_timeout"), "per_try_idle_timeout"),
        default_s=300.0 if stream[0] is None and get(manager, "stream_idle_timeout") is None else None,
    )
    if idle is not None:
        limits[TimerKind.IDLE] = idle
    for kind, tree in (
        (TimerKind.FIRST_BYTE, get(policy, "per_try_timeout")),
        (TimerKind.CONNECT, get(cluster, "connect_timeout")),
        (TimerKind.KEEPALIVE, get(manager, "common_http_protocol_options", "idle_timeout")),
    ):
        one = read.one(tree)
        if one is not None:
            limits[kind] = one
    if text(action, "hedge_policy", "hedge_on_per_try_timeout") == "true":
        found.note(action, "hedge_on_per_try_timeout: a try that is late continues beside the next one")
    del table
    return layer_of("envoy", limits, retries=_retries(policy))


class _Limits:
    """Durations of the protocol: ``15s``, or seconds and nanoseconds; zero is no timer."""

    def __init__(self, found: _Found) -> None:
        self._found = found

    def one(self, tree: Tree | None, **knob: Any) -> Limit | None:
        """One limit; None where nothing is written."""
        if tree is None:
            return None
        try:
            written = tree.text()
            if tree.is_mapping:
                written = f"{float(tree.text('seconds') or 0) + float(tree.text('nanos') or 0) / 1e9:g}s"
            seconds = units.or_none(units.seconds, written)
        except ValueError as error:
            self._found.note(tree, str(error))
            return limit(None, tree.file, tree.line, unknown=True, **knob)
        return limit(seconds, tree.file, tree.line, **knob)

    def shortest(self, *written: tuple[Tree | None, str], default_s: float | None) -> Limit | None:
        """Of several timers that run together the one that fires first, under its own name."""
        limits = [(self.one(tree), name) for tree, name in written]
        set_ = [(one, name) for one, name in limits if one is not None and one.limit_s is not None]
        best, name = min(set_, key=lambda pair: pair[0].limit_s or 0, default=(None, ""))
        if best is None or (default_s is not None and (best.limit_s or 0) > default_s):
            if default_s is not None:
                return None  # the preset's own
            return next((one for one, _ in limits if one is not None), None)
        first = written[0][1]
        if name in {first, "route timeout", "stream_idle_timeout"} and name != "idle_timeout (route)":
            return best
        return limit(
            best.limit_s, best.file, best.line, directive=name, knob=f"{name.partition(' ')[0]}: {{s}}s"
        )


def _cluster(found: _Found, action: Tree) -> Tree | None:
    name = text(action, "cluster")
    if not name:
        weighted = get(action, "weighted_clusters", "clusters")
        names = [text(one, "name") for one in weighted.each()] if weighted else []
        name = names[0] if names else ""
        if len(names) > 1:
            found.note(action, "weighted_clusters: the first cluster's limits are taken")
    cluster = found.clusters.get(name)
    if cluster is None and name:
        found.note(action, f"the cluster {name} is not in these files")
    return cluster


def _of_cluster(cluster: Tree | None, name: str) -> Tree | None:
    """A limit of a cluster's HTTP options, in the form of today or in the one before it."""
    options = get(cluster, "typed_extension_protocol_options")
    for _, option in options.items() if options else ():
        found = get(option, "common_http_protocol_options", name)
        if found is not None:
            return found
    return get(cluster, "common_http_protocol_options", name)


def _retries(policy: Tree | None) -> LayerRetries:
    if policy is None:
        return LayerRetries()
    on = {word.strip() for word in text(policy, "retry_on").split(",")}
    written = text(policy, "num_retries") or "1"
    again = int(written) if written.isdecimal() else 1
    return LayerRetries(
        tries=1 + again, post=True, on_timeout=bool(on & _RETRIED), file=policy.file, line=policy.line
    )


def _looks(source: Source) -> int:
    name = file_name(source)
    if not name.endswith((".yaml", ".yml", ".json")):
        return 0
    if any(
        mark in source.text
        for mark in ("envoy.extensions.", "envoy.filters.", "static_resources", "staticResources")
    ):
        return 85 if "kind:" not in source.text else 20
    return 75 if "virtual_hosts" in source.text or "virtualHosts" in source.text else 0


ENVOY: Final = register(
    Format(name="envoy", title="Envoy YAML or JSON", looks=_looks, read=_read, made_from=("kubernetes",))
)
