"""Is this chain right? Audit, forecast and proof of every profile and mode that was asked for.

The forecast is made twice: for generations spread evenly over their law, and for exactly those that the proof drew,
request by request. The first difference may be chance, and is said to be or not; the second may not.
"""

from __future__ import annotations

import math
import random
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from whocut.chain.audit import BEYOND, Finding, audit
from whocut.chain.chainfile import read_chain
from whocut.chain.forecast import Figures, fates_of, forecast
from whocut.chain.models import is_known
from whocut.chain.modes import parse_mode, seen_in
from whocut.chain.profiles import parse_profile, profile_of
from whocut.chain.remedy import Remedy, Situation, numbers_of, remedy
from whocut.chain.targets import enough_s
from whocut.chain.timers import TimerKind
from whocut.chain.want import Want, parse_want, parse_wants
from whocut.errors import BadInput, nearest
from whocut.proof.proof import SDK_CLIENTS, CallerKind, Case, Proof, prove
from whocut.trace.records import Outcome
from whocut.verdict.verdict import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from whocut.chain.layers import Layer, Topology
    from whocut.chain.modes import Mode
    from whocut.chain.profiles import Profile
    from whocut.chain.walk import Instants

# A thousand calls of the SDK take ten seconds; ours take one, and a test holds both to the same figures.
_SDK_REQUESTS = 100
# A job is asked for dozens of times; a hundred of them show as much as a thousand.
_JOB_REQUESTS = 100
_CARRIED = 0.5  # a chain that delivers less than this cannot carry its generation times
_SURE_Z = 3.29  # one in a thousand falls outside by chance
_NEVER_S = 1e9  # longer than every limit
How = Literal["smallest", "configuration alone"]
AnyCaller = Literal["auto", "openai-sdk", "light"]
DEFAULT_MODES = ("plain", "stream-2", "async")
MISSED = parse_want("delivered>=0.999")


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
class Plan:
    """What was asked for on the command line. No profile means the chain's own upstream."""

    topology: Topology
    modes: tuple[Mode, ...]
    profiles: tuple[Profile, ...] = ()
    requests: int = 1000
    wants: tuple[Want, ...] = ()
    fix: bool = False
    seed: int = 0
    caller: AnyCaller = "auto"

    @property
    def profiles_or_own(self) -> tuple[Profile, ...]:
        """The profiles that were asked for, or what the chain's own upstream takes."""
        return self.profiles or (profile_of(self.topology.upstream),)

    @property
    def need_s(self) -> float:
        """The limit that is enough for every profile: advice about a knob is one value."""
        return max(map(enough_s, self.profiles_or_own))


