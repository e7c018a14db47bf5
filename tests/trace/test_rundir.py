"""The run directory: whole lines only, nothing foreign touched, readable up to the instant of a kill."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from whocut.errors import BadFile, BadInput, CouldNotRun
from whocut.trace.records import Attempt, Outcome
from whocut.trace.rundir import ATTEMPTS, FIGURES, LEDGER, MANIFEST, SPANS, LineFile, RunDir, free_directory

if TYPE_CHECKING:
    from pathlib import Path

MANIFEST_FACTS = {"epoch_unix_s": 1_790_000_000.0}


def attempt(number: int, **facts: object) -> Attempt:
    """An attempt of request r-1."""
    return Attempt(
        request="r-1",
        number=number,
        mode="plain",
        trace_id="1" * 32,
        span_id="1" * 16,
        user=1,
        started_s=1.0,
        **facts,  # type: ignore[arg-type]  # the tests name Attempt's own fields
    )


def test_last_line_of_an_attempt_wins(tmp_path: Path) -> None:
    """An attempt is written when it starts and when it has ended."""
    run = RunDir.create(tmp_path / "run", MANIFEST_FACTS)
    with LineFile(run.path / ATTEMPTS) as file:
        file.write_json(attempt(1))
        file.write_json(attempt(1, outcome=Outcome.DELIVERED, ended_s=2.0))

    (read,) = RunDir.open(run.path).attempts()

    assert read.outcome is Outcome.DELIVERED


def test_attempt_that_never_ended_is_censored(tmp_path: Path) -> None:
    """A run killed in the middle leaves attempts whose end nobody saw; they are counted as that."""
    run = RunDir.create(tmp_path / "run", MANIFEST_FACTS)
    with LineFile(run.path / ATTEMPTS) as file:
        file.write_json(attempt(1))
        file.write(b'{"request": "r-2", "num')

    (read,) = run.attempts()

    assert (read.outcome, read.ended_s) == (Outcome.CENSORED, None)


def test_last_line_of_a_generation_wins(tmp_path: Path) -> None:
    """The ledger's later word replaces the earlier one."""
    run = RunDir.create(tmp_path / "run", MANIFEST_FACTS)
    (run.path / LEDGER).write_bytes(
        b'{"generation":"g1","state":"running"}\n{"generation":"g1","state":"settled"}\n'
    )

    assert [row["state"] for row in run.ledger()] == ["settled"]


def test_second_run_does_not_overwrite_the_first(tmp_path: Path) -> None:
    """What was recorded is lost only where that was asked for."""
    RunDir.create(tmp_path / "run", MANIFEST_FACTS)

    with pytest.raises(BadInput, match="holds a run already"):
        RunDir.create(tmp_path / "run", MANIFEST_FACTS)

    assert RunDir.create(tmp_path / "run", MANIFEST_FACTS, replace=True).attempts() == []


def test_directory_with_other_files_is_never_taken(tmp_path: Path) -> None:
    """--force replaces a run, not somebody's home."""
    (tmp_path / "thesis.tex").write_text("years of work")

    with pytest.raises(BadInput, match=r"thesis\.tex"):
        RunDir.create(tmp_path, MANIFEST_FACTS, replace=True)

    assert (tmp_path / "thesis.tex").exists()


def test_force_leaves_nothing_of_the_run_before(tmp_path: Path) -> None:
    """Old pictures and logs beside a new manifest would be taken for its own; nothing is followed out of it."""
    run = RunDir.create(tmp_path / "run", MANIFEST_FACTS)
    (tmp_path / "kept").mkdir()
    (run.path / FIGURES).mkdir()
    (run.path / FIGURES / "old.svg").touch()
    (run.path / "logs").symlink_to(tmp_path / "kept")
    del run

    run = RunDir.create(tmp_path / "run", MANIFEST_FACTS, replace=True)

    assert [path.name for path in run.path.iterdir()] == [MANIFEST]
    assert (tmp_path / "kept").exists()


def test_force_takes_no_directory_that_never_was_a_run(tmp_path: Path) -> None:
    """Many a folder has figures."""
    (tmp_path / FIGURES).mkdir()

    with pytest.raises(BadInput, match="holds files and no run"):
        RunDir.create(tmp_path, MANIFEST_FACTS, replace=True)


def test_directory_into_which_a_run_is_being_written_is_held(tmp_path: Path) -> None:
    """Not even --force mixes two runs; when the first is over, it may."""
    first = RunDir.create(tmp_path / "run", MANIFEST_FACTS)

    with pytest.raises(CouldNotRun, match="another run is being written into"):
        RunDir.create(first.path, MANIFEST_FACTS, replace=True)

    del first
    RunDir.create(tmp_path / "run", MANIFEST_FACTS, replace=True)


def test_file_in_place_of_the_directory_is_named(tmp_path: Path) -> None:
    """A file cannot be a run directory."""
    (tmp_path / "run").write_text("")

    with pytest.raises(BadInput, match="is a file"):
        RunDir.create(tmp_path / "run", MANIFEST_FACTS)


@pytest.mark.parametrize(("name", "line"), [(SPANS, b"{}\n"), (ATTEMPTS, b"[]\n"), (LEDGER, b"nonsense\n")])
def test_broken_line_is_named_with_its_number(tmp_path: Path, name: str, line: bytes) -> None:
    """A mistake in a file is named with its place."""
    run = RunDir.create(tmp_path / "run", MANIFEST_FACTS)
    (run.path / name).write_bytes(line)

    with pytest.raises(BadFile, match=rf"{name}:1: "):
        (run.spans(), run.attempts(), run.ledger())


def test_directory_without_manifest_is_no_run(tmp_path: Path) -> None:
    """The way out is named."""
    with pytest.raises(BadInput, match=r"has no manifest\.json"):
        RunDir.open(tmp_path)


def test_directory_in_which_nothing_lies_is_free(tmp_path: Path) -> None:
    """An empty one is as good as none."""
    (tmp_path / "run").mkdir()

    assert free_directory(tmp_path / "run") == tmp_path / "run"


def test_directory_beside_runs_gets_the_first_number_that_is_free(tmp_path: Path) -> None:
    """No run is ever taken for another one's place."""
    for name in ("run", "run-2"):
        RunDir.create(tmp_path / name, {"epoch_unix_s": 0.0})

    assert free_directory(tmp_path / "run") == tmp_path / "run-3"
