"""Is this chain right? Audit, forecast and proof of every profile and mode that was asked for.

The forecast is made twice: for generations spread evenly over their law, and for exactly those that the proof drew,
request by request. The first difference may be chance, and is said to be or not; the second may not.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast, get_args

from whocut.chain.audit import Finding, audit
from whocut.chain.forecast import Figures, fates_of, forecast
from whocut.chain.layers import Topology
from whocut.chain.models import is_known
from whocut.chain.modes import parse_mode, seen_in
from whocut.chain.profiles import parse_profile, profile_of
from whocut.chain.remedy import Remedy, Situation, numbers_of, remedy
from whocut.chain.targets import enough_s
from whocut.chain.timers import TimerKind
from whocut.chain.want import Want, parse_want, parse_wants
from whocut.config.patching import Patch, Turn, patch_of, turns_between
from whocut.config.sources import chain_of
from whocut.errors import BadInput, nearest
from whocut.proof.proof import SDK_CLIENTS, CallerKind, Case, Proof, prove
from whocut.proof.report import Checked, Difference, Fixed, How, Report, one_of_each
from whocut.trace.records import Outcome
from whocut.verdict.verdict import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from whocut.chain.layers import Layer
    from whocut.chain.modes import Mode
    from whocut.chain.profiles import Profile
    from whocut.chain.walk import Instants
    from whocut.config.reading import NotRead

# A thousand calls of the SDK take ten seconds; ours take one, and a test holds both to the same figures.
_SDK_REQUESTS = 100
# A job is asked for dozens of times; a hundred of them show as much as a thousand.
_JOB_REQUESTS = 100
_SURE_Z = 3.29  # one in a thousand falls outside by chance
_NEVER_S = 1e9  # longer than every limit
AnyCaller = Literal["auto", "openai-sdk", "light"]
DEFAULT_MODES = ("plain", "stream-2", "async")
MISSED = parse_want("delivered>=0.999")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What was asked for on the command line. No profile means the chain's own upstream.

    `read_again` reads the chain as its sources then are; without it no patch is made of them.
    """

    topology: Topology
    modes: tuple[Mode, ...]
    profiles: tuple[Profile, ...] = ()
    requests: int = 1000
    wants: tuple[Want, ...] = ()
    fix: bool = False
    seed: int = 0
    caller: AnyCaller = "auto"
    not_read: tuple[NotRead, ...] = ()
    read_again: Callable[[], Topology] | None = None

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
    not_read: Sequence[NotRead] = (),
    read_again: Callable[[], Topology] | None = None,
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
        not_read=tuple(not_read),
        read_again=read_again,
    )
    nothing = numbers_of(forecast(topology, plan.profiles_or_own[0], plan.modes[0], requests=1))
    for want in plan.wants:
        want.holds(nothing)  # a figure that is not measured is said before an hour of work, not after
    return plan


def check_chain(
    chain: str | Path | Topology | Sequence[str | Path],
    *,
    host: str | None = None,
    path: str | None = None,
    profiles: Sequence[str] = (),
    modes: Sequence[str] = (),
    wants: Sequence[str] = (),
    requests: int = 1000,
    fix: bool = False,
    seed: int = 0,
) -> Report:
    """Is this chain right? Audit, forecast and proof in virtual time, for programs.

    Args:
        chain: a shipped chain's name, a chain file's path, sources in their order, or a topology.
        host: the host that the request is for, where a user's own file has several.
        path: the path of the request, where it decides.
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
    if isinstance(chain, Topology):
        return check(plan_of(chain, profiles, modes, wants, requests=requests, fix=fix, seed=seed))
    sources = chain_of([chain] if isinstance(chain, str | Path) else chain, host=host, path=path)
    return check(
        plan_of(
            sources.topology,
            profiles,
            modes,
            wants,
            requests=requests,
            fix=fix,
            seed=seed,
            not_read=sources.not_read,
            read_again=sources.read_again,
        )
    )


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
    found = one_of_each(findings)
    return Report(
        topology=plan.topology,
        cases=cases,
        findings=found,
        fixes=fixes,
        asked_for_fix=plan.fix,
        says_how_many=any(want.name == "delivered" for want in plan.wants),
        warnings=(*_unknown_model(plan.topology), *_warnings(cases)),
        not_read=plan.not_read,
        patches=_patches(plan, found),
        patch=_whole_patch(plan, fixes),
    )


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


def proved(plan: Plan, profile: Profile, mode: Mode, show: Callable[[Progress], None]) -> tuple[Proof, Case]:
    """The proof of one profile and mode of the plan's own chain."""
    return _proved(plan, _situation(plan, profile, mode), show)


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


def _patches(plan: Plan, findings: Sequence[Finding]) -> dict[Finding, str]:
    """The change of a user's own file that each finding's line makes, where there is one."""
    if plan.read_again is None:
        return {}
    made: dict[Turn, str] = {}
    found: dict[Finding, str] = {}
    for finding in findings:
        if finding.to_s is None or not finding.file:
            continue
        turn = Turn(finding.layer, finding.directive, finding.to_s)
        if turn not in made:
            made[turn] = patch_of(plan.topology, [turn], plan.read_again).diff
        if made[turn]:
            found[finding] = made[turn]
    return found


def _whole_patch(plan: Plan, fixes: Sequence[Fixed]) -> Patch:
    """All fixes that are made by configuration alone, as one change: their knobs have one new value each."""
    if plan.read_again is None:
        return Patch()
    turns: dict[tuple[str, str], Turn] = {}
    for fixed in fixes:
        if fixed.remedy and all(change.configuration for change in fixed.remedy.changes):
            for turn in turns_between(plan.topology, fixed.remedy.after.topology):
                turns.setdefault((turn.layer, turn.directive), turn)
    return patch_of(plan.topology, list(turns.values()), plan.read_again) if turns else Patch()
