"""The end of a run: judged, summed up, drawn, and with what speaks against trusting it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from whocut.chain.timers import TimerKind
from whocut.chain.want import in_words
from whocut.errors import NotInstalled
from whocut.trace.generations import generations_were
from whocut.trace.junit import Case, junit
from whocut.trace.rundir import JUNIT, SUMMARY, RunDir
from whocut.verdict.figures import Generator, Hops, Summary, Threshold
from whocut.verdict.gateways import fired_early
from whocut.verdict.of_run import judge_run
from whocut.verdict.summary import judge
from whocut.verdict.sweep.say import sweep_figures

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from whocut.chain.layers import Topology
    from whocut.run.plan import Plan
    from whocut.verdict.figures import RunFigures
    from whocut.verdict.summary import Judged

# A load or a chain that is late by more than this share of the shortest limit blurs who was first.
_TOLERABLE_STALL = 0.2


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that came to its end, or as far as it did: what is kept in ``summary.json``, and its page."""

    run: RunDir
    summary: Summary
    report: Path | None


def as_junit(summary: Summary) -> bytes:
    """The run for a CI server: a case for each threshold, and whether its figures answer anything and are valid."""
    cases = [
        Case(
            row.want,
            failure=None if row.holds else f"{row.want} is wanted, {in_words(row.measured)}",
        )
        for row in summary.thresholds
    ]
    usable = Case("usable", failure=summary.unusable)
    valid = Case("valid", failure="; ".join(summary.warnings) or None, details=(summary.run_dir,))
    return junit(f"whocut {summary.scenario} {summary.chain}", "whocut.run", [*cases, usable, valid])


def unusable(figures: RunFigures, thresholds: Iterable[Threshold]) -> str | None:
    """Why a run whose load came to its end answers nothing: not one request was delivered.

    A threshold on `delivered` that holds has asked for that.
    """
    wanted = any(row.want.startswith("delivered") and row.holds for row in thresholds)
    requests = figures.requests
    if wanted or not requests or figures.delivered:
        return None
    return (
        f"none of {requests} request{'' if requests == 1 else 's'} was delivered: there is nothing to compare"
    )


def check_wants(plan: Plan) -> None:
    """Say before an hour of work, not after it, that a wanted figure is not measured.

    Raises:
        BadInput: the figure is a sweep's and the run is no sweep, or the other way round.
    """
    nothing = judge((), (), (), plan.topology).figures
    if plan.sweep is not None:
        nothing = replace(nothing, sweep=sweep_figures((), plan.sweep))
    for want in plan.wants:
        want.holds(nothing.wanted())


def finish(
    plan: Plan,
    run_dir: RunDir,
    *,
    took_s: float,
    stalled_real_s: float,
    ended_early: str | None = None,
    lost: str | None = None,
) -> Finished:
    """Judge what a run directory holds, and write its summary and its report; the layers were blocked so long."""
    judged = judge_run(run_dir, plan.topology)
    generator = _generator(plan, run_dir)
    elsewhere = (worker.get("layers_stall_real_s", 0.0) for worker in generator.workers)
    stalled_real_s = max([stalled_real_s, *elsewhere])
    hops = Hops(
        worst_stall_s=round(stalled_real_s * plan.clock.scale, 3),
        worst_stall_real_s=round(stalled_real_s, 4),
    )
    measured = judged.figures.wanted()
    thresholds = tuple(
        Threshold(want=str(want), holds=want.holds(measured), measured=measured[want.name])
        for want in plan.wants
    )
    doubts = _doubts(plan, judged, generator, hops)
    warnings = tuple(sentence for sentence in (ended_early, lost, *doubts) if sentence)
    summary = Summary.of(
        judged.figures,
        run_dir=str(run_dir.path),
        scenario=plan.scenario.stem,
        chain=plan.topology.name,
        clock=str(plan.clock),
        seed=plan.seed,
        wall_s=round(took_s, 2),
        generator=generator,
        hops=hops,
        thresholds=thresholds,
        valid=not warnings,
        warnings=warnings,
        ended_early=ended_early,
        unusable=unusable(judged.figures, thresholds) if plan.stages else None,
    )
    run_dir.write_summary(summary)
    (run_dir.path / JUNIT).write_bytes(as_junit(summary))
    return Finished(run_dir, summary, _report(run_dir, judged, plan.topology))


