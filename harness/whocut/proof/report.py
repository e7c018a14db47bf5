"""What a check comes to: each case as seen and as foretold, the findings, the fixes, and the answer in one word."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from whocut.chain.audit import BEYOND, Finding
from whocut.chain.remedy import Remedy, numbers_of
from whocut.config.patching import Patch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from whocut.chain.forecast import Figures
    from whocut.chain.layers import Topology
    from whocut.chain.modes import Mode
    from whocut.chain.profiles import Profile
    from whocut.chain.want import Want
    from whocut.config.reading import NotRead
    from whocut.proof.proof import CallerKind

_CARRIED = 0.5  # a chain that delivers less than this cannot carry its generation times
How = Literal["smallest", "configuration alone"]


class Answer(StrEnum):
    """What a check comes to. The last three are findings."""

    CARRIES = "carries"  # every image that was asked for
    LOSES = "loses"  # some images
    MISSES = "misses"  # what is wanted
    BEYOND = (
        "beyond"  # a limit is above the highest that its vendor allows, so the figures are those of no chain
    )
    CANNOT = "cannot"  # more than half of the images of a case are lost


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Proof less forecast. `requests` counts those whose fate the formula did not foretell from the same draws."""

    delivered: float
    generations_per_request: float
    orphaned_s_per_request: float
    within_sampling_error: bool
    requests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One case: seen, foretold, and compared."""

    profile: Profile
    mode: Mode
    caller: CallerKind
    seen: Figures
    foretold: Figures
    difference: Difference
    disagree: int
    unattributed: int
    missed: tuple[Want, ...]
    wall_s: float

    def as_json(self) -> dict[str, Any]:
        """The case as issue and documentation promise it."""
        return {
            "profile": self.profile.name,
            "mode": self.mode.name,
            **figures_as_json(self.seen),
            "forecast": figures_as_json(self.foretold),
            "difference": asdict(self.difference),
            "caller": self.caller,
            "missed": [str(want) for want in self.missed],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """The remedy of one case that misses what is wanted, and the proof of it; None where there is no remedy."""

    profile: Profile
    mode: Mode
    wants: tuple[Want, ...]
    remedy: Remedy | None
    how: How = "smallest"
    seen: Figures | None = None

    @property
    def holds(self) -> bool:
        """Whether the proof keeps what the forecast promised."""
        return self.seen is not None and all(want.holds(numbers_of(self.seen)) for want in self.wants)

    def as_json(self) -> dict[str, Any]:
        """The fix, for machines."""
        found = self.remedy
        return {
            "profile": self.profile.name,
            "mode": self.mode.name,
            "how": self.how,
            "wants": [str(want) for want in self.wants],
            "changes": [
                {"layer": change.layer, "line": change.line, "says": change.says} for change in found.changes
            ]
            if found
            else None,
            "after": figures_as_json(self.seen) if self.seen else None,
            "holds": self.holds,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything there is to say of a chain."""

    topology: Topology
    cases: tuple[Checked, ...]
    findings: tuple[Finding, ...]
    fixes: tuple[Fixed, ...] = ()
    asked_for_fix: bool = False
    says_how_many: bool = False  # a threshold says how many images are enough
    warnings: tuple[str, ...] = field(default=())
    not_read: tuple[NotRead, ...] = ()  # what could not be read of the user's own files
    patches: Mapping[Finding, str] = field(default_factory=dict)  # of the user's own files, as diffs
    patch: Patch = field(default_factory=Patch)  # all fixes by configuration together

    @property
    def answer(self) -> Answer:
        """Whether this chain is right, in one word."""
        if any(case.missed for case in self.cases):
            return Answer.MISSES
        if any(map(self.cannot, self.cases)):
            return Answer.CANNOT
        if any(finding.code == BEYOND for finding in self.findings):
            return Answer.BEYOND
        if all(case.seen.delivered == 1 for case in self.cases):
            return Answer.CARRIES
        return Answer.LOSES

    def cannot(self, case: Checked) -> bool:
        """Whether a case loses more than half of its images, where no threshold says how many are enough."""
        return not self.says_how_many and case.seen.delivered < _CARRIED

    @property
    def ok(self) -> bool:
        """Whether the chain does what is wanted, and carries its generation times at all."""
        return self.answer in {Answer.CARRIES, Answer.LOSES}

    def as_json(self) -> dict[str, Any]:
        """The whole, for machines."""
        return {
            "chain": self.topology.name,
            "answer": str(self.answer),
            "cases": [case.as_json() for case in self.cases],
            "findings": [
                {**asdict(finding), "patch": self.patches.get(finding)} for finding in self.findings
            ],
            "ok": self.ok,
            "warnings": list(self.warnings),
            "not_read": [asdict(note) for note in self.not_read],
            **(
                {"fixes": [fixed.as_json() for fixed in self.fixes], "patch": self.patch.diff or None}
                if self.asked_for_fix
                else {}
            ),
        }


def figures_as_json(figures: Figures) -> dict[str, Any]:
    """Figures, for machines."""
    return {
        "requests": figures.requests,
        "delivered": figures.delivered,
        "cuts": [asdict(cut) for cut in figures.cuts],
        "generations_per_request": figures.generations_per_request,
        "orphaned": figures.orphaned,
        "orphaned_s_per_request": figures.orphaned_s_per_request,
        "usd_per_delivered": figures.usd_per_delivered,
        "p50_s": figures.p50_s,
        "p95_s": figures.p95_s,
    }


def one_of_each(findings: Sequence[Finding] | dict[Finding, None]) -> tuple[Finding, ...]:
    """The first finding of each code and knob: two profiles say the same of one limit."""
    first: dict[tuple[str, str, str], Finding] = {}
    for finding in findings:
        first.setdefault((finding.code, finding.layer, finding.directive), finding)
    return tuple(first.values())
