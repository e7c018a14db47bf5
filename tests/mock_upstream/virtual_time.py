"""An event loop whose clock jumps to the next deadline when nothing is ready; its sockets are real.

The mock may import nothing of the harness, and neither do its tests: this is the smallest loop that shows it
keeps to the loop's own time.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


# Under load the kernel hands bytes over a moment later; a jump must not overtake them.
_PATIENCE_REAL_S = 0.001


class _JumpingSelector(selectors.DefaultSelector):
    """Instead of waiting it moves the clock; it waits for real only when no deadline is left."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1_000.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0 if timeout is not None else None)
        if not ready and timeout:
            ready = super().select(_PATIENCE_REAL_S)
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


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run on a loop of virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
