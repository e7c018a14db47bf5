"""Resources of a cloud as layers in the order in which a request meets them: edge, balancer or gateway, function.

Infrastructure files say which resources there are, and only in part what is behind what. One resource of each
kind is a chain; several of a kind are several routes, named.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Final

from whocut.config.reading import NotRead, Reading, Route

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whocut.chain.layers import Layer

# From the caller inward: resources at one depth replace each other.
_DEPTHS: Final = (
    ("cloudfront", "azure-front-door", "cloudflare", "cloudflare-enterprise"),
    ("aws-alb", "aws-apigw-rest", "aws-apigw-http", "gcp-alb", "azure-application-gateway"),
    ("aws-lambda", "gcp-cloud-run", "azure-functions", "aws-app-runner"),
)
_MOST_ROUTES: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One resource: its layer, its name in the file, and its place."""

    layer: Layer
    name: str
    file: str
    line: int


def reading_of(resources: Sequence[Resource], not_read: list[NotRead]) -> Reading:
    """A route for each way through the resources, an edge before a balancer before a function."""
    at_depth = [[one for one in resources if one.layer.preset in depth] for depth in _DEPTHS]
    present = [group for group in at_depth if group]
    ways = list(product(*present))[:_MOST_ROUTES] if present else []
    if any(len(group) > 1 for group in present):
        first = next(group[0] for group in present if len(group) > 1)
        not_read.append(
            NotRead(
                file=first.file,
                line=first.line,
                what="which resource is behind which is not read: each is a route",
            )
        )
    routes = [
        Route(
            host="",
            path=f" {' → '.join(one.name for one in way)}",
            file=way[-1].file,
            line=way[-1].line,
            layers=tuple(one.layer for one in way),
        )
        for way in ways
    ]
    return Reading(routes=tuple(routes), not_read=tuple(dict.fromkeys(not_read)))
