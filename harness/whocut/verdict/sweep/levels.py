"""Levels of concurrency, measured. Pure.

A level is so many requests under way at once. Its `share_429` counts requests, one vote each: of those whose first
attempt was seen to its end, how many met a 429 there. A client's retries do not count. A refused caller keeps its
place for as long as its Retry-After says; otherwise the share would count how soon it comes back.

A batch is as many requests in a row as may be under way at once. A user who sends ten together wants to know how
often one of them is missing. That is far more often than each of them is refused.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from whocut.chain.intervals import wilson
from whocut.chain.percentiles import percentile
from whocut.chain.refusals import NO_MONEY
from whocut.trace.records import Attempt, Outcome
from whocut.trace.requests import by_request, due_s
from whocut.verdict.figures import LevelFigures

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from whocut.chain.load import LoadStage
    from whocut.verdict.figures import ModeFigures


@dataclass(slots=True)
class Level:
    """What came of so many at once, each place resting `gap_s` after a request.

    `seen` are the requests whose first attempt ended; `waits_s` is what the 429s asked to wait. Of the `batches`
    that ended, `batches_refused` met a 429. `billed_usd` is for `images`, of which one request may ask for several;
    None: the ledger was not read. An interrupted sweep asks fewer than the `planned` requests; 0 is "not known".
    Throughput rests on the requests after the first of each place, which all come at once: `came` of them brought
    an image, and `taken_s` is how long they took their places, rests included.
    """

    concurrency: int
    gap_s: float
    stages: int = 0
    planned: int = 0
    requests: int = 0
    seen: int = 0
    refused: int = 0
    no_money: int = 0
    censored: int = 0
    images: int = 0
    came: int = 0
    taken_s: float = 0.0
    took_s: list[float] = field(default_factory=list)
    waits_s: list[float] = field(default_factory=list)
    batches: int = 0
    batches_refused: int = 0
    billed_usd: float | None = None

    @property
    def share_429(self) -> float | None:
        """The share of requests refused; None where none was seen to its end."""
        return self.refused / self.seen if self.seen else None

    @property
    def delivered_per_min(self) -> float | None:
        """Images a minute while all places are taken, so that neither its beginning nor its running out counts."""
        return 60 * self.concurrency * self.came / self.taken_s if self.taken_s else None

    @property
    def whole(self) -> bool:
        """Whether every request that was planned was asked and ended by itself."""
        return self.requests >= self.planned and not self.censored

    @property
    def ended(self) -> int:
        """Requests that ended by themselves."""
        return self.requests - self.censored

    def keeps(self, tolerate: float) -> bool:
        """Whether no more than this share was refused."""
        return self.share_429 is not None and self.share_429 <= tolerate

    def figures(self) -> LevelFigures:
        """For ``summary.json``."""
        interval = wilson(self.refused, self.seen)
        usd = None if self.billed_usd is None or not self.images else self.billed_usd / self.images
        return LevelFigures(
            concurrency=self.concurrency,
            gap_s=self.gap_s,
            planned=self.planned or self.requests,
            requests=self.requests,
            refused=self.refused,
            censored=self.censored,
            delivered=len(self.took_s),
            share_429=_rounded(self.share_429, 4),
            batches=self.batches,
            batches_refused=self.batches_refused,
            ci95=(round(interval[0], 4), round(interval[1], 4)) if interval else None,
            delivered_per_min=_rounded(self.delivered_per_min, 3),
            p50_s=percentile(self.took_s, 50),
            p95_s=percentile(self.took_s, 95),
            usd_per_delivered=_rounded(usd, 6),
        )


def levels_of(
    stages: Iterable[LoadStage],
    attempts: Iterable[Attempt],
    by_mode: Mapping[str, ModeFigures] | None = None,
) -> list[Level]:
    """The levels of a sweep, lowest first, a level without a gap before the same one with it.

    Stages of the same level are one. `by_mode` is the run's account, for the bills; None before the run's end.
    """
    of_label: defaultdict[str, list[list[Attempt]]] = defaultdict(list)
    for tries in by_request(attempts).values():
        of_label[tries[0].mode].append(tries)
    levels: dict[tuple[int, float], Level] = {}
    for stage in stages:
        at_once = stage.at_once or 1
        level = levels.setdefault((at_once, stage.gap_s), Level(at_once, stage.gap_s))
        level.stages += 1
        level.planned += stage.requests
        requests = sorted(of_label[stage.name], key=lambda tries: tries[0].started_s)
        for number, tries in enumerate(requests):
            _count(level, tries, in_stride=number >= at_once or len(requests) < 2 * at_once)
        _count_batches(level, [tries[0] for tries in requests])
        if by_mode is not None and stage.name in by_mode:
            level.billed_usd = (level.billed_usd or 0.0) + by_mode[stage.name].ledger.billed_usd
    return [levels[key] for key in sorted(levels)]


def _count(level: Level, tries: Sequence[Attempt], *, in_stride: bool) -> None:
    first, last = tries[0], tries[-1]
    level.requests += 1
    level.images += sum(attempt.outcome is Outcome.DELIVERED for attempt in tries)
    level.censored += last.outcome is Outcome.CENSORED
    level.seen += first.outcome is not Outcome.CENSORED
    level.refused += first.status == 429
    level.no_money += first.status == 429 and first.error in NO_MONEY
    if first.status == 429 and first.retry_after_s is not None:
        level.waits_s.append(first.retry_after_s)
    if last.ended_s is None:
        return
    took_s = last.ended_s - due_s(first)
    if last.outcome is Outcome.DELIVERED:
        level.took_s.append(took_s)
    if in_stride:
        told_to_wait_s = (last.retry_after_s or 0.0) if last.status == 429 else 0.0
        level.came += last.outcome is Outcome.DELIVERED
        level.taken_s += took_s + max(level.gap_s, told_to_wait_s)


def _count_batches(level: Level, firsts: Sequence[Attempt]) -> None:
    size = level.concurrency
    for start in range(0, len(firsts) - size + 1, size):
        batch = firsts[start : start + size]
        if all(attempt.outcome is not Outcome.CENSORED for attempt in batch):
            level.batches += 1
            level.batches_refused += any(attempt.status == 429 for attempt in batch)


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
