"""A verdict: which layer cut an attempt, by which timer, in which phase, when, and how sure we are.

Its phrase, like every other wording of a cut, is made in `whocut.verdict.phrases`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from whocut.verdict import phrases

if TYPE_CHECKING:
    from whocut.chain.timers import JobTimer, Phase, TimerKind
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
    NONE = "none"  # no layer cut: it was delivered, or the API itself said no
    UNATTRIBUTED = "unattributed"  # a layer ended it, and the evidence does not say which


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
    handed_to: str | None = None  # a layer that took the image although no caller waited there any more
    stopped: bool = False  # by a cancel, before the image was made


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
    timer: TimerKind | JobTimer | None = None
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
        if self.kind is Kind.NONE:
            return phrases.nobody_phrase(self.saw, self.reason)
        if self.kind is Kind.CUT:
            parts = [phrases.cut_phrase(self, self.after_s), str(self.grade)]
        else:
            parts = [phrases.unattributed_phrase(self.reason or self.saw, self.missing)]
        if self.behind:
            parts.append(phrases.became(self.behind))
        return " · ".join(parts)

    def as_json(self) -> dict[str, Any]:
        """For machines: its fields and its phrase; what writes the JSON knows dataclasses."""
        return {one.name: getattr(self, one.name) for one in fields(self)} | {"phrase": self.phrase}
