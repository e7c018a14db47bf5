"""Istio: VirtualServices with their routes, and the connect limits of DestinationRules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whocut.chain.layers import LayerRetries
from whocut.chain.timers import TimerKind
from whocut.config import units
from whocut.config.building import layer_of, limit_at, put
from whocut.config.kubernetes.objects import NOTHING, Objects, Thing
from whocut.config.matching import any_host, path_rank, understood
from whocut.config.reading import Route

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from whocut.chain.catalogue import Limit
    from whocut.chain.layers import Layer
    from whocut.config.reading import Rank
    from whocut.config.trees import Tree

_KINDS: Final = ("exact", "prefix", "regex")
# What a match can ask for besides host and path.
_RUN_TIME: Final = ("headers", "withoutHeaders", "queryParams", "sourceLabels", "sourceNamespace", "method")
_RETRIED: Final = frozenset({"5xx", "gateway-error", "reset"})


def _go(text: str) -> float | None:
    return units.or_none(units.go, text)


def istio_routes(objects: Objects) -> Iterator[Route]:
    """A route for each match of each HTTP route, in their order; a delegate's in the place of what names it."""
    for service in objects.all("VirtualService"):
        hosts = [host.text() for host in (service.spec.get("hosts") or NOTHING).each()]
        if not hosts:
            continue  # another one delegates to it
        for place, http in enumerate((service.spec.get("http") or NOTHING).each()):
            outer = list((http.get("match") or NOTHING).each()) or [NOTHING]
            name = http.text("delegate", "name")
            if not name:
                yield from _ways(objects, hosts, http, [], (-place,))
                continue
            inner = objects.named("VirtualService", name)
            if inner is None:
                objects.note(http, f"delegate {name}: it is not in these files")
                continue
            for second, delegated in enumerate((inner.spec.get("http") or NOTHING).each()):
                yield from _ways(objects, hosts, delegated, outer, (-place, -second))
    for thing in objects.all("EnvoyFilter"):
        objects.note(
            thing.tree, f"EnvoyFilter {thing.name}: patches of Envoy's own configuration are not read"
        )


def _ways(objects: Objects, hosts: list[str], http: Tree, outer: list[Tree], place: Rank) -> Iterator[Route]:
    if http.get("redirect") or http.get("directResponse"):
        return
    layers = (_layer(objects, http),)
    for match in list((http.get("match") or NOTHING).each()) or [NOTHING]:
        kind, path = _uri(match)
        asks = [name for name in _RUN_TIME if match.get(name)]
        if asks == ["method"] and match.text("method", "exact") == "POST":
            asks = []
        if asks:
            objects.note(match, f"the match asks for {asks[0]}, which decides at run time")
        if kind == "regex" and not understood(path):
            objects.note(match, f"{path}: whether it takes a path is not tried")
        authority = match.text("authority", "exact")
        yield Route(
            host=authority or next((host for host in hosts if host != "*"), ""),
            path=path,
            file=http.file,
            line=match.line or http.line,
            layers=layers,
            takes_host=_takes_host(hosts, match.get("authority")),
            takes_path=_in_order([match], outer, (int(not asks), *place)),
        )


def _uri(match: Tree) -> tuple[str, str]:
    kind = next((name for name in _KINDS if match.get("uri", name)), "prefix")
    return kind, match.text("uri", kind) or "/"


def _takes_host(hosts: list[str], authority: Tree | None) -> Callable[[str], Rank | None]:
    """The rank of the service's hosts; a match by the authority asks for that too."""

    def takes(host: str) -> Rank | None:
        for kind in _KINDS if authority else ():
            wanted = authority.text(kind) if authority else ""
            if wanted and path_rank(kind, wanted, host) is None:
                return None
        return any_host(hosts)(host)

    return takes


def _in_order(matches: list[Tree], outer: list[Tree], place: Rank) -> Callable[[str], Rank | None]:
    """The first one that fits; a delegate's has to fit what leads to it too."""

    def fits(match: Tree, asked: str) -> bool:
        kind, path = _uri(match)
        fold = match.text("ignoreUriCase") == "true" and kind != "regex"
        return path_rank(kind, path.lower() if fold else path, asked.lower() if fold else asked) is not None

    def takes(asked: str) -> Rank | None:
        whole = any(fits(one, asked) for one in matches) and (
            not outer or any(fits(one, asked) for one in outer)
        )
        return place if whole else None

    return takes


def _layer(objects: Objects, http: Tree) -> Layer:
    limits: dict[TimerKind, Limit] = {}
    put(limits, TimerKind.TOTAL, limit_at(http.get("timeout"), _go, objects.not_read))
    put(limits, TimerKind.FIRST_BYTE, limit_at(http.get("retries", "perTryTimeout"), _go, objects.not_read))
    for route in (http.get("route") or NOTHING).each():
        host, subset = route.text("destination", "host").split(".")[0], route.text("destination", "subset")
        for rule in objects.by("DestinationRule", _short_host, host):
            if TimerKind.CONNECT not in limits:
                put(limits, TimerKind.CONNECT, limit_at(_connect(rule, subset), _go, objects.not_read))
    return layer_of("istio", limits, retries=_retries(http.get("retries")))


def _short_host(rule: Thing) -> str:
    return rule.spec.text("host").split(".")[0]


def _retries(stanza: Tree | None) -> LayerRetries | None:
    """None leaves what Istio does by itself: two more tries after failed connections."""
    if stanza is None:
        return None
    on = {word.strip() for word in stanza.text("retryOn").split(",")}
    written = stanza.text("attempts")
    return LayerRetries(
        tries=1 + (int(written) if written.isdecimal() else 2),
        post=True,
        on_timeout=bool(on & _RETRIED),
        file=stanza.file,
        line=stanza.line,
    )


def _connect(rule: Thing, subset: str) -> Tree | None:
    """The connect limit of a destination; that of its subset comes first."""
    policies = [
        one.get("trafficPolicy")
        for one in (rule.spec.get("subsets") or NOTHING).each()
        if subset and one.text("name") == subset
    ]
    found = [
        policy.get("connectionPool", "tcp", "connectTimeout")
        for policy in (*policies, rule.spec.get("trafficPolicy"))
        if policy is not None
    ]
    return next((one for one in found if one is not None), None)
