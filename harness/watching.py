"""Looking at a run until it is over, however it ends: what load and upstream write is followed and counted."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from harness.errors import BadInput, ChildDied
from harness.trace.follow import Follower
from harness.trace.generations import generation_span
from harness.trace.rundir import ATTEMPTS, LEDGER, RunDir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from harness.clock import Clock
    from harness.path.chain import RunningChain
    from harness.path.fallen import Fallen
    from harness.trace.records import Attempt, SpanSink

# Longest wait, in model seconds, for generations that run on after the last caller has gone: longer than any
# generation of the article's profiles (p95 280 s), so that the ledger is whole in all but the rarest run.
DRAIN_S = 600.0
_POLL_REAL_S = 0.1
_STOPPED = "stopped by a signal"


@dataclass(slots=True)
class Progress:
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


class Load(Protocol):
    """Whoever makes the load: a process of ours, or somebody else's."""

    @property
    def returncode(self) -> int | None:
        """How it ended; None while it goes on."""

    async def stop(self) -> None:
        """End it."""

    def died(self) -> ChildDied:
        """The error for an end that came before all was answered."""


class Upstream(Protocol):
    """The model's side, where it is a process of ours."""

    def look(self) -> Fallen | None:
        """How it ended by itself, or None while it serves."""


class ForeignLoad:
    """A load that is not ours: it lives as long as our standard input."""

    def __init__(self) -> None:
        self.returncode: int | None = None
        self._listening: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls) -> ForeignLoad:
        """Listen for the end of the standard input; what is written there means nothing."""
        load = cls()
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        load._listening = loop.create_task(load._until_the_end(reader))
        return load

    async def _until_the_end(self, reader: asyncio.StreamReader) -> None:
        while await reader.read(4096):
            pass
        self.returncode = 0

    async def stop(self) -> None:
        """It ends when its maker says so; here nobody listens any more."""
        if self._listening is not None:
            self._listening.cancel()

    def died(self) -> ChildDied:
        """Its maker ended it before all was answered."""
        return ChildDied("the load ended")


@dataclass(frozen=True, slots=True)
class Watch:
    """Looks at everything ten times a second until it is over, however it ends."""

    run_dir: RunDir
    upstream: Upstream | None  # None: it is none of ours
    chain: RunningChain
    books: Books
    progress: Progress
    show: Callable[[Progress], None]
    interrupted: asyncio.Event

    def expect(self, requests: int) -> None:
        """So many requests more will be asked."""
        self.progress.asked += requests

    async def load(self, load: Load) -> str | None:
        """Until the load has ended; why it ended before its work was done, or None.

        Raises:
            BadInput: the load refused what was asked of it.
        """
        self.progress.stage = "under load"
        while load.returncode is None and self.fallen() is None and not self.interrupted.is_set():
            await self._look()
        died = load.died() if load.returncode is not None else None
        if load.returncode is None:
            self.progress.stage = "stopping"
            self.show(self.progress)
            await load.stop()
        self.books.read()
        fallen = self.fallen()
        generator = self.run_dir.generator() or {}
        if "refused" in generator:
            raise BadInput(generator["refused"])
        answered = generator.get("answered")
        if generator.get("kept_back") and fallen is None:
            return (
                f"{generator['kept_back']}; {generator['not_asked']} of {self.progress.asked} requests were not "
                f"asked, and what was recorded stands in {self.run_dir.path}"
            )
        if answered == self.progress.asked and fallen is None:
            return None
        how_far = f"{self.progress.requests} of {self.progress.asked} requests had begun"
        if answered is not None:
            how_far = f"{answered} of {self.progress.asked} orders were answered"
        lost = [_lost(worker, loss) for worker in generator.get("workers", ()) for loss in worker["lost"]]
        why = "; ".join(lost) or str(died)
        if fallen is not None:
            why = fallen.sentence
            lost_with_it = under_way(self.run_dir.attempts(), fallen)
            how_far += f", {lost_with_it} {'was' if lost_with_it == 1 else 'were'} under way"
        if self.interrupted.is_set():
            why = _STOPPED
        return f"{why}; {how_far}, and what was recorded stands in {self.run_dir.path}"

    async def drain(self, clock: Clock) -> str | None:
        """Until every generation is settled, or it has been long enough; why it ended before, or None."""
        if self.upstream is None:
            return None
        self.progress.stage = "waiting for generations nobody waits for"
        until_s = clock.now_s() + DRAIN_S
        while clock.now_s() < until_s:
            await self._look()
            if self.progress.settled >= self.progress.started:
                return None
            fallen = self.fallen()
            if fallen is None and not self.interrupted.is_set():
                continue
            return (
                f"{fallen.sentence if fallen else _STOPPED}; the load was over, "
                f"{_generations(self.progress.started - self.progress.settled)} still running, and what was "
                f"recorded stands in {self.run_dir.path}"
            )
        return None  # what still runs is counted, and warned of, where the run is judged

    def fallen(self) -> Fallen | None:
        """The first that has fallen, of all that the load stands on; the books know of the upstream's end."""
        upstream = self.upstream.look() if self.upstream is not None else None
        if upstream is not None:
            self.books.upstream_fell = upstream.why
        return min(
            (one for one in (self.chain.look(), upstream) if one), key=lambda one: one.at_s, default=None
        )

    async def _look(self) -> None:
        self.books.read()
        self.show(self.progress)
        await asyncio.sleep(_POLL_REAL_S)


def under_way(attempts: Iterable[Attempt], fallen: Fallen) -> int:
    """How many requests had an attempt under way when a layer fell."""
    return len(
        {
            attempt.request
            for attempt in attempts
            if attempt.started_s <= fallen.at_s
            and (attempt.ended_s is None or attempt.ended_s >= fallen.at_s - fallen.noticed_within_s)
        }
    )


def _generations(count: int) -> str:
    return "1 generation was" if count == 1 else f"{count} generations were"


def _lost(worker: dict[str, Any], loss: dict[str, Any]) -> str:
    return (
        f"worker {worker['worker']} was last heard of at {loss['last_heard_s']:g} s, with "
        f"{loss['share'] - loss['answered']} of its {loss['share']} requests of {loss['stage']} unanswered"
    )


class Books:
    """Follows what the load and the upstream write: counts it, and makes a span of each settled generation."""

    def __init__(self, run_dir: RunDir, progress: Progress, spans: SpanSink) -> None:
        self._progress = progress
        self._spans = spans
        self._attempts = Follower(run_dir.path / ATTEMPTS)
        self._ledger = Follower(run_dir.path / LEDGER)
        self._requests: set[str] = set()
        self._open: dict[str, dict[str, Any]] = {}
        self.upstream_fell: str | None = None  # why, if it did: what it was at work on then ended by that

    def read(self) -> None:
        """Take in what is new."""
        progress = self._progress
        for row in self._attempts.rows():
            self._requests.add(row["request"])
            progress.attempts += row["ended_s"] is not None
            if row["mode"] != progress.label:
                progress.label, progress.refused = row["mode"], 0
            progress.refused += row["status"] == 429
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
            self._spans(generation_span({**row, "fault": row.get("fault") or self.upstream_fell}))
