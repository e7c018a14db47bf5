"""The live judge as a process: it follows, writes whole files, and ends with its parent, or when asked to."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.verdict.test_as_it_goes import TOPOLOGY, Told, told
from whocut.chain.plain import topology_to_plain
from whocut.clock.clock import pause, wall_s
from whocut.run.live import LiveRun
from whocut.trace import otlp
from whocut.trace.rundir import ATTEMPTS, LEDGER, LIVE, SPANS, LineFile, RunDir

if TYPE_CHECKING:
    from pathlib import Path

MANIFEST = {
    "run": "1" * 32,
    "scenario": "by hand",
    "chain": "drawn",
    "topology": topology_to_plain(TOPOLOGY),
    "clock": {"written": "scaled:100", "scale": 100.0, "origin": 0.0},
    "epoch_unix_s": 1_000_000.0,
}


def written(run: RunDir, request: Told) -> None:
    """Append what was written of one request to a run's files."""
    with LineFile(run.path / ATTEMPTS) as attempts, LineFile(run.path / LEDGER) as ledger:
        for attempt in request.attempts:
            attempts.write_json(attempt)
        for row in request.ledger:
            ledger.write_json(row)
    with LineFile(run.path / SPANS) as spans:
        for span in request.spans:
            spans.write(otlp.encode_line((span,), run.epoch_unix_s))


def live_of(run: RunDir) -> dict[str, Any]:
    """What stands in ``live.json``."""
    found: dict[str, Any] = json.loads((run.path / LIVE).read_text())
    return found


def test_last_request_is_drawn_as_the_terminal_draws_it(tmp_path: Path) -> None:
    """Lines of pieces of text, each with the name of its style; and the phrase of each attempt."""
    run = RunDir.create(tmp_path / "run", MANIFEST)
    written(run, told(1, "cut"))
    live = LiveRun(run)

    live.look()
    live.write(ended=False)

    last = live_of(run)["last"]
    text = "\n".join("".join(piece for piece, _ in line) for line in last["drawing"])
    assert "cut: nginx_first_byte" in text
    assert ["×", "bold red"] in [piece for line in last["drawing"] for piece in line]
    (phrase,) = last["phrases"]
    assert phrase.startswith(
        "nginx cut by first_byte after 65 s, while waiting · proven · the generation ran on"
    )


def test_line_that_is_not_whole_yet_waits_for_the_next_look(tmp_path: Path) -> None:
    """Another process is in the middle of a write: nothing breaks, and nothing is lost."""
    run = RunDir.create(tmp_path / "run", MANIFEST)
    written(run, told(1, "cut"))
    spans = (run.path / SPANS).read_bytes()
    (run.path / SPANS).write_bytes(spans[:-200])
    live = LiveRun(run)

    live.look()
    (run.path / SPANS).write_bytes(spans)
    live.look()
    live.write(ended=False)

    assert live_of(run)["requests"] == 1


@pytest.mark.sockets
@pytest.mark.parametrize("how", ["asked to", "its parent has gone"])
def test_judge_ends_with_the_last_word_when(tmp_path: Path, how: str) -> None:
    """It takes in what is left, says that the run has ended, and leaves with 0."""
    run = RunDir.create(tmp_path / "run", MANIFEST)
    written(run, told(1, "cut"))
    command = [sys.executable, "-m", "whocut.run.live", str(run.path)]

    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as judge:
        _wait_for(run.path / LIVE)
        written(run, told(2, "cut"))
        written(run, told(3, "delivered"))
        if how == "asked to":
            judge.send_signal(signal.SIGTERM)
            judge.wait(30)
        _, words = judge.communicate(timeout=30)

    assert (judge.returncode, words) == (0, "")
    live = live_of(run)
    assert (live["ended"], live["requests"], live["outcomes"]) == (
        True,
        3,
        {"gateway_error": 2, "delivered": 1},
    )


@pytest.mark.sockets
def test_directory_that_holds_no_run_is_one_sentence_and_exit_2(tmp_path: Path) -> None:
    """Named, with the way out."""
    done = subprocess.run(
        [sys.executable, "-m", "whocut.run.live", str(tmp_path)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr == f"whocut: {tmp_path} is not a run directory: it has no manifest.json\n"


def _wait_for(path: Path) -> None:
    until = wall_s() + 30
    while not path.exists():
        assert wall_s() < until, f"{path} was not written"
        pause(0.05)
