"""The smallest set of changes that makes a chain right: single changes, then pairs, then more, by forecast.

Sets are tried in the order of their size and then of their cost; the first whose forecast keeps every wish is
the remedy. A limit goes no higher than its vendor allows, so some chains are mended by a job alone.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

from whocut.chain.forecast import Figures, forecast
from whocut.chain.layers import Buffering, LayerRetries
from whocut.chain.modes import MODES
from whocut.chain.profiles import ARTICLE
from whocut.chain.targets import enough_s, targets
from whocut.words import plural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from whocut.chain.layers import Layer, Topology
    from whocut.chain.modes import Mode
    from whocut.chain.profiles import Profile
    from whocut.chain.targets import Targets
    from whocut.chain.timers import Timer, TimerKind
    from whocut.chain.want import Want

HEARTBEAT_S = 15.0
_MOST_CHANGES = 4
# Most sets of changes are far from enough: so many requests tell. What comes near goes to the whole forecast.
_QUICK_REQUESTS = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """A chain, how long its generations take, and how they are asked for.

    `need_s` is the limit that is enough, where more than this profile has to pass.
    """

    topology: Topology
    profile: Profile
    mode: Mode
    need_s: float | None = None

    @property
    def targets(self) -> Targets:
        """The new value of each knob that is to be turned."""
        return targets(self.topology, self.need_s or enough_s(self.profile))


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change: where, the line to write, what it does. Only one of the same `knob` can be made.

    `configuration`: no program has to change for it.
    """

    knob: str
    layer: str
    line: str
    says: str
    cost: float
    apply: Callable[[Situation], Situation]
    configuration: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """Changes that keep what is wanted, and the forecast with them."""

    changes: tuple[Change, ...]
    after: Situation
    figures: Figures


def remedy(
    situation: Situation, wants: Sequence[Want], *, configuration_alone: bool = False
) -> Remedy | None:
    """The smallest set of changes; None where no set of at most four keeps every wish."""
    as_it_is = _kept(situation, wants)
    if as_it_is:
        return Remedy(changes=(), after=situation, figures=as_it_is)
    found = (c for c in candidates(situation) if c.configuration or not configuration_alone)
    possible = sorted(found, key=lambda change: change.cost)
    for size in range(1, _MOST_CHANGES + 1):
        sets = [group for group in combinations(possible, size) if len({c.knob for c in group}) == size]
        for changes in sorted(sets, key=lambda group: sum(change.cost for change in group)):
            after = situation
            for change in changes:
                after = change.apply(after)
            sure = _kept(after, wants) if _comes_near(after, wants) else None
            if sure:
                return Remedy(changes=changes, after=after, figures=sure)
    return None


def _kept(situation: Situation, wants: Sequence[Want]) -> Figures | None:
    figures = forecast(situation.topology, situation.profile, situation.mode)
    numbers = numbers_of(figures)
    return figures if all(want.holds(numbers) for want in wants) else None


def _comes_near(situation: Situation, wants: Sequence[Want]) -> bool:
    """Whether the figures of a few requests keep every wish, or miss it by no more than so few can be wrong."""
    figures = forecast(situation.topology, situation.profile, situation.mode, requests=_QUICK_REQUESTS)
    numbers = numbers_of(figures)
    return all(any(want.holds(near) for near in _near(numbers)) for want in wants)


def _near(numbers: Mapping[str, float | None]) -> Iterator[dict[str, float | None]]:
    """These figures, and those that are two requests in each direction away."""
    for requests in (0, -2, 2):
        share = requests / _QUICK_REQUESTS
        yield {
            name: None if value is None else value + share * max(1.0, abs(value))
            for name, value in numbers.items()
        }


def numbers_of(figures: Figures) -> dict[str, float | None]:
    """The figures that can be wanted, by name."""
    numbers = asdict(figures)
    del numbers["cuts"], numbers["requests"]
    return numbers


# --- what can be changed --------------------------------------------------------------------------


def candidates(situation: Situation) -> Iterator[Change]:
    """Every change that could help, each made alone."""
    new = situation.targets
    for layer in situation.topology.layers:
        yield from _limits(situation, layer, new)
    for layer in situation.topology.hops:
        yield from _manners(layer)
    yield from _client(situation)
    yield from _asking(situation)
    yield from _quality(situation)


