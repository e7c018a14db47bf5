"""Looking at a run until it is over, however it ends: which end it was, and what was lost with it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from whocut.chain.load import DRAIN_S
from whocut.errors import BadInput
from whocut.run.processes import PATIENCE_REAL_S
from whocut.trace.generations import generations_were

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from whocut.clock import Clock
    from whocut.path.chain import RunningChain
    from whocut.path.fallen import Fallen
    from whocut.run.loads import LoadProcess
    from whocut.run.progress import RunFollower, RunProgress
    from whocut.trace.records import Attempt
    from whocut.trace.rundir import RunDir

_POLL_REAL_S = 0.1
_UNDER_LOAD = "under load"
_STOPPED = "stopped by a signal"


class UpstreamProcess(Protocol):
    """The model's side, where it is a process of ours."""

    def look(self) -> Fallen | None:
        """How it ended by itself, or None while it serves."""


class StopAsked:
    """The user wants the run to end: asked once, what is in flight is waited for; asked again, not even that."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.at_once = asyncio.Event()

    def ask(self) -> None:
        """By a Ctrl-C, say."""
        if self.asked.is_set():
            self.at_once.set()
        self.asked.set()

    def ask_at_once(self) -> None:
        """By a caller that will not wait: a service that is shut down, a terminal that is closed."""
        self.asked.set()
        self.at_once.set()


@dataclass(frozen=True, slots=True)
class RunWatch:
    """Looks at everything ten times a second until it is over, however it ends."""

    run_dir: RunDir
    upstream: UpstreamProcess | None  # None: it is not the mock
    chain: RunningChain
    follower: RunFollower
    progress: RunProgress
    show: Callable[[RunProgress], None]
    stop: StopAsked
    drain_real_s: float  # how long what is in flight may take when the user has asked for the end
    before: str = _UNDER_LOAD  # what is going on until the first request

    def expect(self, requests: int) -> None:
        """So many requests more will be asked."""
        self.progress.asked += requests

    async def load(self, load: LoadProcess) -> str | None:
        """Until the load has ended; why it ended before its work was done, or None.

        Raises:
            BadInput: the load refused what was asked of it.
        """
        self.progress.stage = self.before
        while load.returncode is None and self.fallen() is None and not self.stop.asked.is_set():
            await self._look()
        died = load.died() if load.returncode is not None else None
        if load.returncode is None:
            await self._stop(load)
        self.follower.read()
        fallen = self.fallen()
        generator = self.run_dir.generator() or {}
        if "refused" in generator:
            raise BadInput(generator["refused"])
        answered = generator.get("answered")
        if generator.get("kept_back") and fallen is None:
            return (
                f"{generator['kept_back']}; {generator['not_asked']} of {self.progress.asked} requests were not "
                f"asked, and what was recorded is in {self.run_dir.path}"
            )
        if answered == self.progress.asked and fallen is None:
            return None
        how_far = f"{self.progress.requests} of {self.progress.asked} requests had begun"
        if answered is not None:
            by_then = " by then" if generator.get("draining") else ""  # it was killed while it still drained
            how_far = f"{answered} of {self.progress.asked} orders were answered{by_then}"
        lost = [_lost(worker, loss) for worker in generator.get("workers", ()) for loss in worker["lost"]]
        why = "; ".join(lost) or str(died)
        if fallen is not None:
            why = fallen.sentence
            lost_with_it = under_way(self.run_dir.attempts(), fallen)
            how_far += f", {lost_with_it} {'was' if lost_with_it == 1 else 'were'} under way then"
        if self.stop.asked.is_set():
            why = _STOPPED
        return f"{why}; {how_far}, and what was recorded is in {self.run_dir.path}"

    async def _stop(self, load: LoadProcess) -> None:
        """End the load; while nothing has fallen, and the user does not ask again, what is in flight is drained."""
        drained = self.fallen() is None and not self.stop.at_once.is_set()
        self.progress.stage = "stopping"
        if drained:
            self.progress.stage = "stopping, in-flight work is drained (Ctrl-C again ends it)"
        stopping = asyncio.ensure_future(load.stop(self.drain_real_s if drained else PATIENCE_REAL_S))
        while not stopping.done():
            await self._look()
            if drained and (self.stop.at_once.is_set() or self.fallen()):
                drained = False
                await load.stop(PATIENCE_REAL_S)
        await stopping

    async def drain(self, clock: Clock) -> str | None:
        """Until every generation is settled, or it has been long enough; why it ended before, or None."""
        if self.upstream is None:
            return None
        self.progress.stage = "ending"
        until_s = clock.now_s() + DRAIN_S
        while clock.now_s() < until_s:
            await self._look()
            if self.progress.settled >= self.progress.started:
                return None
            self.progress.stage = "waiting for orphaned generations"
            fallen = self.fallen()
            if fallen is None and not self.stop.asked.is_set():
                continue
            return (
                f"{fallen.sentence if fallen else _STOPPED}; the load was over, "
                f"{generations_were(self.progress.started - self.progress.settled)} still running, and what was "
                f"recorded is in {self.run_dir.path}"
            )
        return None  # what still runs is counted, and warned of, where the run is judged

    def fallen(self) -> Fallen | None:
        """The first that has fallen, of all that the load needs; the follower hears of the upstream's end."""
        upstream = self.upstream.look() if self.upstream is not None else None
        if upstream is not None:
            self.follower.upstream_fell = upstream.why
        return min(
            (one for one in (self.chain.look(), upstream) if one), key=lambda one: one.at_s, default=None
        )

    async def _look(self) -> None:
        self.follower.read()
        if self.progress.requests and self.progress.stage == self.before:
            self.progress.stage = _UNDER_LOAD
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


def _lost(worker: dict[str, Any], loss: dict[str, Any]) -> str:
    return (
        f"worker {worker['worker']} was last heard of at {loss['last_heard_s']:g} s, with "
        f"{loss['share'] - loss['answered']} of its {loss['share']} requests of {loss['stage']} unanswered"
    )
