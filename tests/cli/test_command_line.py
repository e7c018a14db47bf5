"""The command line before anything runs: stopped early, and where it puts a run that was given no place."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import pytest
from typer.testing import CliRunner

from whocut.__main__ import main
from whocut.cli.app import app
from whocut.cli.printing import directory_of
from whocut.trace.rundir import RunDir


class _Importing(ModuleType):
    """A module in whose import somebody presses Ctrl-C."""

    @property
    def main(self) -> NoReturn:
        raise KeyboardInterrupt


def _stopped(_: str) -> NoReturn:
    raise KeyboardInterrupt


@pytest.mark.parametrize("during", ["imports", "a command"])
def test_ctrl_c_in_the_first_second_is_one_sentence_and_exit_3(
    during: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback, and not typer's silent 130."""
    monkeypatch.setattr(sys, "argv", ["whocut", "run"])
    if during == "imports":
        monkeypatch.setitem(sys.modules, "whocut.cli", _Importing("whocut.cli"))
    else:
        monkeypatch.setattr(
            "whocut.cli.run.find_scenario", _stopped
        )  # where it is called: an import keeps it

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 3
    assert capsys.readouterr().err == "whocut: stopped by a signal before anything had begun to run\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full device: Linux has one")
@pytest.mark.parametrize("form", ["words", "json"])
def test_output_that_cannot_be_written_is_one_sentence_and_exit_3(form: str) -> None:
    """A full disk is no finding and no traceback."""
    command = [sys.executable, "-m", "whocut", "presets", *(["--json"] if form == "json" else [])]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)

    assert done.returncode == 3
    assert done.stderr == (
        "whocut: a file or the output could not be written: No space left on device; make room, and run again. "
        "What was recorded before is kept\n"
    )


def test_run_without_a_place_stands_beside_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first has the plain name; no second one takes it unasked."""
    monkeypatch.chdir(tmp_path)
    first = RunDir.create(directory_of(None, "x", force=False), {"epoch_unix_s": 0.0})

    assert str(first.path) == "runs/x"
    assert str(directory_of(None, "x", force=False)) == "runs/x-2"
    assert str(directory_of(None, "x", force=True)) == "runs/x"
    assert directory_of(tmp_path, "x", force=False) == tmp_path


@pytest.mark.parametrize("arguments", [["triage"], ["triage", "-"]])
def test_triage_reads_standard_input_with_and_without_its_sign(arguments: list[str]) -> None:
    """A dash is no file's name, here as in other programs."""
    done = CliRunner().invoke(app, arguments, input="upstream request timeout (504)\n")

    assert done.exit_code == 0, done.output
    assert "504" in done.output
