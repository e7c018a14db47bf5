"""What runs a stage: a loop of virtual time that the client shares, or a thread with a scaled clock of its own.

A test or a check talks to its runner. A client that blocks, or that is another process, needs the scaled one.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from whocut.clock import VirtualLoop
from whocut.clock.clock import pause
from whocut.errors import CouldNotRun
from whocut.stage.pace import StageSelector

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from whocut.stage.seen import Observed
    from whocut.stage.stage import Stage

T = TypeVar("T")

# A moment in which the ends of what a client has just seen reach the layers behind it, in real time.
_SETTLE_REAL_S = 0.02
_TURNS = 50
_START_REAL_S = 30.0


class Playing(Protocol):
    """A stage that plays, as far as an observer asks it."""

    stage: Stage

    def observed(self) -> Observed:
        """All that is known by now."""

    def now_s(self) -> float:
        """Model seconds since the beginning."""

    def client_s(self, model_s: float) -> float:
        """How long a model duration is on the client's own clock."""

    async def settled(self) -> None:
        """Wait until nothing is under way any more."""


class Runner(Playing, Protocol):
    """A stage that plays, and a loop for the client's own coroutines."""

    def start(self) -> None:
        """Begin to serve."""

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine of the client's, to its end."""

    def close(self) -> None:
        """End everything, and leave nothing behind."""


class VirtualRunner:
    """One loop of virtual time for the stage and for the client: exact, and instant."""

    def __init__(self, stage: Stage, loop_factory: Callable[[], VirtualLoop] = VirtualLoop) -> None:
        self.stage = stage
        self._runner = asyncio.Runner(loop_factory=loop_factory)

    @property
    def loop(self) -> VirtualLoop:
        """The loop on which the stage plays."""
        return cast("VirtualLoop", self._runner.get_loop())

    def start(self) -> None:
        """Begin to serve."""
        self._runner.run(self.stage.start())

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine of the client's, to its end."""
        return self._runner.run(main)

    def observed(self) -> Observed:
        """All that is known by now."""
        return self.stage.observed()

    def now_s(self) -> float:
        """Model seconds since the beginning."""
        return self._runner.get_loop().time()

    def client_s(self, model_s: float) -> float:
        """As long as it is."""
        return model_s

    async def settled(self) -> None:
        """Let virtual time go on until nothing is under way."""
        await self.stage.settled()

    def close(self) -> None:
        """End the stage, then the loop."""
        try:
            self._runner.run(_close(self.stage))
        finally:
            self._runner.close()


async def _close(stage: Stage) -> None:
    await stage.close()
    # Most tests leave their client open, and its pool does not read: what is still connected would be warned of.
    for transport in list(getattr(asyncio.get_running_loop(), "_transports", {}).values()):
        if not transport.is_closing():  # one that is over has no loop any more
            transport.abort()
    await asyncio.sleep(0)
    await asyncio.sleep(0)


class _UnfrozenLoop(asyncio.SelectorEventLoop):
    """asyncio's own, which reads the real clock where a test has frozen it."""

    _read = (time.monotonic,)  # noqa: TID251  # in a tuple: what freezes time replaces functions that have a name

    def time(self) -> float:
        """The real monotonic clock."""
        return self._read[0]()


class ScaledRunner:
    """A thread with a loop of real time for the stage; the client blocks, or runs, wherever it likes."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._selector = StageSelector(stage.pace)
        self._loop = _UnfrozenLoop(self._selector)
        self._thread = threading.Thread(target=self._loop.run_forever, name="whocut-stage", daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()
        self._there(self.stage.start())

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine of the client's on a loop of its own."""
        return asyncio.run(main)

    def observed(self) -> Observed:
        """All that is known once the layers have seen the end of what the client saw."""
        pause(_SETTLE_REAL_S)
        return self._there(_observed(self.stage))

    @property
    def late_real_s(self) -> float:
        """The longest that anything had to wait for the loop."""
        return self._selector.late_real_s

    def now_s(self) -> float:
        """Model seconds since the beginning; with a pace the client's."""
        return self.stage.tap.instants.now_s()

    def client_s(self, model_s: float) -> float:
        """Divided by the scale: the client's clock is real."""
        return model_s / self.stage.scale

    async def settled(self) -> None:
        """Wait, in real time, until nothing is under way."""
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self.stage.settled(), self._loop))

    def wait_settled(self) -> None:
        """The same for a client that blocks."""
        self._there(self.stage.settled(), patience_real_s=None)

    def close(self) -> None:
        """End the stage, then its thread."""
        try:
            if self._thread.is_alive():
                self._there(_close(self.stage))
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            if self._thread.is_alive():
                self._thread.join()
            self._loop.close()

    def _there(self, main: Coroutine[Any, Any, T], patience_real_s: float | None = _START_REAL_S) -> T:
        try:
            return asyncio.run_coroutine_threadsafe(main, self._loop).result(patience_real_s)
        except TimeoutError:
            raise CouldNotRun("the stage's thread does not answer: something in it blocks") from None


async def _observed(stage: Stage) -> Observed:
    # On a busy machine this may be the first turn of the loop since the client saw its end; each layer needs one.
    for _ in range(_TURNS):
        await asyncio.sleep(0)
    return stage.observed()
