"""Istio: VirtualServices with their routes, and the connect limits of DestinationRules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whocut.chain.layers import LayerRetries
from whocut.chain.timers import TimerKind
from whocut.config import units
from whocut.config.building import layer_of, limit_at, put
from whocut.config.kubernetes.objects import NOTHING, Objects, Thing
from whocut.config.matching import any_host, path_rank
from whocut.config.reading import Route

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from whocut.chain.catalogue import Limit
    from whocut.chain.layers import Layer
    from whocut.config.reading import Rank
    from whocut.config.trees import Tree

_KINDS: Final = ("exact", "prefix", "regex")
_RETRIED: Final = frozenset({"5xx", "gateway-error", "reset"})


def _go(text: str) -> float | None:
    return units.or_none(units.go, text)


def istio_routes(objects: Objects) -> Iterator[Route]:
    """A route for each match of each HTTP route, in their order."""
    for service in objects.all("VirtualService"):
        hosts = [host.text() for host in (service.spec.get("hosts") or NOTHING).each()]
        for place, http in enumerate((service.spec.get("http") or NOTHING).each()):
            if http.get("redirect") or http.get("directResponse"):
                continue
            layers = (_layer(objects, service, http),)
            for match in list((http.get("match") or NOTHING).each()) or [NOTHING]:
                kind = next((name for name in _KINDS if match.get("uri", name)), "prefix")
                path = match.text("uri", kind) or "/"
                if match.get("headers") or match.get("queryParams"):
                    objects.note(match, "the match asks for headers or a query, which decides at run time")
                yield Route(
                    host=next((host for host in hosts if host != "*"), ""),
                    path=path,
                    file=http.file,
                    line=match.line or http.line,
                    layers=layers,
                    takes_host=any_host(hosts),
                    takes_path=_in_order(kind, path, place),
                )
    for thing in objects.all("EnvoyFilter"):
        objects.note(
            thing.tree, f"EnvoyFilter {thing.name}: patches of Envoy's own configuration are not read"
        )


def _in_order(kind: str, path: str, place: int) -> Callable[[str], Rank | None]:
    return lambda asked: (-place,) if path_rank(kind, path, asked) is not None else None


def _layer(objects: Objects, service: Thing, http: Tree) -> Layer:
    del service
    limits: dict[TimerKind, Limit] = {}
    put(limits, TimerKind.TOTAL, limit_at(http.get("timeout"), _go, objects.not_read))
    put(limits, TimerKind.FIRST_BYTE, limit_at(http.get("retries", "perTryTimeout"), _go, objects.not_read))
    hosts = {
        route.text("destination", "host").split(".")[0] for route in (http.get("route") or NOTHING).each()
    }
    for rule in objects.all("DestinationRule"):
        if rule.spec.text("host").split(".")[0] in hosts:
            found = rule.spec.get("trafficPolicy", "connectionPool", "tcp", "connectTimeout")
            put(limits, TimerKind.CONNECT, limit_at(found, _go, objects.not_read))
    return layer_of("istio", limits, retries=_retries(http.get("retries")))


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