def _situation(plan: Plan, profile: Profile, mode: Mode) -> Situation:
    return Situation(topology=plan.topology, profile=profile, mode=mode, need_s=plan.need_s)


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

    @property
    def answer(self) -> Answer:
        """Whether this chain is right, in one word."""
        if any(case.missed for case in self.cases):
            return Answer.MISSES
        if not self.says_how_many and any(case.seen.delivered < _CARRIED for case in self.cases):
            return Answer.CANNOT
        if any(finding.code == BEYOND for finding in self.findings):
            return Answer.BEYOND
        if all(case.seen.delivered == 1 for case in self.cases):
            return Answer.CARRIES
        return Answer.LOSES

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
            "findings": [asdict(finding) for finding in self.findings],
            "ok": self.ok,
            "warnings": list(self.warnings),
            **({"fixes": [fixed.as_json() for fixed in self.fixes]} if self.asked_for_fix else {}),
        }


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a check has come."""

    what: str
    done: int
    asked: int


def plan_of(
    topology: Topology,
    profiles: Sequence[str] | None,
    modes: Sequence[str] | None,
    wants: Sequence[str] | None,
    *,
    requests: int,
    fix: bool = False,
    caller: str = "auto",
    seed: int = 0,
) -> Plan:
    """A plan from the words of a command line.

    Raises:
        BadInput: one of them is not known, or the chain's model is unknown and no profile says how long it takes;
            names the nearest that is known.
    """
    callers = get_args(AnyCaller)
    if caller not in callers:
        raise BadInput(
            f"there is no caller '{caller}'{nearest(caller, callers)}; there are {', '.join(callers)}",
            field="caller",
        )
    plan = Plan(
        topology=topology,
        profiles=tuple(parse_profile(name, topology.upstream) for name in dict.fromkeys(profiles or ())),
        modes=tuple(dict.fromkeys(parse_mode(name) for name in modes or DEFAULT_MODES)),
        requests=requests,
        wants=parse_wants(dict.fromkeys(wants or ())),
        fix=fix,
        seed=seed,
        caller=cast("AnyCaller", caller),
    )
    nothing = numbers_of(forecast(topology, plan.profiles_or_own[0], plan.modes[0], requests=1))
    for want in plan.wants:
        want.holds(nothing)  # a figure that is not measured is said before an hour of work, not after
    return plan


def check_chain(
    chain: str | Path | Topology,
    *,
    profiles: Sequence[str] = (),
    modes: Sequence[str] = (),
    wants: Sequence[str] = (),
    requests: int = 1000,
    fix: bool = False,
    seed: int = 0,
) -> Report:
    """Is this chain right? Audit, forecast and proof in virtual time, for programs.

    Args:
        chain: a shipped chain's name, a chain file's path, or a topology.
        profiles: generation times, as `whocut check --profile` takes them; by default what the upstream takes.
        modes: plain, no-retry, stream-0 to stream-3, async; by default those of the command line.
        wants: thresholds like ``delivered>=0.999``; `Report.ok` says whether they hold.
        requests: requests to prove in each case.
        fix: whether to search the smallest change that keeps what is wanted.
        seed: the same seed takes the same generation times.

    Raises:
        BadInput: one of the words is not known; names the nearest that is.
        BadFile: the chain file says something that cannot be used.
    """
    topology = read_chain(chain)
    return check(plan_of(topology, profiles, modes, wants, requests=requests, fix=fix, seed=seed))


def check(plan: Plan, show: Callable[[Progress], None] = lambda _: None) -> Report:
    """Do all of it.

    Raises:
        BadInput: a figure is wanted that a check does not measure, or the upstream's price is not published.
    """
    cases = tuple(
        _checked(plan, _situation(plan, profile, mode), show)
        for profile in plan.profiles_or_own
        for mode in plan.modes
    )
    findings = dict.fromkeys(
        finding for profile in plan.profiles_or_own for finding in audit(plan.topology, profile, plan.need_s)
    )
    fixes = tuple(
        fixed for case in cases if plan.fix and _misses(plan, case) for fixed in _fixes(plan, case, show)
    )
    return Report(
        topology=plan.topology,
        cases=cases,
        findings=_one_of_each(findings),
        fixes=fixes,
        asked_for_fix=plan.fix,
        says_how_many=any(want.name == "delivered" for want in plan.wants),
        warnings=(*_unknown_model(plan.topology), *_warnings(cases)),
    )


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


def _one_of_each(findings: Sequence[Finding] | dict[Finding, None]) -> tuple[Finding, ...]:
    """The first finding of each code and knob: two profiles say the same of one limit."""
    first: dict[tuple[str, str, str], Finding] = {}
    for finding in findings:
        first.setdefault((finding.code, finding.layer, finding.directive), finding)
    return tuple(first.values())


# --- one case -------------------------------------------------------------------------------------


def _checked(plan: Plan, situation: Situation, show: Callable[[Progress], None]) -> Checked:
    foretold = forecast(situation.topology, situation.profile, situation.mode, seed=plan.seed + 1)
    proof, case = _proved(plan, situation, show)
    return Checked(
        profile=situation.profile,
        mode=situation.mode,
        caller=case.caller,
        seen=proof.figures,
        foretold=foretold,
        difference=_difference(case, proof, foretold),
        disagree=proof.disagree,
        unattributed=proof.unattributed,
        missed=tuple(want for want in plan.wants if not want.holds(numbers_of(proof.figures))),
        wall_s=proof.wall_s,
    )


def _proved(plan: Plan, situation: Situation, show: Callable[[Progress], None]) -> tuple[Proof, Case]:
    requests = min(plan.requests, _JOB_REQUESTS) if situation.mode.job else plan.requests
    case = Case(
        topology=situation.topology,
        profile=situation.profile,
        mode=situation.mode,
        requests=requests,
        seed=plan.seed,
        caller=_caller(plan, seen_in(situation.mode, situation.topology).client, requests),
    )
    what = f"proving {situation.profile.name}, {situation.mode.name}"
    return prove(case, lambda done: show(Progress(what, done, requests))), case


def _caller(plan: Plan, client: Layer, requests: int) -> CallerKind:
    if plan.caller != "auto":
        return plan.caller
    # The SDK has one limit for both silences; a chain that tells them apart needs a caller that does.
    one_limit = client.limit_s(TimerKind.FIRST_BYTE) == client.limit_s(TimerKind.IDLE)
    official = client.preset in SDK_CLIENTS and one_limit and TimerKind.TOTAL not in client.timers
    return "openai-sdk" if official and requests <= _SDK_REQUESTS else "light"


def _difference(case: Case, proof: Proof, foretold: Figures) -> Difference:
    seen = proof.figures
    return Difference(
        delivered=round(seen.delivered - foretold.delivered, 9),
        generations_per_request=round(seen.generations_per_request - foretold.generations_per_request, 9),
        orphaned_s_per_request=round(seen.orphaned_s_per_request - foretold.orphaned_s_per_request, 3),
        within_sampling_error=_by_chance(seen, foretold),
        requests=len(surprises(case, proof)),
    )


def _by_chance(seen: Figures, foretold: Figures) -> bool:
    """Whether so many deliveries are what a binomial of the forecast's share gives, 999 times in 1,000."""
    share, count = foretold.delivered, seen.requests
    spread = math.sqrt(count * share * (1 - share))
    return abs(seen.delivered - share) * count <= _SURE_Z * spread + 1


