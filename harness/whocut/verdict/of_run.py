"""A run directory, judged: the verdicts and figures made anew from its records."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from whocut.chain.load import Load
from whocut.errors import BadInput
from whocut.trace.logs.in_run import accounts_of
from whocut.verdict.summary import Judged, judge
from whocut.verdict.sweep.levels import levels_of
from whocut.verdict.sweep.say import sweep_figures

if TYPE_CHECKING:
    from whocut.chain.layers import Topology
    from whocut.trace.rundir import RunDir
    from whocut.verdict.figures import RunFigures


def judge_run(run_dir: RunDir, topology: Topology) -> Judged:
    """The verdicts on a run directory; of a sweep, its answer too.

    Raises:
        BadFile: a whole line of its files cannot be read.
        BadInput: its manifest has a load or a sweep that cannot be read.
    """
    attempts = run_dir.attempts()
    accounts = accounts_of(run_dir.path, topology, epoch_unix_s=run_dir.epoch_unix_s, scale=run_dir.scale)
    ledger = None if run_dir.manifest.get("to") else run_dir.ledger()
    load = run_dir.manifest.get("load")
    stages = Load.from_plain(load).stages if load else ()
    modes = [label for stage in stages for label in stage.labels]
    judged = judge(attempts, run_dir.spans(), ledger, topology, accounts, modes)
    if ledger is None and load and load.get("spending") is None:
        judged = replace(judged, figures=_unbilled(judged.figures))
    told = run_dir.manifest.get("sweep")
    if not told:
        return judged
    levels = levels_of(stages, attempts, judged.figures.by_mode)
    tolerate = told.get("tolerate") if isinstance(told, dict) else None
    if not isinstance(tolerate, int | float):
        raise BadInput("the sweep in the run's manifest cannot be read: it has no 'tolerate'. Run it again.")
    answer = sweep_figures(levels, tolerate, judged.figures.verdicts)
    return replace(judged, figures=replace(judged.figures, sweep=answer))


def _unbilled(figures: RunFigures) -> RunFigures:
    """The same where no account was kept, since the endpoint bills nothing."""
    return replace(
        figures,
        ledger=replace(figures.ledger, by="none"),
        by_mode={
            mode: replace(one, ledger=replace(one.ledger, by="none")) for mode, one in figures.by_mode.items()
        },
    )
