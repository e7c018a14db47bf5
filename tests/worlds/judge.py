"""Worlds played, judged, and compared with the truth: with all spans, with skewed clocks, with spans withheld."""

from __future__ import annotations

import copy
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.worlds.play import play
from tests.worlds.world import World, random_world
from whocut.trace.records import AttemptRecord
from whocut.verdict.agreement import hold_against_ledger
from whocut.verdict.attribute import attribute
from whocut.verdict.evidence import gather
from whocut.verdict.verdict import Grade, Kind, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.worlds.world import Truth
    from whocut.trace.records import Span

PER_WORLD = 25


@dataclass(slots=True)
class Look:
    """What came of it.

    `wrong` holds every verdict that accuses the wrong layer or timer although all layers report, `misled` those
    made while spans were withheld, and `wrong_proven` those of either kind that claim to be proven.
    """

    requests: int = 0
    cut: int = 0
    attributed: int = 0
    ties: int = 0
    wrong: list[str] = field(default_factory=list)
    misled: list[str] = field(default_factory=list)
    wrong_proven: list[str] = field(default_factory=list)
    disagreements: list[str] = field(default_factory=list)
    grades: dict[str, Counter[str]] = field(default_factory=dict)

    @property
    def attributed_share(self) -> float:
        """Of the cut requests, with all layers reporting."""
        return self.attributed / self.cut if self.cut else 1.0

    @property
    def proven_share(self) -> dict[str, float]:
        """Of the cut requests, for each way of withholding spans."""
        return {name: counts[Grade.PROVEN] / max(1, counts.total()) for name, counts in self.grades.items()}


def look_at_worlds(*, requests: int, seed: int, progress: Callable[[int], None] = lambda _done: None) -> Look:
    """Play worlds until so many requests have been asked."""
    look = Look()
    for number in range(-(-requests // PER_WORLD)):
        dice = random.Random(f"{seed}/{number}")
        world = random_world(dice, PER_WORLD)
        _look(look, world, dice, f"{seed}/{number}")
        progress(look.requests)
    return look


def _look(look: Look, world: World, dice: random.Random, where: str) -> None:
    spans, ledger = play(world)
    truths = {ask.name: ask.truth for ask in world.asks}
    for way, given in ways_of_telling(spans, dice).items():
        verdicts = [attribute(evidence, world.topology) for evidence in gather(given)]
        counts = look.grades.setdefault(way, Counter())
        for verdict in verdicts:
            truth = truths[verdict.request]
            if not truth.delivered:
                counts[verdict.grade] += 1
            if accuses_wrongly(verdict, truth):
                what = f"{where} {verdict.request} ({way}): {verdict.phrase}; truth: {sorted(truth.culprits)}"
                (look.wrong if len(given) == len(spans) else look.misled).append(what)
                if verdict.grade is Grade.PROVEN:
                    look.wrong_proven.append(what)
        if way == "all spans":
            _count(look, verdicts, truths)
            found = hold_against_ledger(verdicts, ledger).disagree
            look.disagreements += [f"{where} {one.request}: {one.what}" for one in found]


def ways_of_telling(spans: list[Span], dice: random.Random) -> dict[str, list[Span]]:
    """All spans, the same by skewed clocks, and with some withheld."""
    return {
        "all spans": spans,
        "skewed clocks": _skewed(spans, dice),
        "half of them": _some(spans, dice, 0.5),
        "a few of them": _some(spans, dice, 0.2),
    }


def _count(look: Look, verdicts: list[Verdict], truths: dict[str, Truth]) -> None:
    assert len(verdicts) == len(truths)
    look.requests += len(verdicts)
    for verdict in verdicts:
        if not truths[verdict.request].delivered:
            look.cut += 1
            look.attributed += verdict.kind is Kind.CUT
            look.ties += bool(verdict.tie)


def accuses_wrongly(verdict: Verdict, truth: Truth) -> bool:
    """Whether a verdict names another layer or timer than the truth, or calls a delivery what was none."""
    if verdict.kind is Kind.UNATTRIBUTED:
        return False
    if verdict.kind is Kind.NONE:
        return not truth.delivered and verdict.outcome in {"delivered", "rejected"}
    named: set[str | None] = set(verdict.tie) or {verdict.layer}
    return (verdict.layer, verdict.timer) not in truth.culprits or not named <= truth.layers


def _some(spans: list[Span], dice: random.Random, share: float) -> list[Span]:
    """The client's account, and of the others only some."""
    return [span for span in spans if isinstance(span, AttemptRecord) or dice.random() < share]


def _skewed(spans: list[Span], dice: random.Random) -> list[Span]:
    """The same spans, each layer's clock wrong by up to ten minutes."""
    wrong_by_s: dict[str, float] = {}
    moved = copy.deepcopy(spans)
    for span in moved:
        by_s = wrong_by_s.setdefault(span.layer, dice.uniform(-600, 600))
        span.move(by_s)
        span.move_own(by_s)
    return moved
