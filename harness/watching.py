"""Looking at a run until it is over, however it ends: what load and upstream write is followed and counted."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.trace.follow import Follower
from harness.trace.generations import generation_span
from harness.trace.rundir import ATTEMPTS, LEDGER, RunDir

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.clock import Clock
    from harness.path.chain import RunningChain
    from harness.processes import Child
    from harness.trace.records import SpanSink

# Longest wait, in model seconds, for generations that run on after the last caller has gone: longer than any
# generation of the article's profiles (p95 280 s), so that the ledger is whole in all but the rarest run.
DRAIN_S = 600.0
_POLL_REAL_S = 0.1


@dataclass(slots=True)
class Progress:
    """How far a run has come; what a terminal shows of it."""

    asked: int
    stage: str = "starting"
    requests: int = 0
    attempts: int = 0
    started: int = 0
    settled: int = 0


@dataclass(frozen=True, slots=True)
class Watch:
    """Looks at everything ten times a second until it is over, however it ends."""

    run_dir: RunDir
    upstream: Child
    chain: RunningChain
    books: Books
    progress: Progress
    show: Callable[[Progress], None]
    interrupted: asyncio.Event

    async def load(self, load: Child) -> str | None:
        """Until the load generator has ended; why it ended before its work was done, or None."""
        self.progress.stage = "under load"
        while load.returncode is None and self._stands() and not self.interrupted.is_set():
            await self._look()
        fallen = self.chain.look()
        died = next((child.died() for child in (self.upstream, load) if child.returncode is not None), None)
        if load.returncode is None:
            self.progress.stage = "stopping"
            self.show(self.progress)
            await load.stop()
        self.books.read()
        answered = (self.run_dir.generator() or {}).get("answered")
        if answered == self.progress.asked:
            return None
        begun = f"{self.progress.requests} of {self.progress.asked} requests had begun"
        how_far = begun if answered is None else f"{answered} of {self.progress.asked} requests were answered"
        why = "stopped by a signal" if self.interrupted.is_set() else str(died)
        if fallen is not None and not self.interrupted.is_set():
            why = fallen.sentence
            how_far += f", {self._under_way(fallen.at_s)} were under way"
        return f"{why}; {how_far}, and what was recorded stands in {self.run_dir.path}"

    async def drain(self, clock: Clock) -> None:
        """Until every generation is settled, or it has been long enough."""
        self.progress.stage = "waiting for generations nobody waits for"
        until_s = clock.now_s() + DRAIN_S
        while clock.now_s() < until_s and self.upstream.returncode is None and not self.interrupted.is_set():
            await self._look()
            if self.progress.settled >= self.progress.started:
                return

    def _stands(self) -> bool:
        """Whether there is still something to put load on."""
        return self.upstream.returncode is None and self.chain.look() is None

    def _under_way(self, at_s: float) -> int:
        """How many attempts had begun, and had not ended, at an instant."""
        return sum(
            attempt.started_s <= at_s and (attempt.ended_s is None or attempt.ended_s >= at_s)
            for attempt in self.run_dir.attempts()
        )

    async def _look(self) -> None:
        self.books.read()
        self.show(self.progress)
        await asyncio.sleep(_POLL_REAL_S)


class Books:
    """Follows what the load and the upstream write: counts it, and makes a span of each settled generation."""

    def __init__(self, run_dir: RunDir, progress: Progress, spans: SpanSink) -> None:
        self._progress = progress
        self._spans = spans
        self._attempts = Follower(run_dir.path / ATTEMPTS)
        self._ledger = Follower(run_dir.path / LEDGER)
        self._requests: set[str] = set()
        self._open: dict[str, dict[str, Any]] = {}

    def read(self) -> None:
        """Take in what is new."""
        progress = self._progress
        for row in self._attempts.rows():
            self._requests.add(row["request"])
            progress.attempts += row["ended_s"] is not None
        progress.requests = len(self._requests)
        for row in self._ledger.rows():
            if row["state"] == "running":
                self._open[row["generation"]] = row
                progress.started += 1
                continue
            progress.settled += self._open.pop(row["generation"], None) is not None
            self._spans(generation_span(row))

    def close(self) -> None:
        """Write down what the upstream never settled: it was killed with work in its hands."""
        self.read()
        for row in self._open.values():
            self._spans(generation_span(row))