def surprises(case: Case, proof: Proof) -> set[int]:
    """Requests that ended otherwise than the formula says of the very generations they had."""
    missing: set[int] = set()

    def draw(requests: Sequence[int], attempt: int, again: int) -> Iterator[Instants]:
        for number in requests:
            times = proof.drawn.get((number, attempt, again))
            if times is None:
                missing.add(number)
                times = (_NEVER_S,) * (case.mode.partials + 1)
            yield times

    fates = fates_of(case.topology, case.mode, draw, requests=case.requests, dice=random.Random(0))
    found = set(missing)
    for number, (fate, verdict) in enumerate(zip(fates, proof.last, strict=True)):
        cut = fate.cut
        expected = None if cut is None else (case.seen.layers[cut.place].name, cut.kind, cut.phase)
        seen = (
            None
            if verdict.outcome == Outcome.DELIVERED
            else (verdict.layer, verdict.timer, verdict.phase)
            if verdict.kind is Kind.CUT
            else (str(verdict.kind), None, None)
        )
        if expected != seen:
            found.add(number)
    return found


def _unknown_model(topology: Topology) -> Iterator[str]:
    model = topology.upstream.model
    if not is_known(model):
        yield f"the model '{model}' is unknown: its times are the profile's, and its price is not known"


def _warnings(cases: Sequence[Checked]) -> list[str]:
    found = []
    for case in cases:
        name = f"{case.profile.name}, {case.mode.name}"
        if case.disagree:
            found.append(f"{name}: {case.disagree} verdicts and the ledger disagree")
        if case.unattributed:
            found.append(f"{name}: no layer can be named for the end of {case.unattributed} requests")
        if case.difference.requests or not case.difference.within_sampling_error:
            found.append(
                f"{name}: forecast and proof differ by {case.difference.delivered:+.4f} delivered; "
                f"{case.difference.requests} requests ended otherwise than the formula says"
            )
    return found


# --- the fix --------------------------------------------------------------------------------------


def _wanted(plan: Plan) -> tuple[Want, ...]:
    return plan.wants or (MISSED,)


def _misses(plan: Plan, case: Checked) -> bool:
    return not all(want.holds(numbers_of(case.seen)) for want in _wanted(plan))


def _fixes(plan: Plan, case: Checked, show: Callable[[Progress], None]) -> Iterator[Fixed]:
    """The smallest fix; and where that changes a program, the smallest that does not, if there is one."""
    situation = _situation(plan, case.profile, case.mode)
    wants = _wanted(plan)
    smallest = remedy(situation, wants)
    yield _fixed(plan, case, smallest, "smallest", show)
    if smallest is not None and not all(change.configuration for change in smallest.changes):
        alone = remedy(situation, wants, configuration_alone=True)
        if alone is not None:
            yield _fixed(plan, case, alone, "configuration alone", show)


def _fixed(
    plan: Plan, case: Checked, found: Remedy | None, how: How, show: Callable[[Progress], None]
) -> Fixed:
    seen = None
    if found is not None:
        proof, _ = _proved(replace(plan, seed=plan.seed + 1), found.after, show)
        seen = proof.figures
    return Fixed(profile=case.profile, mode=case.mode, wants=_wanted(plan), remedy=found, how=how, seen=seen)
