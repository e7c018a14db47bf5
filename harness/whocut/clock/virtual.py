"""Virtual time: an event loop that jumps to the next deadline when nothing is ready.

Real loopback sockets, the user's own asyncio code and the real SDK run inside; only the waiting is left out.
The loop never jumps

- while a thread works (anything given to `run_in_executor`: name look-ups, files), unless that thread itself waits
  for an answer of this loop's, which an `Outside` knows, and
- while bytes are on their way: what one end has sent on the loopback may reach the other end a moment later,
  so after a turn in which anything happened the selector is asked again, in real time, before a jump.

It is wrong for work in another process, which the loop cannot see; use a scaled clock there.
"""

from __future__ import annotations

import asyncio
import os
import selectors
import time
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from whocut.clock.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")

# Loopback delivery is synchronous on Linux as long as the kernel's softirq runs in the sender's context;
# under load it may be handed to ksoftirqd and take a moment. Hence a little real patience before each jump,
# spent asking and yielding: a wait in epoll is rounded up to a millisecond, and there is one at every jump.
# Measured: with two milliseconds of patience on two overloaded cores, none of 4,000 jumps met a late byte.
_SETTLE_REAL_S = 0.000_05
_THREAD_POLL_REAL_S = 0.05
# With this much patience an answer of the loop's has reached the thread that waits for it.
_OUTSIDE_POLL_REAL_S = 0.005
# Kept in a tuple: what freezes time for a test replaces such functions in every module that has them by name.
_READ: Final = (time.perf_counter,)


class Outside(Protocol):
    """What is known of clients outside the loop that ask it for something: in a thread, or another loop."""

    came: bool  # there has been one; from then on its own work takes the time it takes

    def waits(self) -> bool:
        """Whether one of them waits for an answer."""

    def waited(self, real_s: float, *, due: bool) -> None:
        """So much longer it has waited in real time, and whether anything is due that may answer it; may raise."""


class _JumpingSelector(selectors.DefaultSelector):
    """Says "nothing is ready" at once and moves the loop's clock to where it would have woken."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.threads_at_work = 0
        self.settle_real_s = _SETTLE_REAL_S  # 0 where nothing can be on its way
        self.outside: Outside | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        settled_s = _READ[0]() + self.settle_real_s
        while not ready and _READ[0]() < settled_s:
            os.sched_yield()
            ready = super().select(0)
        if ready:
            return ready
        if timeout is not None and not self.threads_at_work:
            self.now += timeout
            return []
        if self.outside is None or not self.outside.came:
            return super().select(_THREAD_POLL_REAL_S)
        return self._beside(self.outside, timeout)

    def _beside(self, outside: Outside, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        """A turn beside a client that is not on this loop: where it waits for us time jumps, else it is real."""
        began_s = _READ[0]()
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(_OUTSIDE_POLL_REAL_S)
        if ready:
            return ready
        gone_s = _READ[0]() - began_s
        if not outside.waits():
            self.now += gone_s if timeout is None else min(gone_s, timeout)
        else:
            self.now += timeout or 0.0
            outside.waited(gone_s, due=timeout is not None)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop whose `time()` starts at zero and moves only by jumps."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        # Deadlines closer together than this count as one turn; a jump must land on its deadline, not before.
        self._clock_resolution = 1e-9

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._jumping.now

    def run_in_executor(  # type: ignore[override]  # typeshed spells the arguments as a TypeVarTuple
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """As usual, and time does not pass until the thread has answered."""
        future = super().run_in_executor(executor, func, *args)
        self._jumping.threads_at_work += 1
        future.add_done_callback(self._thread_done)
        return future

    def _thread_done(self, _future: object) -> None:
        self._jumping.threads_at_work -= 1

    def watch(self, outside: Outside) -> None:
        """Ask this about clients outside the loop from now on."""
        self._jumping.outside = outside

    async def shutdown_default_executor(self, *timeout_s: float | None) -> None:
        """As usual; a thread ends it, and since Python 3.12 five minutes that must not pass before."""
        self._jumping.threads_at_work += 1
        try:
            await super().shutdown_default_executor(*timeout_s)
        finally:
            self._jumping.threads_at_work -= 1

    def clock(self, epoch_unix_s: float = 0.0) -> Clock:
        """This loop's time as a `Clock`, with the calendar starting at `epoch_unix_s`."""
        return Clock(1.0, origin=0.0, epoch_unix_s=epoch_unix_s, reader=self.time)


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in virtual time, as `asyncio.run` does in real time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
