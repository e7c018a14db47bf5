"""Every block of the README runs as printed, in an empty directory, and prints what the README says."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.docs.blocks import ROOT, Command, File, as_run_here, blocks_of, missing, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

README = ROOT / "README.md"
BLOCKS = tuple(blocks_of(README))
# Why a command is not run: it is this suite itself, or it needs a registry.
NOT_RUN = {
    "make test": "this test is part of it",
    "uv tool install": "network",
    "pipx install": "network",
    "pip install": "network",
    "locust ": "tests/load runs it in a browser",
    "whocut sweep": "tests/load/test_sweep.py runs it; which levels break differs from run to run",
}
PAID = "https://api.openai.com/v1"
pytestmark = [pytest.mark.sockets, pytest.mark.xdist_group("readme")]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reader's directory, empty at first: each block finds what those before it left."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "home").mkdir()
    return folder


@pytest.fixture(scope="module")
def paid() -> Iterator[str]:
    """A mock in the place of the paid endpoint."""
    command = [
        sys.executable,
        "-m",
        "whocut_mock",
        "--port",
        "0",
        "--clock",
        "scaled:100",
        "--exit-with-parent",
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as mock:
        assert mock.stdout is not None
        yield f"http://127.0.0.1:{json.loads(mock.stdout.readline())['port']}/v1"
        mock.terminate()


def printed_in(reader: Path, command: str, paid: str) -> str:
    """What a command prints; a run that calls itself invalid is run again, twice at most."""
    for _ in range(3):
        printed = run(as_run_here(command, {PAID: paid}), reader, {"OPENAI_API_KEY": "sk-readme-000000"})
        if "This run is not valid." not in printed:
            break
    return printed.replace(paid, PAID)


def test_blocks_run_as_printed_from_top_to_bottom(reader: Path, paid: str) -> None:
    """A command prints the lines below it, in their order; later blocks find what earlier ones left."""
    for block in BLOCKS:
        if isinstance(block, File):
            (reader / block.name).write_text(block.text, encoding="utf-8")
            continue
        if any(block.command.startswith(begin) for begin in NOT_RUN):
            continue

        printed = printed_in(reader, block.command, paid)

        assert "Traceback" not in printed, printed
        line = missing(block.says, printed)
        assert line is None, f"README.md:{block.line_number}: not printed: {line!r}\n{printed}"


def test_every_command_that_is_not_run_has_a_reason() -> None:
    """The list of exceptions holds nothing that the README no longer says."""
    commands = [block.command for block in BLOCKS if isinstance(block, Command)]

    assert commands
    assert len([command for command in commands if not any(map(command.startswith, NOT_RUN))]) >= 6
