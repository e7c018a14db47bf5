"""Locust's own master and workers under one run: records merged, losses named."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.commands import has_finding, whocut
from tests.excused import unless_it_says_so
from tests.processes import NEEDS_PS, children_of, wait_until
from whocut.clock.clock import pause, wall_s
from whocut.trace.rundir import RunDir

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.sockets

WHOCUT = (sys.executable, "-m", "whocut", "run")


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    """A run with two load processes."""
    return subprocess.Popen(
        [*WHOCUT, "image_generation", "--processes", "2", "--out", "run", "--json", *options],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def load_of(pid: int) -> int:
    """The load generator among a run's processes."""
    for child in children_of(pid):
        words = subprocess.run(
            ["ps", "-o", "args=", "-p", str(child)], capture_output=True, text=True, check=False
        )
        if "locust" in words.stdout:
            return child
    return 0


def test_records_of_all_workers_merge_into_one_run(tmp_path: Path) -> None:
    """Two processes, two modes, one directory: every request once, every trace its own, the ledger agrees."""
    running = start(tmp_path, "--users", "4", "--requests", "9", "--mode", "plain", "--mode", "no-retry")

    out, error = running.communicate(timeout=120)

    summary = json.loads(out)
    assert running.returncode == has_finding(summary), error  # a machine that stalls says so
    attempts = RunDir.open(tmp_path / "run").attempts()
    assert summary["requests"] == len({attempt.trace_id for attempt in attempts}) == 18
    assert len({attempt.span_id for attempt in attempts}) == len(attempts) == summary["attempts"]
    assert sum(worker["answered"] for worker in summary["generator"]["workers"]) == 18
    with unless_it_says_so(summary):
        assert summary["attempts"] == 9 * 3 + 9
        assert summary["agreement"] == {"checked": 36, "disagree": []}


@NEEDS_PS
def test_killed_worker_ends_the_run_properly_and_is_named_with_its_loss(tmp_path: Path) -> None:
    """The other one goes on; the run says who was lost, when, and what it had not answered, and exits 3."""
    running = start(tmp_path, "--users", "6", "--requests", "16", "--mode", "plain")
    ledger = tmp_path / "run" / "ledger.jsonl"
    until_s = wall_s() + 60
    while (not ledger.is_file() or ledger.read_bytes().count(b"\n") < 8) and wall_s() < until_s:
        pause(0.05)
    workers = children_of(load_of(running.pid))
    assert len(workers) == 2

    os.kill(workers[-1], signal.SIGKILL)
    out, error = running.communicate(timeout=120)

    assert running.returncode == 3, error
    summary = json.loads(out)
    (loss,) = [loss for worker in summary["generator"]["workers"] for loss in worker["lost"]]
    assert loss["share"] == 8 > loss["answered"]
    assert f"was last heard of at {loss['last_heard_s']:g} s" in error
    assert "what was recorded is in run" in error
    assert summary["censored"] > 0
    (whole,) = [worker for worker in summary["generator"]["workers"] if not worker["lost"]]
    assert whole["answered"] == 8
    with unless_it_says_so(summary):
        assert summary["outcomes"]["gateway_error"] >= 8
        assert summary["agreement"]["disagree"] == []


def test_scenario_with_a_gate_is_refused_with_several_processes(tmp_path: Path) -> None:
    """Exit 2, one sentence, and no request goes out."""
    done = whocut("run", "rate_limits", "--processes", "2", "--out", "run", cwd=tmp_path, check=None)

    assert done.returncode == 2, done.stderr
    assert "run it without --processes" in done.stderr
    assert RunDir.open(tmp_path / "run").attempts() == []


def test_ctrl_c_lets_come_what_is_in_flight_in_the_workers(tmp_path: Path) -> None:
    """Locust's master ends its workers as it quits; by then they have answered what they had begun."""
    running = start(tmp_path, "--users", "6", "--requests", "60", "--mode", "no-retry")
    attempts = tmp_path / "run" / "attempts.jsonl"
    wait_until(attempts.is_file)
    wait_until(lambda: attempts.read_bytes().count(b"\n") >= 14)

    running.send_signal(signal.SIGINT)
    out, error = running.communicate(timeout=120)

    assert running.returncode == 3, error
    assert "stopped by a signal" in error
    summary = json.loads(out)
    assert 0 < summary["requests"] < 60
    assert summary["censored"] == 0
    answered = sum(worker["answered"] for worker in summary["generator"]["workers"])
    assert answered == summary["requests"]
