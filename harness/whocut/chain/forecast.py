"""What a chain does to generations of these lengths, by rule: no socket, no loop, no clock.

A few thousand generations, spread evenly over their law, tell as much as a hundred thousand that fell by chance
(docs/benchmarks.md has the differences).
"""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from whocut.chain.models import is_known
from whocut.chain.modes import POLL_S, seen_in
from whocut.chain.percentiles import percentile
from whocut.chain.prices import usd
from whocut.chain.walk import Cut, Fate, Walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from whocut.chain.layers import Topology
    from whocut.chain.modes import Mode
    from whocut.chain.profiles import Profile
    from whocut.chain.walk import Draw, Instants

REQUESTS: Final = 5_000
_BACK_OFF_S, _BACK_OFF_MOST_S, _JITTER = 0.5, 8.0, 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class CutShare:
    """The requests that ended by one timer of one layer, as a share of all."""

    layer: str
    timer: str
    directive: str
    phase: str
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What happened to many requests. `delivered` and the shares of `cuts` add up to one."""

    requests: int
    delivered: float
    cuts: tuple[CutShare, ...]
    generations_per_request: float
    orphaned: float
    orphaned_s_per_request: float
    usd_per_delivered: float | None
    p50_s: float | None
    p95_s: float | None


def forecast(
    topology: Topology, profile: Profile, mode: Mode, *, requests: int = REQUESTS, seed: int = 0
) -> Figures:
    """What this chain does to so many requests of this kind."""
    dice = random.Random(seed)

    def draw(requests: Sequence[int], attempt: int, again: int) -> Iterable[Instants]:
        del attempt, again
        return profile.generations_s(len(requests), mode.partials, dice)

    fates = fates_of(topology, mode, draw, requests=requests, dice=dice)
    model = topology.upstream.model
    price = usd(model, profile.size, profile.quality, partials=mode.partials) if is_known(model) else None
    rare = _rarer_than_seen(topology, mode, draw, fates)
    return figures(seen_in(mode, topology), fates, price_usd=price, rare=rare)


def _rarer_than_seen(topology: Topology, mode: Mode, draw: Draw, fates: Sequence[Fate]) -> dict[Cut, float]:
    """Cuts that end a request only after every retry, and too seldom for the sample to hold one, with their shares.

    Attempts are independent: of the requests whose first attempt meets such a cut, those end by it whose every other
    attempt is cut and retried as well.
    """
    walk = Walk(topology, mode)
    if walk.tries == 1 or all(fate.generations == 1 for fate in fates) or any(fate.cut for fate in fates):
        return {}  # one attempt decides, or the sample holds what ends requests
    first = [Fate() for _ in fates]
    walk.attempt(first, list(range(len(first))), draw, 1)
    cuts = Counter(fate.cut for fate in first if fate.cut is not None and fate.cut.asked_s is not None)
    retried = cuts.total() / len(first)
    return {cut: count / len(first) * retried ** (walk.tries - 1) for cut, count in cuts.items()}


def fates_of(topology: Topology, mode: Mode, draw: Draw, *, requests: int, dice: random.Random) -> list[Fate]:
    """Request by request, with generation times from `draw`; `dice` decide the back-off alone."""
    walk = Walk(topology, mode)
    fates = [Fate() for _ in range(requests)]
    still = list(range(requests))
    for attempt in range(1, walk.tries + 1):
        walk.attempt(fates, still, draw, attempt)
        if attempt == walk.tries:
            break
        back_off_s = min(_BACK_OFF_S * 2 ** (attempt - 1), _BACK_OFF_MOST_S)
        asked = [(n, cut.asked_s) for n in still if (cut := fates[n].cut) is not None]
        still = []
        for number, asked_s in asked:
            if asked_s is not None:
                still.append(number)
                fates[number].took_s += asked_s or back_off_s * (1 - _JITTER * dice.random())
    if mode.job:
        for fate in fates:
            fate.took_s = math.ceil(fate.took_s / POLL_S) * POLL_S
    return fates


def figures(
    topology: Topology,
    fates: Sequence[Fate],
    *,
    price_usd: float | None,
    rare: Mapping[Cut, float] | None = None,
) -> Figures:
    """The sums of many fates; without the price of an image, dollars are unknown.

    `rare` are shares of requests that the fates are too few to hold.
    """
    requests = len(fates)
    rare = rare or {}
    took_s = [fate.took_s for fate in fates if fate.cut is None]
    cuts = Counter(fate.cut for fate in fates if fate.cut is not None)
    generations = sum(fate.generations for fate in fates)
    return Figures(
        requests=requests,
        delivered=len(took_s) / requests - math.fsum(rare.values()),
        cuts=(
            *(_share(topology, cut, count / requests) for cut, count in sorted(cuts.items(), key=_rank)),
            *(_share(topology, cut, share) for cut, share in sorted(rare.items(), key=_rank)),
        ),
        generations_per_request=generations / requests,
        orphaned=sum(fate.orphans for fate in fates) / requests,
        orphaned_s_per_request=math.fsum(fate.orphaned_s for fate in fates) / requests,
        usd_per_delivered=price_usd * generations / len(took_s) if took_s and price_usd is not None else None,
        p50_s=percentile(took_s, 50),
        p95_s=percentile(took_s, 95),
    )


def _rank(counted: tuple[Cut, float]) -> tuple[float, int, str, str]:
    """The most frequent first, and of two the outer one."""
    cut, count = counted
    return -count, cut.place, cut.kind, cut.phase


def _share(topology: Topology, cut: Cut, share: float) -> CutShare:
    layer = topology.layers[cut.place]
    return CutShare(
        layer=layer.name,
        timer=str(cut.kind),
        directive=layer.timers[cut.kind].named_in(cut.phase),
        phase=str(cut.phase),
        share=share,
    )
