"""A random world: a chain, and the requests sent through it, with the truth about each worked out beforehand.

In virtual time nothing takes any time but what is meant to, so that the truth follows from the limits and the
instants at which the upstream sends: the first timer to fire is the cause. This file knows nothing of spans,
verdicts or evidence; the attributing code knows nothing of this file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from whocut.chain.catalogue import catalogue, preset
from whocut.chain.layers import Buffering, Layer, LayerRetries, MidBody, Role, Topology
from whocut.chain.timers import Timer, TimerKind

if TYPE_CHECKING:
    import random

_HOP_TIMERS = (TimerKind.FIRST_BYTE, TimerKind.IDLE, TimerKind.TOTAL)
CLIENT_TIMERS = (TimerKind.FIRST_BYTE, TimerKind.IDLE)
FAULTS = ("reset", "close")
# Two deadlines nearer to each other than this fire in one turn of the loop: a tie, and either is the truth.
SAME_INSTANT_S = 0.001


@dataclass(frozen=True, slots=True)
class Truth:
    """Who ended it, and by what; several where nothing can tell them apart. None is nobody: it was delivered."""

    culprits: frozenset[tuple[str, TimerKind | None]]

    @property
    def layers(self) -> set[str | None]:
        """Their names."""
        return {name for name, _ in self.culprits}

    @property
    def delivered(self) -> bool:
        """Whether nobody cut."""
        return not self.culprits


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request: when it is sent, what the upstream will do, and how long the caller's patience lasts."""

    name: str
    starts_s: float
    stream: bool
    emissions_s: tuple[float, ...]
    fault: str | None
    fault_s: float
    patience_s: float | None
    truth: Truth


@dataclass(frozen=True, slots=True)
class World:
    """A chain and what is asked of it.

    After `settles_s` the last orphan has been settled, and the last blind layer has fired.
    """

    topology: Topology
    asks: tuple[Ask, ...]
    settles_s: float = 5000.0


def random_world(dice: random.Random, requests: int) -> World:
    """Any chain, and any requests."""
    topology = random_topology(dice)
    return World(topology, tuple(random_ask(dice, topology, number) for number in range(requests)))


def random_topology(dice: random.Random) -> Topology:
    """One to six layers (the client among them), any timers, any vendors."""
    names = [name for name, entry in catalogue().items() if entry.role is Role.HOP]
    hops = tuple(_random_hop(dice, dice.choice(names), number) for number in range(1, dice.randint(2, 6)))
    client = with_timers(dice, preset("openai-python"), CLIENT_TIMERS, one_knob=True)
    client = replace(client, name="client", timers={**client.timers})
    return Topology(name="world", client=client, hops=hops)


def _random_hop(dice: random.Random, name: str, number: int) -> Layer:
    layer = with_timers(dice, preset(name), _HOP_TIMERS, one_knob=dice.random() < 0.4)
    return replace(
        layer,
        name=f"{name}-{number}",
        mid_body=dice.choice(list(MidBody)),
        closes_upstream_with_reset=dice.random() < 0.3,
        buffering=dice.choice(list(Buffering)),
        notices_abort=dice.random() < 0.7,
        retries=LayerRetries(),
    )


def with_timers(dice: random.Random, layer: Layer, kinds: tuple[TimerKind, ...], *, one_knob: bool) -> Layer:
    """The layer with limits of any length, one for all of its waits where it has one knob."""
    timers: dict[TimerKind, Timer] = {}
    limit_s = _random_limit_s(dice)
    for kind in kinds:
        if one_knob and kind is not TimerKind.TOTAL:
            timers[kind] = Timer(kind=kind, limit_s=limit_s, directive=f"{layer.name}.read")
        elif not one_knob and dice.random() < 0.4:
            timers[kind] = Timer(kind=kind, limit_s=_random_limit_s(dice), directive=f"{layer.name}.{kind}")
    return replace(layer, timers=timers)


def _random_limit_s(dice: random.Random) -> float:
    """Mostly the round numbers of real configurations, so that ties happen; sometimes any number."""
    if dice.random() < 0.7:
        return float(dice.choice((15, 30, 55, 60, 100, 120, 180, 230, 300, 600)))
    return round(dice.uniform(5, 700), 3)


def random_ask(dice: random.Random, topology: Topology, number: int) -> Ask:
    """Any request, with its truth in this chain."""
    stream = dice.random() < 0.5
    duration_s = dice.lognormvariate(4.9, 0.6)
    partials = dice.randint(0, 3) if stream else 0
    emissions = (*sorted(dice.uniform(0.05, 0.95) * duration_s for _ in range(partials)), duration_s)
    fault = dice.choice(FAULTS) if dice.random() < 0.15 else None
    fault_s = dice.uniform(0.02, 0.98) * duration_s
    patience_s = dice.uniform(10, 400) if dice.random() < 0.15 else None
    return Ask(
        name=f"request-{number}",
        starts_s=dice.uniform(0, 1000),
        stream=stream,
        emissions_s=emissions,
        fault=fault,
        fault_s=fault_s,
        patience_s=patience_s,
        truth=truth_of(topology, emissions, fault_s if fault else None, patience_s),
    )


def truth_of(
    topology: Topology,
    emissions: tuple[float, ...],
    fault_s: float | None,
    patience_s: float | None,
    *,
    same_instant_s: float = SAME_INSTANT_S,
) -> Truth:
    """Who ends a request whose upstream sends at these instants, if all else takes no time."""
    ends: list[tuple[float, str, TimerKind | None]] = []
    if fault_s is not None:
        ends.append((fault_s, "upstream", None))
    if patience_s is not None:
        ends.append((patience_s, "client", None))
    arrivals = emissions
    for layer in reversed(topology.layers):  # bytes come from the inside
        ends += [(at_s, layer.name, kind) for kind, at_s in _fires(layer, arrivals)]
        if layer.buffering is Buffering.ALL:
            arrivals = arrivals[-1:]
    ends = [end for end in ends if end[0] < emissions[-1]]
    if not ends:
        return Truth(frozenset())
    first_s = min(ends)[0]
    return Truth(frozenset((name, kind) for at_s, name, kind in ends if at_s - first_s <= same_instant_s))


def _fires(layer: Layer, arrivals: tuple[float, ...]) -> list[tuple[TimerKind, float]]:
    """When each timer of a layer would fire, seen alone, for bytes that arrive at these instants."""
    fires = []
    if (limit_s := layer.limit_s(TimerKind.FIRST_BYTE)) is not None and arrivals[0] > limit_s:
        fires.append((TimerKind.FIRST_BYTE, limit_s))
    if (limit_s := layer.limit_s(TimerKind.IDLE)) is not None:
        # A layer with a first_byte timer leaves the wait to it (Varnish, Fastly, Heroku).
        waits = TimerKind.FIRST_BYTE in layer.timers
        last_s = arrivals[0] if waits else 0.0
        for at_s in arrivals[waits:]:
            if at_s - last_s > limit_s:
                fires.append((TimerKind.IDLE, last_s + limit_s))
                break
            last_s = at_s
    if (limit_s := layer.limit_s(TimerKind.TOTAL)) is not None and arrivals[-1] > limit_s:
        fires.append((TimerKind.TOTAL, limit_s))
    return fires
