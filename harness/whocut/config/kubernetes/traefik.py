"""Traefik's own objects: IngressRoutes with their middlewares and transports, read as its dynamic configuration."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from whocut.config.kubernetes.objects import NOTHING, Objects
from whocut.config.readers.traefik import Settings, routes_of
from whocut.config.trees import Tree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whocut.config.reading import Rank, Route


def traefik_routes(objects: Objects) -> Iterator[Route]:
    """A route for each rule of each IngressRoute; the entry points' timeouts are elsewhere, and that is said."""
    routers: dict[str, Tree] = {}
    services: dict[str, Tree] = {}
    for thing in objects.all("IngressRoute"):
        for number, route in enumerate((thing.spec.get("routes") or NOTHING).each()):
            name = f"{thing.name}-{number}"
            fields = dict(route.items()) | {"service": Tree(route.file, route.line, name)}
            fields["rule"] = fields.pop("match", Tree(route.file, route.line, ""))
            names = [one.text("name") for one in (route.get("middlewares") or NOTHING).each()]
            fields["middlewares"] = _tree(route, [_tree(route, one) for one in names])
            routers[name] = _tree(route, fields)
            service = next((route.get("services") or NOTHING).each(), NOTHING)
            transport = service.get("serversTransport")
            services[name] = (
                _tree(route, {"loadBalancer": _tree(route, {"serversTransport": transport})})
                if (transport)
                else _tree(route, {})
            )
        objects.note(thing.tree, "Traefik's entry points have timeouts in its static configuration")
    if not routers:
        return
    settings = Settings(not_read=objects.not_read)
    settings.trees.append(
        _tree(
            NOTHING,
            {
                "http": _tree(
                    NOTHING,
                    {
                        "routers": _tree(NOTHING, routers),
                        "services": _tree(NOTHING, services),
                        "middlewares": _tree(NOTHING, _specs(objects, "Middleware")),
                        "serversTransports": _tree(NOTHING, _specs(objects, "ServersTransport")),
                    },
                )
            },
        )
    )
    for way in routes_of(settings).routes:
        # Beside the other families a host is chosen first; a rule's weight is that of the whole rule.
        yield replace(way, takes_host=partial(_takes_host, way))


def _takes_host(route: Route, host: str) -> Rank | None:
    return (1,) if route.takes_host(host) is not None else None


def _specs(objects: Objects, kind: str) -> dict[str, Tree]:
    return {name: thing.spec for thing in objects.all(kind) for name in (thing.name, thing.qualified)}


def _tree(where: Tree, value: dict[str, Tree] | list[Tree] | str) -> Tree:
    return Tree(where.file, where.line, value)
