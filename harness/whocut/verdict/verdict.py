"""A verdict: which layer cut an attempt, by which timer, in which phase, when, and how sure we are.

The phrase is made here and nowhere else, so that the terminal, a failing test, a figure and a span say it
alike.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from whocut.words import format_duration

if TYPE_CHECKING:
    from whocut.chain.timers import Phase, TimerKind
    from whocut.trace.records import Outcome


class Grade(StrEnum):
    """How sure a verdict is, surest first. It never claims a grade it does not have."""

    PROVEN = "proven"  # the edges on both sides of the layer show it
    TESTIFIED = "testified"  # the layer's own log or span says so
    INFERRED = "inferred"  # the caller's view alone
    UNATTRIBUTED = "unattributed"


class Kind(StrEnum):
    """What a verdict says at all."""

    CUT = "cut"
    NONE = "none"  # nobody cut: it was delivered, or the API itself said no
    UNATTRIBUTED = "unattributed"  # somebody ended it, and the evidence does not say who


@dataclass(frozen=True, slots=True)
class Evidence:
    """A fact a verdict rests on: who saw what, and when on that witness's clock."""

    witness: str
    fact: str
    grade: Grade
    at_s: float | None = None


@dataclass(frozen=True, slots=True)
class Cascade:
    """What followed from the first cut in one other layer."""

    layer: str
    fact: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """What became of the generation behind an attempt."""

    generation: str
    orphaned: bool
    ran_on_s: float
    billed: bool
    billed_usd: float
    delivered: bool
    settled: bool = True
    earlier: tuple[str, ...] = ()  # generations of the same attempt, where a layer asked again by itself
    handed_to: str | None = None  # a layer that took the image although nobody waited there any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer for one attempt.

    `outcome` is what its client saw; None where only others know of it, and then `status` may say what they saw.
    `after_s` counts from the acceptance by the layer that cut; `at_s` is the instant on the run's clock.
    `needed_s` is what the timer would have had to allow: the wait, the gap, or the whole answer (`verdict.needed`).
    """

    request: str
    attempt: int
    mode: str
    trace_id: str
    outcome: Outcome | None
    kind: Kind
    grade: Grade = Grade.UNATTRIBUTED
    layer: str | None = None
    title: str | None = None
    timer: TimerKind | None = None
    directive: str | None = None
    phase: Phase | None = None
    limit_s: float | None = None
    after_s: float | None = None
    at_s: float | None = None
    needed_s: float | None = None
    reason: str = ""
    evidence: tuple[Evidence, ...] = ()
    cascade: tuple[Cascade, ...] = ()
    contradictions: tuple[str, ...] = ()
    tie: tuple[str, ...] = ()
    behind: Behind | None = None
    missing: tuple[str, ...] = field(default=())
    status: int | None = None

    @property
    def saw(self) -> str:
        """How it ended for its client, in a word or two."""
        return (
            str(self.outcome) if self.outcome is not None else f"status {self.status}" if self.status else ""
        )

    @property
    def phrase(self) -> str:
        """``nginx cut by first_byte after 60 s, while waiting · proven · the generation ran on …``."""
        parts = [self._what()]
        if self.kind is Kind.CUT:
            parts.append(str(self.grade))
        if self.kind is not Kind.NONE and self.behind:
            parts.append(_what_became(self.behind))
        return " · ".join(parts)

    def _what(self) -> str:
        if self.kind is Kind.NONE:
            return f"nobody cut: {self.saw}" + (f" ({self.reason})" if self.reason else "")
        if self.kind is Kind.UNATTRIBUTED:
            missing = f"; to say more: {', '.join(self.missing)}" if self.missing else ""
            return f"unattributed: {self.reason or self.saw}{missing}"
        who = " and ".join(self.tie) if self.tie else self.layer
        how = f"by {self.timer}" if self.timer else self.reason or "without a timer"
        when = f" after {format_duration(round(self.after_s, 1))}" if self.after_s is not None else ""
        where = f", {self.phase.while_}" if self.phase else ""
        return f"{who} cut {how}{when}{where}" + (" (a tie)" if self.tie else "")


def _what_became(behind: Behind) -> str:
    billed = "was billed" if behind.billed else "was not billed"
    if not behind.settled:
        return "the generation was still running when the run ended"
    if behind.orphaned:
        return f"the generation ran on for {format_duration(round(behind.ran_on_s, 1))} and {billed}"
    if behind.handed_to:
        return f"the image went to {behind.handed_to}, which had nobody to give it to, and {billed}"
    if behind.delivered:
        return f"the generation had been delivered and {billed}"
    return f"the generation had finished and {billed}"
