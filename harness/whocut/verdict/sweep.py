"""How much concurrency before the 429s: levels measured, the knee by a stated rule, what to set. Pure.

A level is so many requests under way at once. Its `share_429` counts requests, one vote each: of those whose first
attempt was seen to its end, how many met a 429 there. A client's retries do not count, and a refused caller keeps
its place for as long as its Retry-After says, or it would come again at once and the share would count its haste.

A batch is as many requests in a row as may be under way at once: who sends ten together wants to know how often one
of them is missing, and that is far more often than each of them is refused.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import takewhile
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from whocut.chain.percentiles import percentile
from whocut.chain.refusals import NO_MONEY
from whocut.trace.records import Attempt, Outcome
from whocut.words import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from whocut.chain.load import LoadStage

_MEASURED = ("delivered_per_min", "p50_s", "p95_s", "share_429", "usd_per_delivered")
LONGEST_GAP_S = 120.0  # whoever says "come again" after more than that has closed the door; no gap helps
_Z = NormalDist().inv_cdf(0.975)
# Half as many again at once, and not a fifth more images: throughput has stopped growing.
_WIDER, _MORE = 1.5, 1.2


def wilson(hits: int, of: int) -> tuple[float, float] | None:
    """The 95 % interval of a share (Wilson 1927), which stays true near 0 and 1; None of none."""
    if not of:
        return None
    share, z2 = hits / of, _Z * _Z
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    reach = _Z / (1 + z2 / of) * math.sqrt(share * (1 - share) / of + z2 / (4 * of * of))
    low, high = max(0.0, middle - reach), min(1.0, middle + reach)
    return (0.0 if hits == 0 else low, 1.0 if hits == of else high)


@dataclass(slots=True)
class Level:
    """What came of so many at once, each place resting `gap_s` after a request.

    `seen` are the requests whose first attempt ended; `waits_s` is what the 429s asked to wait. Of the `batches`
    that ended, `batches_refused` met a 429. `billed_usd` is for `images`, of which one request may ask for several;
    None: the ledger was not read. Of the `planned` requests an interrupted sweep asks some, or none; 0 where nobody
    said how many. Throughput rests on the requests after the first of each place, which all come at once: `came` of
    them brought an image, and `taken_s` is how long they took their places, rests included.
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

    def figures(self) -> dict[str, Any]:
        """For ``summary.json``."""
        interval = wilson(self.refused, self.seen)
        delivered = len(self.took_s)
        usd = None if self.billed_usd is None or not self.images else self.billed_usd / self.images
        return {
            "concurrency": self.concurrency,
            "gap_s": self.gap_s,
            "planned": self.planned or self.requests,
            "requests": self.requests,
            "refused": self.refused,
            "censored": self.censored,
            "delivered": delivered,
            "share_429": _rounded(self.share_429, 4),
            "batches": self.batches,
            "batches_refused": self.batches_refused,
            "ci95": [round(end, 4) for end in interval] if interval else None,
            "delivered_per_min": _rounded(self.delivered_per_min, 3),
            "p50_s": percentile(self.took_s, 50),
            "p95_s": percentile(self.took_s, 95),
            "usd_per_delivered": _rounded(usd, 6),
        }


def levels_of(
    stages: Iterable[LoadStage],
    attempts: Iterable[Attempt],
    by_mode: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Level]:
    """The levels of a sweep, lowest first, a level without a gap before the same one with it.

    Stages of the same level are one. `by_mode` is the run's account, for the bills; None while the run goes on.
    """
    of_label: defaultdict[str, defaultdict[str, list[Attempt]]] = defaultdict(lambda: defaultdict(list))
    for attempt in attempts:
        of_label[attempt.mode][attempt.request].append(attempt)
    levels: dict[tuple[int, float], Level] = {}
    for stage in stages:
        at_once = stage.at_once or 1
        level = levels.setdefault((at_once, stage.gap_s), Level(at_once, stage.gap_s))
        level.stages += 1
        level.planned += stage.requests
        requests = [
            sorted(tries, key=lambda attempt: attempt.number) for tries in of_label[stage.name].values()
        ]
        requests.sort(key=lambda tries: tries[0].started_s)
        for number, tries in enumerate(requests):
            _count(level, tries, in_stride=number >= at_once or len(requests) < 2 * at_once)
        _count_batches(level, [tries[0] for tries in requests])
        if by_mode is not None and stage.name in by_mode:
            level.billed_usd = (level.billed_usd or 0.0) + by_mode[stage.name]["ledger"]["billed_usd"]
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
    took_s = last.ended_s - (first.started_s if first.due_s is None else first.due_s)
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


# --- the knee ---------------------------------------------------------------------------------------------


def knee_of(levels: Iterable[Level], tolerate: float) -> int | None:
    """The highest level at which, and at all below which, no more than `tolerate` is refused; None: not even one.

    A lucky level above one that breaks does not count. Each gap has its own knee, and the highest is the knee.
    """
    return max((kept[-1].concurrency for kept in _kept(levels, tolerate) if kept), default=None)


