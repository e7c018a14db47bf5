"""Worlds of jobs judged: each part on the wire against its own truth, and each lost result against its caller's."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.worlds.jobs.play import play
from tests.worlds.jobs.world import JobWorld, Story, of_result, random_job_world
from tests.worlds.judge import accuses_wrongly, ways_of_telling
from whocut.chain.timers import JobTimer
from whocut.trace.records import AttemptRecord, LayerRecord
from whocut.verdict.agreement import hold_against_ledger
from whocut.verdict.attribute import attribute
from whocut.verdict.evidence import gather
from whocut.verdict.verdict import Grade, Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from whocut.trace.records import Span
    from whocut.verdict.verdict import Verdict

PER_WORLD = 20


@dataclass(slots=True)
class Look:
    """What came of it. `lost` counts results, of which `named` have a verdict with all spans.

    `swallowed` are not among them: a blind layer took the picture when its caller had gone, and to the ledger it
    was delivered. The verdict on that poll tells. `asked_again` are parts that a layer sent once more by itself: a
    poll whose kept connection was closed. The truth is of one try, so it judges no verdict on these.

    `wrong` accuses the wrong hands although all layers report, `misled` while spans were withheld, and
    `wrong_proven` are those of either kind that claim to be proven.
    """

    jobs: int = 0
    parts: int = 0
    cut: int = 0
    attributed: int = 0
    lost: int = 0
    named: int = 0
    swallowed: int = 0
    asked_again: int = 0
    ways: Counter[str] = field(default_factory=Counter)
    grades: dict[str, Counter[str]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    misled: list[str] = field(default_factory=list)
    wrong_proven: list[str] = field(default_factory=list)
    disagreements: list[str] = field(default_factory=list)

    @property
    def attributed_share(self) -> float:
        """Of the parts that were cut, with all layers reporting."""
        return self.attributed / self.cut if self.cut else 1.0

    @property
    def named_share(self) -> float:
        """Of the results that were lost."""
        return self.named / self.lost if self.lost else 1.0


def look_at_jobs(*, jobs: int, seed: int, progress: Callable[[int], None] = lambda _done: None) -> Look:
    """Play worlds until so many jobs have been submitted."""
    look = Look()
    for number in range(-(-jobs // PER_WORLD)):
        dice = random.Random(f"jobs/{seed}/{number}")
        world = random_job_world(dice, PER_WORLD)
        _look(look, world, dice, f"{seed}/{number}")
        progress(look.jobs)
    return look


def _look(look: Look, world: JobWorld, dice: random.Random, where: str) -> None:
    spans, ledger, stories = play(world)
    by_name = {story.plan.name: story for story in stories}
    look.jobs += len(stories)
    again = _asked_again(spans)
    look.asked_again += len(again)
    for way, given in ways_of_telling(spans, dice).items():
        verdicts = [attribute(evidence, world.topology) for evidence in gather(given)]
        counts = look.grades.setdefault(way, Counter())
        for verdict in verdicts:
            story = by_name[verdict.request]
            if verdict.kind is Kind.CUT:
                counts[verdict.grade] += 1
            if (verdict.request, verdict.attempt) not in again and _wrong(verdict, story, world):
                truth = sorted(story.sent[verdict.attempt - 1].culprits, key=str)
                hands = sorted(of_result(story, world.answers), key=str)
                what = f"{where} {verdict.request}.{verdict.attempt} ({way}): {verdict.phrase}"
                what += f"; truth: {truth} {hands}"
                (look.wrong if len(given) == len(spans) else look.misled).append(what)
                if verdict.grade is Grade.PROVEN:
                    look.wrong_proven.append(what)
        if way == "all spans":
            taken = {str(row["trace_id"]) for row in ledger if row["delivered"]}
            _count(look, verdicts, by_name, world, taken)
            found = hold_against_ledger(verdicts, ledger).disagree
            look.disagreements += [f"{where} {one.request}.{one.attempt}: {one.what}" for one in found]


def _asked_again(spans: list[Span]) -> set[tuple[str, int]]:
    """The parts that a layer sent once more by itself."""
    by_id = {span.span_id: span for span in spans}
    found = set()
    for span in spans:
        if isinstance(span, LayerRecord) and span.resent:
            above: Span | None = span
            while above is not None and not isinstance(above, AttemptRecord):
                above = by_id.get(above.parent_id or "")
            if above is not None:
                found.add((above.request, above.number))
    return found


def _is_about_the_result(verdict: Verdict) -> bool:
    """Whether it says how a result was lost, and not how an exchange was cut."""
    return isinstance(verdict.timer, JobTimer) or (verdict.kind is Kind.CUT and verdict.outcome == "accepted")


def _wrong(verdict: Verdict, story: Story, world: JobWorld) -> bool:
    if _is_about_the_result(verdict):
        return (verdict.layer, verdict.timer) not in of_result(story, world.answers)
    truth = story.sent[verdict.attempt - 1]
    if verdict.outcome == "accepted":
        return not truth.delivered
    return accuses_wrongly(verdict, truth)


def _count(
    look: Look, verdicts: list[Verdict], by_name: dict[str, Story], world: JobWorld, taken: set[str]
) -> None:
    assert len(verdicts) == sum(len(story.sent) for story in by_name.values())
    look.parts += len(verdicts)
    for verdict in verdicts:
        story = by_name[verdict.request]
        if not story.sent[verdict.attempt - 1].delivered:
            look.cut += 1
            look.attributed += verdict.kind is Kind.CUT
        made = story.plan.work != "job_fails" or story.cancelled
        if verdict.attempt == 1 and verdict.trace_id in taken:
            look.swallowed += not story.has_picture
        elif verdict.attempt == 1 and made and of_result(story, world.answers):
            look.lost += 1
            if _is_about_the_result(verdict):
                look.named += 1
                look.ways[f"{verdict.layer} by {verdict.timer or 'cancel'}"] += 1
