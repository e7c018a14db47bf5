"""Which event loop real and scaled time run on: uvloop where it is installed, asyncio's own elsewhere.

uvloop spares a hop an eighth of its CPU a request. Its timers count whole milliseconds and may ring a fraction of
one early; a hop asks the clock when it is rung, so nothing is cut early. Virtual time has a loop of its own:
`VirtualLoop`.
"""

from __future__ import annotations

import asyncio
import warnings
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")


def new_loop() -> asyncio.AbstractEventLoop:
    """A loop for real or scaled time."""
    try:
        import uvloop  # noqa: PLC0415  # some platforms do not have it, and asyncio's own does as well
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def run_real(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in real time, as `asyncio.run` does."""
    runner = asyncio.Runner(loop_factory=new_loop)
    try:
        result = runner.run(main)
    except BaseException:
        _close(runner)  # what was left open is no news beside the error
        raise
    for left_open in _close(runner):
        warnings.warn_explicit(
            left_open.message,
            left_open.category,
            left_open.filename,
            left_open.lineno,
            source=left_open.source,
        )
    return result


def _close(runner: asyncio.Runner) -> list[warnings.WarningMessage]:
    """Close the loop, and give back what it warned of.

    Where warnings are errors, uvloop waits for ever for a handle that was left open: the error of its warning keeps
    the handle from being closed.
    """
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        runner.close()
    return said
