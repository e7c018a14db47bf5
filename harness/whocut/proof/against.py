"""Before and after: the same requests through two chains, and which of them lived and now die.

Each request is drawn once and sent through both, so that a death is no chance of the draw; what is uncertain is its
share among all requests, and an interval says how much. Files may have several routes, and none was asked for: then
each route is a pair of chains, and pairs that differ in nothing are looked at once.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from whocut.chain.audit import audit
from whocut.chain.intervals import wilson
from whocut.config.reading import essence
from whocut.config.sources import NoRouteIn, chain_of, requests_of
from whocut.errors import BadInput
from whocut.proof.check import Progress, proved
from whocut.proof.proof import cut_of
from whocut.proof.report import figures_as_json, one_of_each
from whocut.trace.records import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from whocut.chain.audit import Finding
    from whocut.chain.forecast import Figures
    from whocut.chain.layers import Topology
    from whocut.chain.modes import Mode
    from whocut.chain.profiles import Profile
    from whocut.config.reading import Asked, NotRead
    from whocut.proof.check import Plan
    from whocut.proof.proof import Proof

NO_ROUTE = "no route takes it"
_MOST_ROUTES = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Died:
    """Requests that were delivered before and are not after: their share, the interval of it, and what ends them.

    `layer`, `directive` and `limit_s` are those of the chain after; `file` and `line` the place of its limit or of
    its route. `is_default`: no file says the limit.
    """

    routes: tuple[str, ...]
    profile: str
    mode: str
    share: float
    low: float
    high: float
    layer: str
    directive: str
    file: str = ""
    line: int | None = None
    limit_s: float | None = None
    is_default: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One profile and mode through both chains. `born` is the share that died before and now lives."""

    routes: tuple[str, ...]
    profile: Profile
    mode: Mode
    before: Figures
    after: Figures
    born: float
    died: tuple[Died, ...]

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "routes": list(self.routes),
            "profile": self.profile.name,
            "mode": self.mode.name,
            "before": figures_as_json(self.before),
            "after": figures_as_json(self.after),
            "born": self.born,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Against:
    """Two chains compared. `gone` are routes of the first that the second does not take, and why."""

    before: str
    after: str
    pairs: tuple[Pair, ...]
    died: tuple[Died, ...]
    findings: tuple[Finding, ...]
    not_read: tuple[NotRead, ...]
    not_compared: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether every request that lived lives."""
        return not self.died

    def as_json(self) -> dict[str, Any]:
        """The whole, for machines."""
        return {
            "chain": self.before,
            "against": self.after,
            "ok": self.ok,
            "died": [asdict(died) for died in self.died],
            "cases": [pair.as_json() for pair in self.pairs],
            "findings": [asdict(finding) for finding in self.findings],
            "not_read": [asdict(note) for note in self.not_read],
            "not_compared": list(self.not_compared),
        }


@dataclass(slots=True)
class _Way:
    """One way through both: the two chains, and the routes that take it; no chain after where none takes it."""

    routes: list[str]
    before: Topology
    after: Topology | None
    place: tuple[str, int | None] = ("", None)


def against(
    before: Sequence[str],
    after: Sequence[str],
    plan_for: Callable[[Topology], Plan],
    asked: Asked,
    show: Callable[[Progress], None] = lambda _: None,
) -> Against:
    """Compare two chains, each by its sources. `plan_for` gives what is to be proved of a chain.

    Raises:
        BadInput: a source cannot be used, or no route of the first chain can be compared.
    """
    ways, not_read, not_compared = _ways(before, after, asked)
    pairs: list[Pair] = []
    findings: list[Finding] = []
    for way in ways:
        pairs += _pairs(way, plan_for, show)
        if way.after is not None:
            plan = plan_for(way.after)
            for profile in plan.profiles_or_own:
                findings += audit(way.after, profile, plan.need_s)
    return Against(
        before="+".join(before),
        after="+".join(after),
        pairs=tuple(pairs),
        died=tuple(died for pair in pairs for died in pair.died),
        findings=one_of_each(findings),
        not_read=tuple(dict.fromkeys(not_read)),
        not_compared=tuple(not_compared),
    )


def _ways(
    before: Sequence[str], after: Sequence[str], asked: Asked
) -> tuple[list[_Way], list[NotRead], list[str]]:
    requests, unknown = requests_of(before, asked)
    of_after, unknown_after = requests_of(after, asked)
    found: dict[Any, _Way] = {}
    not_read: list[NotRead] = []
    not_compared = [f"{route}: a pattern, and no request is known that takes it" for route in unknown]
    not_compared += [f"{route}: a pattern, and no request is known that takes it" for route in unknown_after]
    every = list(dict.fromkeys([*requests, *of_after]))
    not_compared += [f"{request.name}: too many routes" for request in every[_MOST_ROUTES:]]
    for request in every[:_MOST_ROUTES]:
        try:
            was = chain_of(before, host=request.host, path=request.path)
        except BadInput as error:
            if len(every) == 1:
                raise
            new = "new: " if isinstance(error, NoRouteIn) else ""
            not_compared.append(f"{request.name}: {new}{error}")
            continue
        not_read += was.not_read
        key: Any
        try:
            then = chain_of(after, host=request.host, path=request.path)
        except NoRouteIn:
            way = _Way([], was.topology, None, _place(was.topology))
            key = (_essence(was.topology), None)
        except BadInput as error:
            if len(every) == 1:
                raise
            not_compared.append(f"{request.name}: {error}")
            continue
        else:
            not_read += then.not_read
            way = _Way([], was.topology, then.topology)
            key = (_essence(was.topology), _essence(then.topology))
        found.setdefault(key, way).routes.append(request.name)
    if not found:
        raise BadInput(f"no request can be compared: {'; '.join(not_compared)}")
    return list(found.values()), not_read, not_compared


def _essence(topology: Topology) -> Any:
    return (essence(topology.layers), topology.upstream.model, topology.upstream.heartbeat_s)


def _place(topology: Topology) -> tuple[str, int | None]:
    return next(((layer.file, layer.line) for layer in topology.hops if layer.file), ("", None))


def _pairs(
    way: _Way, plan_for: Callable[[Topology], Plan], show: Callable[[Progress], None]
) -> Iterator[Pair]:
    plan = plan_for(way.before)
    routes = tuple(way.routes)
    for profile in plan.profiles_or_own:
        for mode in plan.modes:
            was, _ = proved(plan, profile, mode, show)
            alive = [verdict.outcome == Outcome.DELIVERED for verdict in was.last]
            if way.after is None:
                yield _gone(way, routes, profile, mode, was)
                continue
            then, _ = proved(plan_for(way.after), profile, mode, show)
            lives = [verdict.outcome == Outcome.DELIVERED for verdict in then.last]
            yield Pair(
                routes=routes,
                profile=profile,
                mode=mode,
                before=was.figures,
                after=then.figures,
                born=sum(now and not before for before, now in zip(alive, lives, strict=True)) / len(alive),
                died=tuple(_died(way.after, routes, profile, mode, alive, then)),
            )


def _gone(way: _Way, routes: tuple[str, ...], profile: Profile, mode: Mode, was: Proof) -> Pair:
    """All that lived die where the second chain takes no such request."""
    share, (file, line) = was.figures.delivered, way.place
    died = Died(
        routes=routes,
        profile=profile.name,
        mode=mode.name,
        share=share,
        low=share,
        high=share,
        layer="",
        directive=NO_ROUTE,
        file=file,
        line=line,
    )
    nothing = replace(was.figures, delivered=0.0, cuts=(), generations_per_request=0.0, orphaned=0.0)
    after = replace(nothing, orphaned_s_per_request=0.0, usd_per_delivered=None, p50_s=None, p95_s=None)
    return Pair(
        routes=routes,
        profile=profile,
        mode=mode,
        before=was.figures,
        after=after,
        born=0.0,
        died=(died,) if share else (),
    )


def _died(
    topology: Topology,
    routes: tuple[str, ...],
    profile: Profile,
    mode: Mode,
    alive: Sequence[bool],
    then: Proof,
) -> Iterator[Died]:
    counts: dict[tuple[str, str], int] = {}
    for lived, verdict in zip(alive, then.last, strict=True):
        if lived and verdict.outcome != Outcome.DELIVERED:
            cut = cut_of(verdict)
            counts[cut.layer, cut.directive] = counts.get((cut.layer, cut.directive), 0) + 1
    for (name, directive), count in sorted(counts.items(), key=lambda one: -one[1]):
        layer = topology.layer(name)
        timers = [one for one in layer.timers.values() if one.directive == directive] if layer else []
        timer = next((one for one in timers if one.file), None)
        limits_s = {one.limit_s for one in timers}
        low, high = wilson(count, len(alive)) or (0.0, 1.0)
        yield Died(
            routes=routes,
            profile=profile.name,
            mode=mode.name,
            share=count / len(alive),
            low=low,
            high=high,
            layer=name,
            directive=directive,
            file=timer.file if timer else layer.file if layer else "",
            line=timer.line if timer else layer.line if layer else None,
            limit_s=limits_s.pop() if len(limits_s) == 1 else None,
            is_default=bool(timers) and timer is None and layer is not None and bool(layer.file),
        )
