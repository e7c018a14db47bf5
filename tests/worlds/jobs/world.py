"""A random world of jobs: a chain, a receiver of callbacks or none, and what each caller does with its job.

What is late and what breaks on the way is drawn beforehand, so the truth about each part on the wire follows from
the limits, as in the worlds of plain requests. The truth about a result follows from what its caller did.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.worlds.world import FAULTS, Truth, random_topology, truth_of
from whocut.chain.timers import JobTimer

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from whocut.chain.layers import Topology
    from whocut.chain.timers import TimerKind

Culprit = tuple[str, "TimerKind | JobTimer | None"]
_CANCEL: Culprit = ("client", None)

POLLS = 9  # no caller asks more often
_RESETS = {"reset": "reset_before_headers", "close": "answer_lost"}
# What a receiver says to each callback: a status, or that it answers too late, or that nothing listens.
LATE, ABSENT = "late", "absent"
_ANSWERS: tuple[int | str, ...] = (200, 200, 200, 302, 500, 429, 410, LATE, ABSENT)


@dataclass(frozen=True, slots=True)
class Part:
    """One exchange: so late comes its answer, or so it breaks; and the truth about that."""

    after_s: float
    fault: str | None
    patience_s: float | None
    truth: Truth

    @property
    def header(self) -> str:
        """What the mock is to do with it."""
        return f"slow_first_byte={self.after_s:g}" if self.fault is None else _RESETS[self.fault]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One job: when it is submitted, and what its caller does after that.

    `does` is `polls` (until its picture is there, or `gives_up_s` have passed), `cancels` (after `cancels_s`),
    `leaves` (asks for nothing), `heeds` (waits for the callback and asks `fetches_s` after that), `unheeding`
    (gets it, and asks for nothing). `work` is the mock's own fault: none, or a job that fails, or one that
    never says that it is over.
    """

    name: str
    starts_s: float
    does: str
    submit: Part
    polls: tuple[Part, ...]
    every_s: float
    gives_up_s: float
    cancels_s: float
    fetches_s: float
    work: str | None


@dataclass(frozen=True, slots=True)
class JobWorld:
    """A chain, what its receiver answers (None: there is none), and the jobs."""

    topology: Topology
    answers: int | str | None
    plans: tuple[Plan, ...]


@dataclass(slots=True)
class Story:
    """What the caller of one job went through, as it knows it itself: the truth about the result.

    `sent` are the truths of the attempts in the order in which they were sent.
    """

    plan: Plan
    sent: list[Truth] = field(default_factory=list)
    has_id: bool = False
    has_picture: bool = False
    asked_to_cancel: bool = False
    cancelled: bool = False  # and an answer said so
    told_failed: bool = False
    heard: bool = False  # an accepted callback told it that the job is over


def random_job_world(dice: random.Random, jobs: int) -> JobWorld:
    """Any chain, any receiver, any callers."""
    topology = random_topology(dice)
    answers = dice.choice(_ANSWERS) if dice.random() < 0.5 else None
    plans = tuple(_random_plan(dice, topology, number, answers) for number in range(jobs))
    return JobWorld(topology, answers, plans)


def _random_plan(dice: random.Random, topology: Topology, number: int, answers: int | str | None) -> Plan:
    quiet = ("heeds", "heeds", "unheeding") if answers == 200 else ("leaves",)
    does = dice.choice(("polls", "polls", "polls", "cancels", "leaves") if answers is None else quiet)
    submit = _random_part(dice, topology)
    work = dice.choice((None, None, None, "job_fails", "job_never_ends"))
    if answers is not None or submit.fault is not None or submit.after_s:
        work = None  # a request has one fault
    return Plan(
        name=f"job-{number}",
        starts_s=dice.uniform(0, 1000),
        does=does,
        submit=submit,
        polls=tuple(_random_part(dice, topology) for _ in range(POLLS)),
        every_s=dice.uniform(5, 90),
        gives_up_s=dice.choice((30.0, 120.0, 2000.0)),
        cancels_s=dice.uniform(5, 200),
        fetches_s=dice.choice((1.0, 60.0, 500.0, 900.0)),
        work=work,
    )


def _random_part(dice: random.Random, topology: Topology) -> Part:
    after_s = round(dice.lognormvariate(3.8, 0.9), 3) if dice.random() < 0.35 else 0.0
    fault = dice.choice(FAULTS) if dice.random() < 0.1 else None
    patience_s = round(dice.uniform(10, 200), 3) if dice.random() < 0.1 else None
    if fault is not None:
        after_s = 0.0
    fault_s = 0.0 if fault is not None else None
    # An answer to a poll is one piece: what comes, comes at once.
    truth = truth_of(topology, (after_s,) if fault is None else (1.0,), fault_s, patience_s)
    return Part(after_s, fault, patience_s, truth)


def of_result(story: Story, answers: int | str | None) -> frozenset[Culprit]:
    """In whose hands the result of this job was lost, by which clock; several where its caller cannot know.

    Empty: it was not lost, or it was never made.
    """
    if story.has_picture or not story.has_id or story.told_failed:
        return frozenset()
    if story.cancelled:
        return frozenset({_CANCEL})
    if answers is None:
        return frozenset(_unheard(story))
    if story.heard:
        return frozenset({("upstream", JobTimer.EXPIRY)})
    refused: set[Culprit] = {("receiver", JobTimer.CALLBACK)}
    if answers == 410:  # it disables the endpoint: later jobs are called back no more
        refused.add(("upstream", JobTimer.CALLBACK))
    return frozenset(refused)


def _unheard(story: Story) -> Iterator[Culprit]:
    """Where there is no receiver, and no good answer said that it was over."""
    if story.asked_to_cancel:  # the answer to that was lost
        yield _CANCEL
    if story.plan.work == "job_fails":  # nothing was made, so nothing else is lost
        return
    yield ("client", JobTimer.POLL)
    if story.plan.work == "job_never_ends":
        yield ("upstream", None)
