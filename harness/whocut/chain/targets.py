"""One value for each knob that has to be turned, so that all advice about a chain agrees.

Enough is what 999 of 1,000 generations need. A limit below it rises to it, and each layer further out waits
one step longer, so that the inner one answers first. A limit that is long enough already stays as it is, unless
a layer outside gives up before it: then it goes below that one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from whocut.chain.timers import TimerKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from whocut.chain.layers import Layer, Topology
    from whocut.chain.profiles import Profile
    from whocut.chain.timers import Timer

Knob = tuple[str, str]  # a layer's name, and its vendor's name of the knob
Targets = dict[Knob, float]

STEP_S = 30.0
_RARE = 0.001  # a share of generations that no plan need cover


def enough_s(profile: Profile) -> float:
    """A round limit above what 999 of 1,000 generations take."""
    return math.ceil(profile.at(1 - _RARE) / STEP_S) * STEP_S


def too_short(timer: Timer, profile: Profile) -> bool:
    """Whether more generations than a rare one take longer than this limit."""
    return profile.longer_than(timer.limit_s) > _RARE


def patience(layer: Layer) -> Timer | None:
    """The timer that ends a silent request in this layer."""
    return min(_waiting(layer), key=lambda timer: timer.limit_s, default=None)


def targets(topology: Topology, need_s: float) -> Targets:
    """The new limit of each knob that is to be turned, in seconds; what may stay as it is, is not in it."""
    raised = dict(_raised(topology.layers, need_s))
    return {**raised, **dict(_lowered(topology.layers, raised, need_s))}


def _raised(layers: Iterable[Layer], need_s: float) -> Iterator[tuple[Knob, float]]:
    """Knobs below what is needed, from the inside out."""
    enough = need_s
    for layer in reversed(tuple(layers)):
        waiting = {timer.directive for timer in _waiting(layer)}
        for kind in (TimerKind.FIRST_BYTE, TimerKind.IDLE, TimerKind.TOTAL):
            timer = layer.timers.get(kind)
            if timer is None or timer.limit_s >= need_s:
                continue
            # What runs between two bytes alone is out of everybody's order.
            wanted_s = enough if timer.directive in waiting else need_s
            limit_s = wanted_s if timer.most_s is None else min(wanted_s, timer.most_s)
            if limit_s > timer.limit_s:
                yield (layer.name, timer.directive), limit_s
        if patience(layer):
            enough += STEP_S


def _lowered(
    layers: Iterable[Layer], raised: Mapping[Knob, float], need_s: float
) -> Iterator[tuple[Knob, float]]:
    """Knobs that outlast a layer outside them, from the outside in; where one cannot sink, the outer one rises."""
    outer: tuple[Layer, Timer] | None = None
    ceiling_s = math.inf
    for layer in layers:
        timer = patience(layer)
        if timer is None:
            continue
        now_s = [raised.get((layer.name, mine.directive), mine.limit_s) for mine in _waiting(layer)]
        mine_s = min(now_s)
        if timer.limit_s == mine_s > ceiling_s and outer is not None:
            below_s = next((s for s in (ceiling_s - STEP_S, ceiling_s - 5) if s >= need_s), None)
            if below_s is not None:
                yield (layer.name, timer.directive), below_s
                mine_s = below_s
            elif outer[1].most_s is None or outer[1].most_s >= mine_s + STEP_S:
                yield (outer[0].name, outer[1].directive), mine_s + STEP_S
        if mine_s < ceiling_s:
            ceiling_s, outer = mine_s, (layer, timer)


def _waiting(layer: Layer) -> list[Timer]:
    """The timers that run while a plain answer is waited for."""
    return [timer for timer in (layer.waiting, layer.timers.get(TimerKind.TOTAL)) if timer]