def _kept(levels: Iterable[Level], tolerate: float) -> list[list[Level]]:
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
    """What to ask next, as (at once, gap); nothing when the answer stands.

    First the knee once more, as it may have been luck. Then the two levels beyond it with a gap: the longest
    Retry-After heard at the first of them. Their knee, too, is asked once more, and the level beyond that one with
    the gap, until one breaks. Nothing where no level broke, or where no gap can help.
    """
    if all(level.keeps(tolerate) for level in levels):
        return ()
    knee = knee_of(levels, tolerate)
    at_knee = next(
        (kept[-1] for kept in _kept(levels, tolerate) if kept and kept[-1].concurrency == knee), None
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


# --- the answer -------------------------------------------------------------------------------------------


def sweep_figures(
    levels: Sequence[Level], tolerate: float, verdicts: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """The whole answer; `verdicts` are the run's rows of cuts, commonest first.

    A level of which no request was seen to its end is shown, and nothing is concluded from it.
    """
    seen = [level for level in levels if level.seen]
    knee, plateau = knee_of(seen, tolerate), plateau_of(seen)
    at_most = min(knee, plateau or knee) if knee else None
    chosen = _chosen(seen, tolerate, at_most)
    first_gap_s = min((level.gap_s for level in levels), default=0.0)
    return {
        "levels": [level.figures() for level in levels if level.gap_s == first_gap_s],
        "with_gap": [level.figures() for level in levels if level.gap_s != first_gap_s],
        "tolerate": tolerate,
        "knee": knee,
        "plateau": plateau,
        "recommend": {
            "max_in_flight": chosen.concurrency if chosen else None,
            "gap_s": chosen.gap_s if chosen else None,
        },
        "rule": rule(tolerate),
        "says": [
            *_sentences(seen, chosen, _chosen(seen, tolerate, knee), plateau, verdicts),
            *_interrupted(levels),
        ],
    }


def recommended(found: Mapping[str, Any]) -> dict[str, float | None]:
    """What thresholds are set on (`whocut.chain.want`): the figures of the level that is recommended."""
    advice = found["recommend"]
    level = next(
        (
            level
            for level in (*found["levels"], *found["with_gap"])
            if (level["concurrency"], level["gap_s"]) == (advice["max_in_flight"], advice["gap_s"])
        ),
        dict.fromkeys(_MEASURED),
    )
    return {"max_in_flight": advice["max_in_flight"], **{name: level[name] for name in _MEASURED}}


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
    all_kept = (level for kept in _kept(levels, tolerate) for level in kept)
    return next((level for level in all_kept if level.concurrency == at_most), None)


def _sentences(
    seen: Sequence[Level],
    chosen: Level | None,
    at_knee: Level | None,
    plateau: int | None,
    verdicts: Sequence[Mapping[str, Any]],
) -> Iterable[str]:
    """What the levels that were seen say; below the knee is chosen where throughput stops growing before it."""
    if not seen:
        return
    if not any(level.took_s for level in seen):
        yield from _nothing_came(seen, verdicts)
        return
    if chosen is None or at_knee is None:
        yield _not_even_one(seen[0])
        return
    yield _set(chosen)
    beyond = [level for level in seen if level.concurrency > at_knee.concurrency]
    if beyond:
        alike = next((level for level in beyond if level.gap_s == chosen.gap_s), beyond[0])
        yield f"Beyond it, {_at(alike)}, {_refused(alike)}."
    elif all(level.whole for level in seen):
        with_it = f"With a gap of {format_duration(at_knee.gap_s)}, no" if at_knee.gap_s else "No"
        yield (
            f"{with_it} limit was seen up to {at_knee.concurrency} at once: the knee may lie further up, so ask "
            "higher levels (--max, --levels)."
        )
    without = [level for level in seen if level.concurrency == chosen.concurrency and not level.gap_s]
    if chosen.gap_s and without:
        yield f"The gap is needed: without it, {_refused(without[0])}."
    elif any(level.gap_s for level in seen) and not at_knee.gap_s:
        yield "A gap as long as the Retry-After carried no level further."
    if plateau is not None:
        rate = next(level.delivered_per_min or 0.0 for level in seen if level.concurrency == plateau)
        yield f"From {plateau} at once on, more at once bring hardly more images a minute than {rate:.1f}."
    cut = _cuts(seen, verdicts)
    if cut:
        yield cut


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


def _nothing_came(levels: Sequence[Level], verdicts: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    refused, seen = sum(level.refused for level in levels), sum(level.seen for level in levels)
    if verdicts:
        yield (
            f"No image came at any level. {_cutter(verdicts[0])}: the chain decides here, not the quota. Make it "
            "right first (`whocut check`), then sweep again."
        )
    elif refused:
        yield f"No image came at any level: {refused} of {seen} requests met a 429. No concurrency helps this key."
    else:
        yield f"No image came at any level, and none of {seen} requests met a 429: it is not the concurrency."


def _cuts(levels: Sequence[Level], verdicts: Sequence[Mapping[str, Any]]) -> str | None:
    if not verdicts:
        return None
    lost = sum(level.seen - level.refused - len(level.took_s) for level in levels)
    return (
        f"{lost} requests brought neither an image nor a 429: {_cutter(verdicts[0])}." if lost > 0 else None
    )


def _cutter(row: Mapping[str, Any]) -> str:
    who = " and ".join(row["tie"]) or row["title"] or row["layer"]
    timer = f" by {row['directive']}, {format_duration(row['limit_s'])}" if row["limit_s"] else ""
    return f"{who} cut {row['attempts']} attempts{timer}"


def _at(level: Level) -> str:
    gap = f" with a gap of {format_duration(level.gap_s)}" if level.gap_s else ""
    return f"at {level.concurrency} at once{gap}"


def _refused(level: Level) -> str:
    return f"{level.refused} of {level.seen} requests met a 429"


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
