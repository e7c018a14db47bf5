"""What load and upstream write is followed and counted as it comes: how far a run is, and what still runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from whocut.trace.follow import Follower
from whocut.trace.generations import generation_span
from whocut.trace.rundir import ATTEMPTS, LEDGER, RunDir

if TYPE_CHECKING:
    from whocut.trace.records import SpanSink


@dataclass(slots=True)
class RunProgress:
    """How far a run has come; what a terminal shows of it.

    `label` is the mode (or the stage) whose requests are under way, `refused` how many of them met a 429. A
    stranger's upstream shows us no `ledger`, and so no generations.
    """

    asked: int
    ledger: bool = True
    stage: str = "starting"
    label: str = ""
    refused: int = 0
    requests: int = 0
    attempts: int = 0
    started: int = 0
    settled: int = 0


class RunFollower:
    """Follows what the load and the upstream write: counts it, and makes a span of each settled generation."""

    def __init__(self, run_dir: RunDir, progress: RunProgress, spans: SpanSink) -> None:
        self.progress = progress
        self._spans = spans
        self._attempts = Follower(run_dir.path / ATTEMPTS)
        self._ledger = Follower(run_dir.path / LEDGER)
        self._requests: set[str] = set()
        self._open: dict[str, dict[str, Any]] = {}
        self.upstream_fell: str | None = None  # why, if it did: what it was at work on then ended by that

    def read(self) -> None:
        """Take in what is new."""
        progress = self.progress
        for row in self._attempts.rows():
            self._requests.add(row["request"])
            progress.attempts += row["ended_s"] is not None
            if row["mode"] != progress.label:
                progress.label, progress.refused = row["mode"], 0
            progress.refused += row["status"] == 429
        progress.requests = len(self._requests)
        for row in self._ledger.rows():
            if row["state"] == "running":
                progress.started += (
                    row["generation"] not in self._open
                )  # a job's row is written again and again
                self._open[row["generation"]] = row
                continue
            progress.settled += self._open.pop(row["generation"], None) is not None
            self._spans(generation_span(row))

    def close(self) -> None:
        """Write down what the upstream never settled: it was killed with work in its hands."""
        self.read()
        for row in self._open.values():
            self._spans(generation_span({**row, "fault": row.get("fault") or self.upstream_fell}))
