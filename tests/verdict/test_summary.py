"""A run in figures: what the account of its modes is ordered by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.finish import judge_run
from harness.trace.load import Load, Stage
from tests.reports.made_run import MadeRun, delivered

if TYPE_CHECKING:
    from pathlib import Path


def test_modes_come_as_the_run_lists_them_and_others_after_them(tmp_path: Path) -> None:
    """Open arrivals let any kind come first; a mode that nobody asked for in time has no row."""
    made = MadeRun()
    for mode in ("stray", "risky", "final"):
        made.request(mode, delivered())
    stage = Stage(name="mix", mix={"final": 0.5, "draft": 0.3, "risky": 0.2}, requests=3)
    load = Load(
        base_url="",
        stages=(stage,),
        users=1,
        seed=7,
        partial_images=0,
        upstream_control=None,
    )
    run = made.write(tmp_path / "run", load=load.to_plain(), clock={"scale": 100.0})

    by_mode = judge_run(run, made.topology).figures["by_mode"]

    assert list(by_mode) == ["final", "risky", "stray"]


def test_modes_of_a_run_without_a_plan_come_by_their_first_attempt(tmp_path: Path) -> None:
    """What was kept up for any client was told no modes."""
    made = MadeRun()
    for mode in ("b", "a", "b"):
        made.request(mode, delivered())
    run = made.write(tmp_path / "run", clock={"scale": 100.0})

    assert list(judge_run(run, made.topology).figures["by_mode"]) == ["b", "a"]
