"""A topology with its limits raised, as far as each vendor allows: "raise the gateway's limit", as data."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from whocut.chain.layers import Layer, Topology
    from whocut.chain.timers import Timer

_ONCE = frozenset({"connect", "keepalive"})  # these wait for no answer


def raised(topology: Topology, least_s: float) -> Topology:
    """The same hops, each limit on an answer at least this long; a limit stays below the vendor's highest."""
    return replace(topology, hops=tuple(_layer(layer, least_s) for layer in topology.hops))


def _layer(layer: Layer, least_s: float) -> Layer:
    timers = {
        kind: timer if kind in _ONCE else _timer(timer, least_s) for kind, timer in layer.timers.items()
    }
    return replace(layer, timers=timers)


def _timer(timer: Timer, least_s: float) -> Timer:
    wanted_s = max(timer.limit_s, least_s)
    return replace(
        timer, limit_s=wanted_s if timer.most_s is None else min(wanted_s, max(timer.most_s, timer.limit_s))
    )