def _limits(situation: Situation, layer: Layer, new: Targets) -> Iterator[Change]:
    """One change for each knob that is too low: the timers of one directive rise together."""
    kinds: dict[str, list[TimerKind]] = {}
    for kind, timer in layer.timers.items():
        if new.get((layer.name, timer.directive), 0.0) > timer.limit_s:
            kinds.setdefault(timer.directive, []).append(kind)
    for directive, mine in kinds.items():
        limit_s = new[layer.name, directive]
        timer = layer.timers[mine[0]]
        timers = {kind: replace(layer.timers[kind], limit_s=limit_s) for kind in mine}
        yield Change(
            knob=f"{layer.name} {directive}",
            layer=layer.name,
            line=timer.set_to(limit_s),
            says=f"raise {directive} from {timer.limit_s:g} s to {limit_s:g} s",
            cost=1.0,
            apply=_in_layer(layer.name, timers=timers),
            configuration=layer is not situation.topology.client,
        )


def _in_layer(
    name: str, *, timers: Mapping[TimerKind, Timer] | None = None, **facts: object
) -> Callable[[Situation], Situation]:
    """The same chain with one layer changed."""

    def change(layer: Layer) -> Layer:
        if layer.name != name:
            return layer
        return replace(layer, timers={**layer.timers, **(timers or {})}, **facts)  # type: ignore[arg-type]

    def apply(situation: Situation) -> Situation:
        topology = situation.topology
        changed = replace(
            topology, client=change(topology.client), hops=tuple(change(layer) for layer in topology.hops)
        )
        return replace(situation, topology=changed)

    return apply


def _manners(layer: Layer) -> Iterator[Change]:
    if layer.buffering is Buffering.ALL and "buffering" in layer.knobs:
        yield Change(
            knob=f"{layer.name} buffering",
            layer=layer.name,
            line=layer.knobs["buffering"],
            says="pass responses on as they come",
            cost=1.1,
            apply=_in_layer(layer.name, buffering=Buffering.NONE),
            configuration=True,
        )


def _client(situation: Situation) -> Iterator[Change]:
    client = situation.topology.client
    if (situation.mode.tries or client.retries.tries) > 1 and "retries" in client.knobs:
        once = _in_layer(client.name, retries=LayerRetries())
        yield Change(
            knob="retries",
            layer=client.name,
            line=client.knobs["retries"],
            says="ask once: a retry pays again",
            cost=1.2,
            apply=once,
        )


def _asking(situation: Situation) -> Iterator[Change]:
    """Other ways to ask: streamed, with heartbeats, as a job."""
    client = situation.topology.client
    for partials in range(1, 4):
        if situation.mode.partials < partials:
            yield Change(
                knob="mode",
                layer=client.name,
                line=f"client.images.generate(..., stream=True, partial_images={partials})",
                says=f"stream with {plural(partials, 'partial image')}",
                cost=2 + partials / 10,
                apply=_asked(MODES[f"stream-{partials}"]),
            )
    if situation.topology.upstream.heartbeat_s is None:
        yield Change(
            knob="mode",
            layer="your server",
            line=f'every {HEARTBEAT_S:g} s without an event: write(": still at work\\n\\n")  # an SSE comment',
            says=f"stream, and send a heartbeat every {HEARTBEAT_S:g} s from the server before the model",
            cost=2.6,
            apply=_beating,
        )
    if not situation.mode.job:
        yield Change(
            knob="mode",
            layer="your server",
            line="POST /jobs → 202 with an id at once; a worker makes the call; GET /jobs/ID until it is done",
            says="answer as a job: no limit of the chain sees the generation",
            cost=4.0,
            apply=_asked(MODES["async"]),
        )


def _asked(mode: Mode) -> Callable[[Situation], Situation]:
    return lambda situation: replace(situation, mode=mode)


def _beating(situation: Situation) -> Situation:
    upstream = replace(situation.topology.upstream, heartbeat_s=HEARTBEAT_S)
    mode = situation.mode if situation.mode.stream else MODES["stream-0"]
    return replace(situation, topology=replace(situation.topology, upstream=upstream), mode=mode)


def _quality(situation: Situation) -> Iterator[Change]:
    """The article's own advice: most prompts do not need high."""
    if situation.profile == ARTICLE["1024-high"]:
        yield Change(
            knob="quality",
            layer=situation.topology.client.name,
            line='client.images.generate(..., quality="medium")',
            says="ask for medium quality: a median of 80 s instead of 195 s",
            cost=3.0,
            apply=_medium,
        )


def _medium(situation: Situation) -> Situation:
    upstream = replace(situation.topology.upstream, quality="medium")
    return replace(
        situation, topology=replace(situation.topology, upstream=upstream), profile=ARTICLE["1024-medium"]
    )
