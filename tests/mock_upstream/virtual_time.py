"""An event loop whose clock jumps to the next deadline when nothing is ready; its sockets are real.

The mock may import nothing of the harness, and neither do its tests: this is the smallest loop that shows it
keeps to the loop's own time. A thread's work takes no time either: the clock stands until it has answered (the
SDK asks for its platform in a thread at each client's first call).
"""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")


# Under load the kernel hands bytes over a moment later; a jump must not overtake them.
_PATIENCE_REAL_S = 0.001
_THREAD_POLL_REAL_S = 0.05


class _JumpingSelector(selectors.DefaultSelector):
    """Instead of waiting it moves the clock; it waits for real only when no deadline is left."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1_000.0
        self.threads_at_work = 0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0 if timeout is not None else None)
        if not ready and timeout:
            ready = super().select(_PATIENCE_REAL_S)
        if not ready and timeout and self.threads_at_work:
            return super().select(_THREAD_POLL_REAL_S)
        if not ready and timeout:
            self.now_s += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop on the jumping selector."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """The instant the jumps have reached."""
        return self._jumping.now_s

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


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run on a loop of virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
