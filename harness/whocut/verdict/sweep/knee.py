"""The knee of a sweep by its rule, and which level to ask next. Pure."""

from __future__ import annotations

import math
from itertools import takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from whocut.verdict.sweep.levels import Level

LONGEST_GAP_S = 120.0  # a Retry-After longer than that is a closed door; no gap helps
# Half as many again at once, and not a fifth more images: throughput has stopped growing.
_WIDER, _MORE = 1.5, 1.2


def knee_of(levels: Iterable[Level], tolerate: float) -> int | None:
    """The highest level at which, and at all below which, no more than `tolerate` is refused; None: not even one.

    A lucky level above one that breaks does not count. Each gap has its own knee, and the highest is the knee.
    """
    return max((kept[-1].concurrency for kept in kept_levels(levels, tolerate) if kept), default=None)


def kept_levels(levels: Iterable[Level], tolerate: float) -> list[list[Level]]:
    """For each gap, smallest first, the levels up to its knee.

    Where a level was not tried with this gap it counts as tried with less: a gap takes nothing away.
    """
    levels = sorted(levels, key=lambda level: (level.concurrency, level.gap_s))
    kept = []
    for gap_s in sorted({level.gap_s for level in levels}):
        tried = {level.concurrency: level for level in levels if level.gap_s <= gap_s}
        kept.append(list(takewhile(lambda level: level.keeps(tolerate), tried.values())))
    return kept


def plateau_of(levels: Iterable[Level]) -> int | None:
    """The lowest level from which throughput stops growing: half as many again at once, not a fifth more images.

    None where it grows to the end, or where no level is wide enough to tell. A level that was interrupted or never
    asked tells nothing of throughput.
    """
    rates = {
        level.concurrency: level.delivered_per_min
        for level in levels
        if not level.gap_s and level.whole and level.delivered_per_min is not None
    }
    for concurrency in sorted(rates):
        above = [other for other in rates if other > concurrency]
        wide_enough = any(other >= _WIDER * concurrency for other in above)
        if (
            wide_enough
            and rates[concurrency]
            and all(rates[other] < _MORE * rates[concurrency] for other in above)
        ):
            return concurrency
    return None


def to_halve(levels: Sequence[Level], tolerate: float) -> int | None:
    """The level half way between the knee and the lowest beyond it; None: nothing between, or gaps being tried."""
    knee = knee_of(levels, tolerate) or 0
    beyond = [level.concurrency for level in levels if level.concurrency > knee]
    if not beyond or beyond[0] - knee < 2 or len({level.gap_s for level in levels}) > 1:
        return None
    return (knee + beyond[0]) // 2


def to_confirm(levels: Sequence[Level], tolerate: float) -> tuple[tuple[int, float], ...]:
    """What to ask next, as (at once, gap); nothing when the answer is complete.

    First the knee once more, as it may have been luck. Then the two levels beyond it with a gap: the longest
    Retry-After heard at the first of them. Their knee, too, is asked once more, and the level beyond that one with
    the gap, until one breaks. Nothing where no level broke, or where no gap can help.
    """
    if all(level.keeps(tolerate) for level in levels):
        return ()
    knee = knee_of(levels, tolerate)
    at_knee = next(
        (kept[-1] for kept in kept_levels(levels, tolerate) if kept and kept[-1].concurrency == knee), None
    )
    if at_knee is not None and at_knee.stages == 1:
        return ((at_knee.concurrency, at_knee.gap_s),)
    beyond = [level for level in levels if level.concurrency > (knee or 0)]
    tried = {level.gap_s for level in levels}
    if len(tried) > 1:
        with_gap = {level.concurrency for level in levels if level.gap_s == max(tried)}
        return tuple(
            (level.concurrency, max(tried)) for level in beyond[:1] if level.concurrency not in with_gap
        )
    gap_s = math.ceil(max(beyond[0].waits_s, default=0.0)) if beyond else 0
    if not 0 < gap_s <= LONGEST_GAP_S or beyond[0].no_money:
        return ()
    return tuple((level.concurrency, float(gap_s)) for level in beyond[:2])