def _report(run_dir: RunDir, judged: Judged, topology: Topology) -> Path | None:
    """The page of the run; None where the extra that draws it is not installed."""
    try:
        from whocut_reports import write_report  # noqa: PLC0415  # matplotlib takes a second to import
    except ModuleNotFoundError as error:
        if NotInstalled.of_extra(error) is None:
            raise
        return None
    return write_report(run_dir, judged, topology)


def _generator(plan: Plan, run_dir: RunDir) -> Generator:
    """How well the load kept up; None where it could not say."""
    said = run_dir.generator() or {}
    real_s = said.get("worst_stall_real_s")
    return Generator(
        worst_stall_s=None if real_s is None else round(real_s * plan.clock.scale, 3),
        worst_stall_real_s=real_s,
        cpu_s=said.get("cpu_s"),
        peak_bytes=said.get("peak_bytes"),
        silent=said.get("silent", 0),
        raised=said.get("raised", 0),
        raised_first=said.get("raised_first"),
        workers=tuple(said.get("workers", ())),
    )


def _doubts(plan: Plan, judged: Judged, generator: Generator, hops: Hops) -> Iterator[str]:
    """What speaks against trusting the figures, in sentences."""
    shortest_s = min(
        timer.limit_s
        for layer in (plan.topology.client, *plan.topology.layers)
        for timer in layer.timers.values()
        if timer.kind not in {TimerKind.CONNECT, TimerKind.KEEPALIVE}
    )
    tolerable_s = _TOLERABLE_STALL * shortest_s
    stall_s = generator.worst_stall_s or 0.0
    if stall_s > tolerable_s:
        yield (
            f"the load generator's loop stalled for {stall_s:.1f} model seconds, and the shortest limit is "
            f"{shortest_s:g} s: use fewer users, more --processes or a smaller scale"
        )
    stall_s = hops.worst_stall_s
    if stall_s > tolerable_s:
        yield (
            f"the layers' loop stalled for {stall_s:.1f} model seconds, and the shortest limit is {shortest_s:g} "
            "s: that blurs who was first; use a smaller scale or an idler machine"
        )
    for worker in generator.workers:
        within_s = worker.get("clock_within_real_s", 0.0) * plan.clock.scale
        if within_s > tolerable_s:
            yield (
                f"the clock of worker {worker['worker']} is known within {within_s:.1f} model seconds only, and "
                f"the shortest limit is {shortest_s:g} s: use a nearer machine or a smaller scale"
            )
    late_s = judged.figures.dispatch.max_s or 0.0
    if late_s > tolerable_s:
        yield (
            f"requests went out up to {late_s:.1f} s after they were due, all {plan.users} users being busy: the "
            "load was not the one that was asked for; use more --users"
        )
    for layer, early_s in fired_early(judged.attribution.spans).items():
        yield (
            f"{layer} cut streams up to {early_s:.0f} s before its limit: a byte that comes soon after another "
            f"does not set its timer anew, and at {plan.clock} that counts; use a smaller scale"
        )
    yield from judged.attribution.not_used
    unsettled = judged.figures.ledger.unsettled
    if unsettled:
        yield (
            f"{generations_were(unsettled)} still running when the run ended; what "
            f"{'it costs' if unsettled == 1 else 'they cost'} is not in these figures"
        )
    silent = generator.silent
    if silent:
        yield f"for {silent} of {plan.asked} orders the scenario sent no request at all; see its ask()"
    raised = generator.raised
    if raised:
        yield (
            f"for {raised} of {plan.asked} orders ask() raised an error after its image had come; the first: "
            f"{generator.raised_first}"
        )
    disagree = len(judged.figures.agreement.disagree)
    if disagree:
        yield f"{disagree} verdicts and the ledger disagree; see agreement in {SUMMARY}"
