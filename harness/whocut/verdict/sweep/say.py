"""The answer of a sweep in words and figures: what to set, what lies beyond, what is missing. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from whocut.chain.intervals import wilson
from whocut.verdict.figures import Recommended, SweepFigures
from whocut.verdict.phrases import cut_count
from whocut.verdict.sweep.knee import kept_levels, knee_of, plateau_of
from whocut.words import format_duration, plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from whocut.verdict.figures import CutFigures
    from whocut.verdict.sweep.levels import Level


def sweep_figures(
    levels: Sequence[Level], tolerate: float, verdicts: Sequence[CutFigures] = ()
) -> SweepFigures:
    """The whole answer; `verdicts` are the run's rows of cuts, commonest first.

    A level of which no request was seen to its end is shown, and nothing is concluded from it.
    """
    seen = [level for level in levels if level.seen]
    knee, plateau = knee_of(seen, tolerate), plateau_of(seen)
    at_most = min(knee, plateau or knee) if knee else None
    chosen = _chosen(seen, tolerate, at_most)
    first_gap_s = min((level.gap_s for level in levels), default=0.0)
    found = _Found(seen, chosen, _chosen(seen, tolerate, knee), plateau, verdicts)
    return SweepFigures(
        levels=tuple(level.figures() for level in levels if level.gap_s == first_gap_s),
        with_gap=tuple(level.figures() for level in levels if level.gap_s != first_gap_s),
        tolerate=tolerate,
        knee=knee,
        plateau=plateau,
        recommend=Recommended(
            max_in_flight=chosen.concurrency if chosen else None, gap_s=chosen.gap_s if chosen else None
        ),
        rule=rule(tolerate),
        says=(*found.sentences(), *_interrupted(levels)),
    )


def rule(tolerate: float) -> str:
    """How the knee is found, in a sentence."""
    some = f"no more than {tolerate * 100:g}%" if tolerate else "none"
    return (
        f"The knee is the highest level asked at which, and at every level asked below it, {some} of the requests "
        "met a 429; a gap counts where it was tried. A batch is as many requests in a row as go at once; it counts "
        "when one of them met a 429."
    )


def _chosen(levels: Sequence[Level], tolerate: float, at_most: int | None) -> Level | None:
    """The level to live at, with the smallest gap that keeps it and all below; None: nothing to set."""
    if not any(level.took_s for level in levels):
        return None
    all_kept = (level for kept in kept_levels(levels, tolerate) for level in kept)
    return next((level for level in all_kept if level.concurrency == at_most), None)


@dataclass(frozen=True, slots=True)
class _Found:
    """What the levels that were seen come to; `chosen` lies below the knee where throughput stops growing."""

    seen: Sequence[Level]
    chosen: Level | None
    at_knee: Level | None
    plateau: int | None
    verdicts: Sequence[CutFigures]

    def sentences(self) -> Iterator[str]:
        """The answer first, then what it rests on."""
        if not self.seen:
            return
        if not any(level.took_s for level in self.seen):
            yield _nothing_came(self.seen, self.verdicts)
        elif self.chosen is None or self.at_knee is None:
            yield _not_even_one(self.seen[0])
        else:
            yield _set(self.chosen)
            parts = (
                self._beyond(self.chosen, self.at_knee),
                self._gap(self.chosen, self.at_knee),
                self._throughput(),
                _lost(self.seen, self.verdicts),
            )
            yield from filter(None, parts)

    def _beyond(self, chosen: Level, at_knee: Level) -> str:
        beyond = [level for level in self.seen if level.concurrency > at_knee.concurrency]
        if beyond:
            alike = next((level for level in beyond if level.gap_s == chosen.gap_s), beyond[0])
            return f"Beyond it, {_at(alike)}, {_refused(alike)}."
        if not all(level.whole for level in self.seen):
            return ""
        with_it = f"With a gap of {format_duration(at_knee.gap_s)}, no" if at_knee.gap_s else "No"
        return (
            f"{with_it} limit was seen up to {at_knee.concurrency} at once: the knee may lie further up, so ask "
            "higher levels (--max, --levels)."
        )

    def _gap(self, chosen: Level, at_knee: Level) -> str:
        without = [
            level for level in self.seen if level.concurrency == chosen.concurrency and not level.gap_s
        ]
        if chosen.gap_s and without:
            return f"The gap is needed: without it, {_refused(without[0])}."
        if any(level.gap_s for level in self.seen) and not at_knee.gap_s:
            return "A gap as long as the Retry-After carried no level further."
        return ""

    def _throughput(self) -> str:
        if self.plateau is None:
            return ""
        rates = (level.delivered_per_min for level in self.seen if level.concurrency == self.plateau)
        return (
            f"From {self.plateau} at once on, more at once bring hardly more images a minute than "
            f"{next(rates, None) or 0.0:.1f}."
        )


def _interrupted(levels: Sequence[Level]) -> Iterable[str]:
    """That the sweep ended before its levels did, and what is missing; nothing of one that came to its end."""
    part = [level for level in levels if not level.whole]
    if not part:
        return
    missing = ", ".join(f"{_at(level)} {level.ended} of {level.planned or level.requests}" for level in part)
    yield (
        f"The sweep was interrupted, so nothing here is confirmed: of the requests planned, these ended: {missing}."
    )


def _set(chosen: Level) -> str:
    gap = f" and wait {format_duration(chosen.gap_s)} after each" if chosen.gap_s else ""
    high = (wilson(chosen.refused, chosen.seen) or (0.0, 1.0))[1]
    return (
        f"Keep at most {chosen.concurrency} in flight{gap}: {_refused(chosen)}, so that the true share is most "
        f"likely below {math.ceil(high * 100)}%."
    )


def _not_even_one(level: Level) -> str:
    if level.no_money:
        return (
            f"{_refused(level)} even at {level.concurrency} at once, because there is no money or quota left: "
            "no concurrency helps."
        )
    return (
        f"{_refused(level)} even at {level.concurrency} at once: this key is refused for another reason than "
        "concurrency, or its images a minute are too few for this pace."
    )


def _nothing_came(levels: Sequence[Level], verdicts: Sequence[CutFigures]) -> str:
    refused, seen = sum(level.refused for level in levels), sum(level.seen for level in levels)
    if verdicts:
        return (
            f"No image came at any level. {cut_count(verdicts[0], verdicts[0].attempts)}: the chain decides here, "
            "not the quota. Make it right first (`whocut check`), then sweep again."
        )
    if refused:
        return f"No image came at any level: {refused} of {seen} requests met a 429. No concurrency helps this key."
    return f"No image came at any level, and none of {seen} requests met a 429: it is not the concurrency."


def _lost(levels: Sequence[Level], verdicts: Sequence[CutFigures]) -> str:
    lost = sum(level.seen - level.refused - len(level.took_s) for level in levels)
    if not verdicts or lost <= 0:
        return ""
    first = cut_count(verdicts[0], verdicts[0].attempts)
    return f"{plural(lost, 'request')} brought neither an image nor a 429: {first}."


def _at(level: Level) -> str:
    gap = f" with a gap of {format_duration(level.gap_s)}" if level.gap_s else ""
    return f"at {level.concurrency} at once{gap}"


def _refused(level: Level) -> str:
    return f"{level.refused} of {level.seen} requests met a 429"
