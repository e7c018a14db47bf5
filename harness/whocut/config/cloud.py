"""Resources of a cloud as layers in the order in which a request meets them: edge, balancer or gateway, function.

Infrastructure files say which resources there are, and only in part what is behind what. One resource of each
kind is a chain; several of a kind are several routes, named. Where a file says what is behind a resource, or which
path leads to it, only those ways are routes.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from itertools import islice, product
from typing import TYPE_CHECKING, Final

from whocut.config.building import layer_of
from whocut.config.reading import Later, NotRead, Reading, Route

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from whocut.chain.catalogue import Limit
    from whocut.chain.layers import Layer
    from whocut.chain.timers import TimerKind
    from whocut.config.reading import Rank

# From the caller inward: resources at one depth replace each other.
_DEPTHS: Final = (
    ("cloudfront", "azure-front-door", "cloudflare", "cloudflare-enterprise"),
    ("aws-alb", "aws-nlb", "aws-apigw-rest", "aws-apigw-http", "gcp-alb", "azure-application-gateway"),
    ("aws-lambda", "gcp-cloud-run", "azure-functions", "aws-app-runner"),
)
_GATEWAY: Final = 1
_GATEWAYS: Final = frozenset(_DEPTHS[_GATEWAY])
_MOST_ROUTES: Final = 200  # of resources behind each other, any with any; alone each is a route


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One resource: its product with the limits that are written, its name in the file, and its place.

    `pattern` is the path that leads to it, the one with the smallest `place` first; None: each path does.
    `behind` is the resource that it passes requests on to, as far as it is said. `through` is the product that
    calls a function: empty is the caller itself, and None is not said.
    """

    product: str
    limits: Mapping[TimerKind, Limit]
    name: str
    file: str
    line: int
    pattern: str | None = None
    place: int = 0
    behind: str = ""
    through: str | None = None

    @property
    def layer(self) -> Layer:
        """The layer that it is: made for the ways that are asked for, of ten thousand."""
        return layer_of(self.product, self.limits)

    def rank(self, path: str) -> Rank | None:
        """Whether the path leads here: `*` is anything, and `{name}` a segment, or with a plus the rest."""
        if self.pattern is None:
            return (0, 0)
        parts = re.split(r"(\*|\{[^}]*\})", self.pattern)
        if not path.startswith(parts[0]):  # of ten thousand patterns nearly none begins like the path
            return None
        body = "".join(
            ".*"
            if part == "*" or part.endswith("+}")
            else "[^/]+"
            if part.startswith("{")
            else re.escape(part)
            for part in parts
        )
        fixed = "*" not in self.pattern and "{" not in self.pattern
        return (1 + fixed, -self.place) if re.fullmatch(body, path) else None


@dataclass(frozen=True, slots=True)
class _Way:
    """The resources that a request goes through."""

    resources: tuple[Resource, ...]

    def holds(self, names: frozenset[str]) -> bool:
        """Whether each of them leads to the next, as far as it is said."""
        here = {one.name for one in self.resources}
        if any(one.behind in names and one.behind not in here for one in self.resources):
            return False
        through = self.resources[-1].through
        return through is None or all(
            one.product == through for one in self.resources if one.product in _GATEWAYS
        )

    def layers(self) -> Iterator[Layer]:
        """Their layers; a gateway that only the function's event makes is among them."""
        last = self.resources[-1]
        for one in self.resources:
            if one is last and last.through and last.through not in {r.product for r in self.resources}:
                yield layer_of(last.through, {})
            yield one.layer

    def takes(self, path: str) -> Rank | None:
        """The ranks of all on the way."""
        ranks: list[int] = []
        for one in self.resources:
            rank = one.rank(path)
            if rank is None:
                return None
            ranks += rank
        return tuple(ranks)

    def route(self) -> Route:
        """The route through them."""
        last = self.resources[-1]
        patterns = [one.pattern for one in self.resources if one.pattern is not None]
        names = " → ".join(dict.fromkeys(one.name for one in self.resources))
        return Route(
            host="",
            path=f"{patterns[-1].rstrip('*')} {names}" if patterns else f" {names}",
            file=last.file,
            line=last.line,
            layers=Later(lambda: tuple(self.layers())),
            takes_path=self.takes,
        )


def reading_of(resources: Sequence[Resource], not_read: list[NotRead]) -> Reading:
    """A route for each way through the resources, an edge before a balancer before a function."""
    groups = [[one for one in resources if one.product in depth] for depth in _DEPTHS]
    direct = [one for one in groups[-1] if one.through is not None and one.through not in _present(groups)]
    alone = {id(one) for one in direct}
    behind = [one for one in groups[-1] if id(one) not in alone]
    # A function with a way of its own stands beside those that are called through the gateways of the file.
    chains = [[groups[0], groups[_GATEWAY], behind]] if behind or not direct else []
    chains += [[groups[0], direct]] if direct else []
    if direct and not behind and groups[_GATEWAY]:
        chains.append([groups[0], groups[_GATEWAY]])
    names = frozenset(one.name for one in resources)
    most = max(_MOST_ROUTES, len(resources))
    ways = [
        way
        for chain in chains
        if any(chain)
        for found in islice(product(*(group for group in chain if group)), most)
        if (way := _Way(found)).holds(names)
    ]
    several = _not_said(groups, names)
    if several is not None:
        what = "which resource is behind which is not read: each is a route"
        not_read.append(NotRead(file=several.file, line=several.line, what=what))
    if any(math.prod(len(group) for group in chain if group) > most for chain in chains):
        what = f"more than {most:,} ways through the resources: the first ones are routes"
        not_read.append(NotRead(file=resources[0].file, line=resources[0].line, what=what))
    return Reading(routes=tuple(way.route() for way in ways), not_read=tuple(dict.fromkeys(not_read)))


def _not_said(groups: Sequence[Sequence[Resource]], names: frozenset[str]) -> Resource | None:
    """The first of several resources of a kind, where the file does not say which way leads through which."""
    present = [group for group in groups if group]
    linked = len(present) > 1 and all(one.behind in names for group in present[:-1] for one in group)
    for group in present:
        open_ = {one.name for one in group if one.pattern is None and one.behind not in names}
        if len(open_) > 1 and not linked:
            return group[0]
    return None


def _present(groups: Sequence[Sequence[Resource]]) -> set[str]:
    return {one.product for one in groups[_GATEWAY]}
