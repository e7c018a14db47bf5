"""Some kills at random instants find nothing; and what a kill could have broken would be seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kills.__main__ import main
from tests.kills.leavings import findings_in
from tests.kills.watch import main as watch_kills
from tests.reports.made_run import article_run
from whocut.trace.rundir import MANIFEST, SPANS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.long
@pytest.mark.sockets
def test_kills_at_random_instants_leave_what_can_be_read(capfd: pytest.CaptureFixture[str]) -> None:
    """One run on its mock and one with an account, each ended by kill -9; `make kills` does a hundred."""
    code = main(["--kills", "2", "--seed", "11"])

    said = capfd.readouterr().out
    assert code == 0, said
    assert "2 kills" in said


@pytest.mark.long
@pytest.mark.sockets
def test_kills_of_a_watch_under_load_lose_no_trace_and_judge_none_twice(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Three kills while spans come in pieces; `make watch-kills` does forty."""
    code = watch_kills(["--kills", "3", "--seed", "11"])

    said = capfd.readouterr().out
    assert code == 0, said
    assert "3 kills" in said


def test_a_whole_line_that_cannot_be_read_is_found(tmp_path: Path) -> None:
    """And each command that stumbles over it; the line a kill has cut short is none of it."""
    run = article_run(requests=2).write(tmp_path / "run").path
    with (run / SPANS).open("ab") as file:
        file.write(b'{"resourceSpans"')
    cut_short = list(findings_in(run))
    with (run / SPANS).open("ab") as file:
        file.write(b":\n")

    found = list(findings_in(run))

    assert cut_short == []
    assert "cannot be read" in found[0]
    assert f"`whocut report {run}` ended with 2" in found[1]


def test_a_directory_without_a_manifest_is_refused_in_one_sentence(tmp_path: Path) -> None:
    """It was killed before it was a run."""
    run = article_run(requests=2).write(tmp_path / "run").path
    (run / MANIFEST).unlink()

    assert list(findings_in(run)) == []
