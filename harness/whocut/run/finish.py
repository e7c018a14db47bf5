"""The end of a run: judged, summed up, drawn, and with what speaks against trusting it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from whocut.chain.load import Load
from whocut.chain.timers import TimerKind
from whocut.chain.want import in_words
from whocut.errors import NotInstalled
from whocut.trace.generations import generations_were
from whocut.trace.junit import Case, junit
from whocut.trace.logs.in_run import accounts_of
from whocut.trace.rundir import JUNIT, SUMMARY, RunDir
from whocut.verdict.gateways import fired_early
from whocut.verdict.summary import Judged, judge, measured
from whocut.verdict.sweep import levels_of, recommended, sweep_figures

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from whocut.chain.layers import Topology
    from whocut.run.plan import Plan

# A load or a chain that is late by more than this share of the shortest limit blurs who was first.
_TOLERABLE_STALL = 0.2


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that came to its end, or as far as it did."""

    run: RunDir
    topology: Topology
    judged: Judged
    report: Path | None
    ended_early: str | None = None  # why, in a sentence
    warnings: tuple[str, ...] = field(default=())
    unusable: str | None = None  # why the figures answer nothing, although they may be true

    @property
    def summary(self) -> dict[str, Any]:
        """What is printed and kept in ``summary.json``."""
        return {
            "run_dir": str(self.run.path),
            **self.judged.figures,
            "valid": not self.warnings,
            "warnings": list(self.warnings),
            "ended_early": self.ended_early,
            "unusable": self.unusable,
        }


def judge_run(run_dir: RunDir, topology: Topology) -> Judged:
    """The verdicts on a run directory, made anew from what it holds; of a sweep, its answer too."""
    attempts = run_dir.attempts()
    scale = float(run_dir.manifest.get("clock", {}).get("scale", 1.0))
    accounts = accounts_of(run_dir.path, topology, epoch_unix_s=run_dir.epoch_unix_s, scale=scale)
    ledger = None if run_dir.manifest.get("to") else run_dir.ledger()
    load = run_dir.manifest.get("load")
    stages = Load.from_plain(load).stages if load else ()
    modes = [label for stage in stages for label in stage.labels]
    judged = judge(attempts, run_dir.spans(), ledger, topology, accounts, modes)
    told = run_dir.manifest.get("sweep")
    if told:
        levels = levels_of(stages, attempts, judged.figures["by_mode"])
        judged.figures["sweep"] = sweep_figures(levels, told["tolerate"], judged.figures["verdicts"])
    return judged


def as_junit(summary: dict[str, Any]) -> bytes:
    """The run for a CI server: a case for each threshold, and one for whether the figures can be trusted."""
    cases = [
        Case(
            row["want"],
            failure=None if row["holds"] else f"{row['want']} is wanted, {in_words(row['measured'])}",
        )
        for row in summary["thresholds"]
    ]
    usable = Case("usable", failure=summary["unusable"])
    valid = Case("valid", failure="; ".join(summary["warnings"]) or None, details=(summary["run_dir"],))
    return junit(f"whocut {summary['scenario']} {summary['chain']}", "whocut.run", [*cases, usable, valid])


def unusable(figures: dict[str, Any]) -> str | None:
    """Why a run whose load came to its end answers nothing: not one request was delivered.

    A threshold on `delivered` that holds has asked for that.
    """
    wanted = any(row["want"].startswith("delivered") and row["holds"] for row in figures["thresholds"])
    requests = figures["requests"]
    if wanted or not requests or figures["outcomes"].get("delivered"):
        return None
    return (
        f"none of {requests} request{'' if requests == 1 else 's'} was delivered: there is nothing to compare"
    )


def check_wants(plan: Plan) -> None:
    """Say before an hour of work, not after it, that a wanted figure is not measured.

    Raises:
        BadInput: it is one of a sweep and the run is none, or the other way round.
    """
    nothing = judge((), (), (), plan.topology).figures
    if plan.sweep is not None:
        nothing["sweep"] = sweep_figures((), plan.sweep)
    for want in plan.wants:
        want.holds(wanted_of(nothing))


def wanted_of(figures: dict[str, Any]) -> dict[str, float | None]:
    """What thresholds are set on: the whole run; of a sweep, the level it recommends."""
    return recommended(figures["sweep"]) if "sweep" in figures else measured(figures)


