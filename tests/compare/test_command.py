"""`whocut compare` on what lies on the disk: runs, the JSON of checks, pages; its exit codes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from typer.testing import CliRunner

from tests.reports.made_run import MadeRun, delivered, nginx_cut
from tests.verdict.made import summary
from whocut.cli.app import app
from whocut.compare.account import Kind, Share
from whocut.compare.reading import read_account
from whocut.errors import BadFile, BadInput
from whocut.verdict.figures import as_fields
from whocut.verdict.sweep.levels import Level
from whocut.verdict.sweep.say import sweep_figures

if TYPE_CHECKING:
    from typer.testing import Result


def made(path: Path, came: int, cut: int, **manifest: Any) -> Path:
    """A run directory in which so many requests were delivered, and so many cut."""
    run = MadeRun()
    for _ in range(came):
        run.request("plain", delivered())
    for _ in range(cut):
        run.request("plain", nginx_cut(195.0))
    run.write(path, **manifest)
    return path


def compared(*arguments: str | Path) -> Result:
    """What the command prints."""
    return CliRunner().invoke(app, ["compare", *map(str, arguments)])


def test_runs_that_differ_say_worse_and_exit_1(tmp_path: Path) -> None:
    """The change, its interval, who cuts now, what was asked differently; the exit code where it was asked for."""
    before = made(tmp_path / "a", 40, 0)
    after = made(tmp_path / "b", 5, 35, seed=8)

    told = compared(before, after)
    failed = compared(before, after, "--fail-on-worse")

    assert told.exit_code == 0
    assert "Worse: plain: delivered 100% → 12.5% (-87.5 points, " in told.output
    assert "seed: 7 → 8" in told.output
    assert "plain: nginx cut by first_byte: 0 of 40 → 35 of 40" in told.output
    assert failed.exit_code == 1


def test_same_run_twice_cannot_be_told(tmp_path: Path) -> None:
    """And it says what so many requests could have shown."""
    run = made(tmp_path / "a", 20, 20)

    told = compared(run, run, "--fail-on-worse")

    assert told.exit_code == 0
    assert "Cannot tell" in told.output
    assert "with 40 and 40 requests, a change of 10 points in “delivered” is found in" in told.output


def test_json_and_markdown_say_the_same(tmp_path: Path) -> None:
    """One comparison an object; the sentence of the terminal is in each."""
    before, after = made(tmp_path / "a", 40, 0), made(tmp_path / "b", 5, 35)

    (found,) = orjson.loads(compared(before, after, "--json").output)["comparisons"]
    markdown = compared(before, after, "--format", "markdown").output

    assert found["answer"] == "worse"
    assert found["rows"][0]["n_before"] == 40
    assert markdown.startswith("**Worse: plain: delivered")
    assert "| plain | delivered | 100% | 12.5% |" in markdown


def test_several_are_held_against_the_first(tmp_path: Path) -> None:
    """An answer each."""
    runs = [made(tmp_path / name, came, 40 - came) for name, came in (("a", 20), ("b", 40), ("c", 0))]

    found = orjson.loads(compared(*runs, "--json").output)["comparisons"]

    assert [one["answer"] for one in found] == ["better", "worse"]


def test_page_is_one_file_without_a_path_of_this_machine(tmp_path: Path) -> None:
    """It asks nothing of any other place, and names the runs by their last two parts."""
    page = tmp_path / "compare.html"

    done = compared(
        made(tmp_path / "a", 40, 0), made(tmp_path / "b", 0, 40), "--format", "html", "--out", page
    )

    text = page.read_text(encoding="utf-8")
    assert done.exit_code == 0
    assert "Worse: plain: delivered" in text
    assert "http" not in text
    assert str(tmp_path) not in text


def test_checks_are_compared_by_their_json(tmp_path: Path) -> None:
    """A limit raised from 60 s carries what it cut before."""
    files = []
    for chain in ("edge-60", "direct"):
        done = CliRunner().invoke(app, ["check", chain, "--n", "60", "--mode", "no-retry", "--json"])
        file = tmp_path / f"{chain}.json"
        file.write_bytes(done.stdout_bytes)
        files.append(file)

    (found,) = orjson.loads(compared(*files, "--json").output)["comparisons"]

    assert found["kind"] == "check"
    assert found["answer"] == "better"
    assert found["settings"][0] == {"name": "chain", "before": "edge-60", "after": "direct"}


@pytest.mark.parametrize("text", ["{", "[]", '{"cases": [{}], "answer": "carries"}', '{"x": 1}'])
def test_file_that_is_something_else_is_refused_by_name(tmp_path: Path, text: str) -> None:
    """Never a traceback."""
    file = tmp_path / "other.json"
    file.write_text(text)

    with pytest.raises(BadFile, match=r"other\.json"):
        read_account(file)


def test_path_that_is_not_there_is_said() -> None:
    """With what could be named instead."""
    with pytest.raises(BadInput, match="there is no run directory and no file"):
        read_account(Path("nowhere"))


def test_json_of_a_run_and_of_a_sweep_are_read_as_they_were_printed(tmp_path: Path) -> None:
    """A run by its counts; a sweep, whose own fields are in front, level by level."""
    run = MadeRun()
    for _ in range(20):
        run.request("plain", delivered())
    figures = run.judged().figures
    levels = [Level(1, 0.0, requests=60, seen=60), Level(6, 0.0, requests=60, seen=60, refused=20)]
    swept = sweep_figures(levels, 0.01, ())
    (tmp_path / "run.json").write_bytes(orjson.dumps(as_fields(summary(figures))))
    (tmp_path / "sweep.json").write_bytes(orjson.dumps({**as_fields(swept), **as_fields(summary(figures))}))

    by_run, by_sweep = read_account(tmp_path / "run.json"), read_account(tmp_path / "sweep.json")

    assert by_run.kind is Kind.RUN
    assert by_run.groups["plain"].samples["delivered"] == Share(20, 20)
    assert by_sweep.kind is Kind.SWEEP
    assert by_sweep.groups["6 at once"].samples["share_429"] == Share(20, 60)
