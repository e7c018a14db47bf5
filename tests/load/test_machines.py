"""A run on three machines: a master, two workers, one run directory, and nothing but their token between them."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.commands import has_finding, whocut
from tests.machines import Machine, machines
from whocut.trace.rundir import RunDir

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.sockets, pytest.mark.xdist_group("machines")]

TOKEN = "a-token-of-this-test-and-of-no-other"
WHOCUT = (sys.executable, "-m", "whocut")
# Some of these images are made in time, and some are not.
CHAIN = """\
client: openai-python
layers: [{preset: nginx, timers: {idle: 140s}}]
upstream: gpt-image-2
"""
ASKED = (
    "image_generation",
    *(
        "--chain",
        "chain.yaml",
        "--clock",
        "scaled:50",
        "--users",
        "8",
        "--requests",
        "40",
        "--mode",
        "no-retry",
    ),
)


@pytest.fixture
def three(tmp_path: Path) -> Iterator[list[Machine]]:
    """A master's machine and two others; the chain lies in the test's folder."""
    (tmp_path / "chain.yaml").write_text(CHAIN)
    with machines(3) as found:
        yield found


def start_run(machine: Machine, folder: Path, *options: str) -> subprocess.Popen[str]:
    """A run that waits for two workers."""
    words = (*WHOCUT, "run", *ASKED, "--listen", machine.address, "--workers", "2", "--out", "run", "--json")
    return machine.start(*words, *options, cwd=folder, env={"WHOCUT_TOKEN": TOKEN})


def start_worker(
    machine: Machine, master: Machine, folder: Path, *options: str, token: str = TOKEN
) -> subprocess.Popen[str]:
    """A worker; its token goes by its environment."""
    words = (*WHOCUT, "worker", "--master", master.address, *options)
    return machine.start(*words, cwd=folder, env={"WHOCUT_TOKEN": token})


def read(running: subprocess.Popen[str]) -> tuple[dict[str, Any], str]:
    """What a run says at its end."""
    out, error = running.communicate(timeout=170)
    assert "Traceback" not in error, error
    return json.loads(out), error


def test_two_workers_elsewhere_make_one_run_with_the_figures_of_one_machine(
    three: list[Machine], tmp_path: Path
) -> None:
    """Their records come to the master, every request once; a comparison with one machine finds no difference."""
    master, *others = three
    whocut("run", *ASKED, "--out", "alone", cwd=tmp_path, check=None)

    running = start_run(master, tmp_path)
    workers = [start_worker(machine, master, tmp_path) for machine in others]
    summary, error = read(running)

    said = [worker.communicate(timeout=60) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], said
    assert running.returncode == has_finding(summary), error
    run = RunDir.open(tmp_path / "run")
    attempts = run.attempts()
    assert summary["requests"] == len({attempt.request for attempt in attempts}) == 40
    assert [worker["answered"] for worker in summary["generator"]["workers"]] == [20, 20]
    assert not any(worker["lost"] for worker in summary["generator"]["workers"])
    assert summary["agreement"] == {"checked": 40, "disagree": []}
    compared = json.loads(whocut("compare", "alone", "run", "--json", cwd=tmp_path, check=None).stdout)
    rows = {row["measure"]: row for row in compared["comparisons"][0]["rows"]}
    assert 0 < rows["delivered"]["before"] < 1
    for row in rows.values():
        low, high = row["interval"] or (0.0, 0.0)
        assert low <= 0 <= high, row


def test_worker_without_the_run_s_token_is_refused_in_one_sentence(
    three: list[Machine], tmp_path: Path
) -> None:
    """With another one, and with none; the run waits on for those that have it, and says the token nowhere."""
    master, one, other = three
    running = start_run(master, tmp_path, "--requests", "8")

    wrong = start_worker(one, master, tmp_path, token="another-token-another-token")
    _, said = wrong.communicate(timeout=120)
    none = whocut("worker", "--master", master.address, cwd=tmp_path, check=2)
    workers = [start_worker(machine, master, tmp_path) for machine in (one, other)]
    summary, error = read(running)

    assert wrong.returncode == 3
    (sentence,) = said.splitlines()
    assert "does not take this worker: the token is not that of its run" in sentence
    assert "a worker needs the token of its run" in none.stderr
    assert summary["requests"] == 8
    for worker in workers:
        worker.communicate(timeout=60)
    assert TOKEN not in error
    for file in (tmp_path / "run").rglob("*"):
        assert not file.is_file() or TOKEN.encode() not in file.read_bytes(), file