def finish(
    plan: Plan,
    run_dir: RunDir,
    *,
    took_s: float,
    stalled_real_s: float,
    ended_early: str | None = None,
    lost: str | None = None,
) -> Finished:
    """Judge what a run directory holds, and write its summary and its report; the layers stood still so long."""
    judged = judge_run(run_dir, plan.topology)
    judged.figures.update(
        scenario=plan.scenario.stem,
        chain=plan.topology.name,
        clock=str(plan.clock),
        seed=plan.seed,
        wall_s=round(took_s, 2),
        generator=_generator(plan, run_dir),
        hops={
            "worst_stall_s": round(stalled_real_s * plan.clock.scale, 3),
            "worst_stall_real_s": round(stalled_real_s, 4),
        },
        thresholds=[
            {"want": str(want), "holds": want.holds(figures), "measured": figures[want.name]}
            for figures in (wanted_of(judged.figures),)
            for want in plan.wants
        ],
    )
    warnings = tuple(sentence for sentence in (ended_early, lost, *_doubts(plan, judged)) if sentence)
    nothing = unusable(judged.figures) if plan.stages else None
    finished = Finished(run_dir, plan.topology, judged, None, ended_early, warnings, nothing)
    run_dir.write_summary(finished.summary)
    (run_dir.path / JUNIT).write_bytes(as_junit(finished.summary))
    return replace(finished, report=_report(run_dir, judged, plan.topology))


def _report(run_dir: RunDir, judged: Judged, topology: Topology) -> Path | None:
    """The page of the run; None where the extra that draws it is not installed."""
    try:
        from whocut_reports import write_report  # noqa: PLC0415  # matplotlib takes a second to import
    except ModuleNotFoundError as error:
        if NotInstalled.of_extra(error) is None:
            raise
        return None
    return write_report(run_dir, judged, topology)


def _generator(plan: Plan, run_dir: RunDir) -> dict[str, Any]:
    """How well the load kept up; None where it could not say. Model seconds, and real ones beside them."""
    said = run_dir.generator() or {}
    real_s = said.get("worst_stall_real_s")
    return {
        "worst_stall_s": None if real_s is None else round(real_s * plan.clock.scale, 3),
        "worst_stall_real_s": real_s,
        "cpu_s": said.get("cpu_s"),
        "peak_bytes": said.get("peak_bytes"),
        "silent": said.get("silent", 0),
        "raised": said.get("raised", 0),
        "raised_first": said.get("raised_first"),
        "workers": said.get("workers", []),
    }


def _doubts(plan: Plan, judged: Judged) -> Iterator[str]:
    """What speaks against trusting the figures, in sentences."""
    shortest_s = min(
        timer.limit_s
        for layer in (plan.topology.client, *plan.topology.layers)
        for timer in layer.timers.values()
        if timer.kind not in {TimerKind.CONNECT, TimerKind.KEEPALIVE}
    )
    tolerable_s = _TOLERABLE_STALL * shortest_s
    stall_s = judged.figures["generator"]["worst_stall_s"] or 0.0
    if stall_s > tolerable_s:
        yield (
            f"the load generator's loop stalled for {stall_s:.1f} model seconds, and the shortest limit is "
            f"{shortest_s:g} s: use fewer users, more --processes or a smaller scale"
        )
    stall_s = judged.figures["hops"]["worst_stall_s"]
    if stall_s > tolerable_s:
        yield (
            f"the layers' loop stalled for {stall_s:.1f} model seconds, and the shortest limit is {shortest_s:g} "
            "s: that blurs who was first; use a smaller scale or an idler machine"
        )
    late_s = judged.figures["dispatch"]["max_s"] or 0.0
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
    unsettled = judged.figures["ledger"]["unsettled"]
    if unsettled:
        yield (
            f"{generations_were(unsettled)} still running when the run ended; what "
            f"{'it costs' if unsettled == 1 else 'they cost'} is not in these figures"
        )
    silent = judged.figures["generator"]["silent"]
    if silent:
        yield f"for {silent} of {plan.asked} orders the scenario sent no request at all; see its ask()"
    raised = judged.figures["generator"]["raised"]
    if raised:
        yield (
            f"for {raised} of {plan.asked} orders ask() raised an error after its image had come; the first: "
            f"{judged.figures['generator']['raised_first']}"
        )
    disagree = len(judged.figures["agreement"]["disagree"])
    if disagree:
        yield f"{disagree} verdicts and the ledger disagree; see agreement in {SUMMARY}"
