"""Kubernetes manifests: the routes of every family that is in them, read together."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from whocut.config.formats import Format, Source, file_name, register
from whocut.config.kubernetes.gateway import gateway_routes
from whocut.config.kubernetes.ingress import ingress_routes
from whocut.config.kubernetes.istio import istio_routes
from whocut.config.kubernetes.objects import Objects, annotated
from whocut.config.kubernetes.traefik import traefik_routes
from whocut.config.reading import Reading, reading_of_many
from whocut.errors import BadFile

if TYPE_CHECKING:
    from collections.abc import Sequence

_ROUTED: Final = ("Ingress", "HTTPRoute", "GRPCRoute", "AIGatewayRoute", "VirtualService", "IngressRoute")
_KIND: Final = re.compile(r"\bkind[\"']?\s*:\s*[\"']?\w")
_ROUTE: Final = re.compile(rf"\bkind[\"']?\s*:\s*[\"']?(?:{'|'.join(_ROUTED)})\b")


def _read(sources: Sequence[Source]) -> Reading:
    objects = Objects.of(sources)
    if not any(thing.kind in _ROUTED for thing in objects.things):
        kinds = ", ".join(dict.fromkeys(thing.kind for thing in objects.things)) or "nothing"
        raise BadFile(
            sources[0].path,
            f"no route is in it, but {kinds}; give the {' or '.join(_ROUTED)} that it belongs to too",
        )
    routes = [
        *ingress_routes(objects),
        *gateway_routes(objects),
        *istio_routes(objects),
        *traefik_routes(objects),
    ]
    return reading_of_many(routes, objects.not_read)


def _looks(source: Source) -> int:
    if not file_name(source).endswith((".yaml", ".yml", ".json")) or "apiVersion" not in source.text:
        return 0
    return 90 if source.has(_ROUTE, *_ROUTED) else 60 if source.has(_KIND, "kind") else 0


KUBERNETES: Final = register(
    Format(
        name="kubernetes",
        title="Kubernetes manifests",
        looks=_looks,
        read=_read,
        also=("k8s", "ingress", "httproute", "istio"),
        in_parts=True,
        insert=annotated,
    )
)
