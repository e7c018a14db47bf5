"""Which request to draw, by a rule that is said beneath the drawing."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from whocut.trace.records import Outcome
from whocut.verdict.verdict import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from whocut.trace.records import Attempt
    from whocut.verdict.verdict import Verdict


class Pick(StrEnum):
    """What to look for among a run's requests."""

    TYPICAL = "typical"
    CUT = "cut"
    ORPHAN = "orphan"
    SLOWEST = "slowest"
    DELIVERED = "delivered"
    TIE = "tie"
    UNATTRIBUTED = "unattributed"


RULES = {
    Pick.TYPICAL: "the commonest sequence of verdicts; among those, the middle one by orphaned time",
    Pick.CUT: "the first of those with most attempts cut",
    Pick.ORPHAN: "the one whose orphaned generations ran on longest",
    Pick.SLOWEST: "the one that took its caller longest",
    Pick.DELIVERED: "the first whose image came",
    Pick.TIE: "the first in which nothing tells two cuts apart",
    Pick.UNATTRIBUTED: "the first with an unattributed attempt",
}


@dataclass(frozen=True, slots=True)
class Picked:
    """A request, and by which rule it was chosen among how many."""

    request: str
    rule: str
    among: int
    alike: int  # how many of them share its sequence of verdicts


def pick_request(
    verdicts: Iterable[Verdict],
    attempts: Iterable[Attempt] = (),
    *,
    pick: Pick = Pick.TYPICAL,
    mode: str | None = None,
) -> Picked | None:
    """The request to draw, of one mode or of all; None where no request fits."""
    tries: defaultdict[str, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        if mode is None or verdict.mode == mode:
            tries[verdict.request].append(verdict)
    for judged in tries.values():
        judged.sort(key=lambda verdict: verdict.attempt)
    stories = {request: _story(judged) for request, judged in tries.items()}
    chosen = _chosen(pick, tries, stories, _took_s(attempts))
    if chosen is None:
        return None
    alike = sum(story == stories[chosen] for story in stories.values())
    return Picked(chosen, RULES[pick], len(tries), alike)


def _chosen(
    pick: Pick,
    tries: Mapping[str, Sequence[Verdict]],
    stories: Mapping[str, tuple[object, ...]],
    took_s: Mapping[str, float],
) -> str | None:
    """In the order of the run; of equals the first."""
    if pick is Pick.TYPICAL:
        return _typical(tries, stories)
    weigh: dict[Pick, Callable[[str], float]] = {
        Pick.CUT: lambda request: sum(verdict.kind is Kind.CUT for verdict in tries[request]),
        Pick.ORPHAN: lambda request: _ran_on_s(tries[request]),
        Pick.SLOWEST: lambda request: took_s.get(request, 0.0),
        Pick.DELIVERED: lambda request: tries[request][-1].outcome is Outcome.DELIVERED,
        Pick.TIE: lambda request: any(verdict.tie for verdict in tries[request]),
        Pick.UNATTRIBUTED: lambda request: any(v.kind is Kind.UNATTRIBUTED for v in tries[request]),
    }
    best = max(tries, key=weigh[pick], default=None)
    return best if best is not None and weigh[pick](best) > 0 else None


def _typical(tries: Mapping[str, Sequence[Verdict]], stories: Mapping[str, tuple[object, ...]]) -> str | None:
    if not tries:
        return None
    common = Counter(stories.values()).most_common(1)[0][0]
    alike = sorted((r for r in tries if stories[r] == common), key=lambda request: _ran_on_s(tries[request]))
    middle_s = statistics.median_low(_ran_on_s(tries[request]) for request in alike)
    return next(request for request in alike if _ran_on_s(tries[request]) == middle_s)


def _story(judged: Sequence[Verdict]) -> tuple[object, ...]:
    return tuple(
        (verdict.kind, verdict.layer, verdict.timer, verdict.phase, verdict.outcome) for verdict in judged
    )


def _ran_on_s(judged: Sequence[Verdict]) -> float:
    return sum(verdict.behind.ran_on_s for verdict in judged if verdict.behind)


def _took_s(attempts: Iterable[Attempt]) -> dict[str, float]:
    began: dict[str, float] = {}
    ended: dict[str, float] = {}
    for attempt in attempts:
        began[attempt.request] = min(attempt.started_s, began.get(attempt.request, attempt.started_s))
        last_s = attempt.ended_s if attempt.ended_s is not None else attempt.started_s
        ended[attempt.request] = max(last_s, ended.get(attempt.request, last_s))
    return {request: ended[request] - began[request] for request in began}
