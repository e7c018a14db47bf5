"""What was found on a machine that stood still: excused where that is known, and held to its claim elsewhere."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from whocut.clock.clock import pause, wall_s

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


_BEAT_REAL_S = 0.02


@contextmanager
def unless_it_says_so(summary: Mapping[str, Any]) -> Iterator[None]:
    """Hold a run to a claim about its load or its timers; where it misses it and says that it stood still, skip.

    No other doubt of its own, as of verdicts that the ledger denies, excuses it.
    """
    try:
        yield
    except (
        AssertionError,
        LookupError,
        TypeError,
        ValueError,
    ) as missed:  # or there is nothing to hold to it
        stood_still = [doubt for doubt in summary["warnings"] if "loop stalled for" in doubt]
        if not stood_still:
            raise
        pytest.skip(f"the run says that it is not valid: {stood_still[0]}; it missed: {missed}")


@contextmanager
def unless_it_stood_still(tolerable_real_s: float) -> Iterator[None]:
    """Hold to a claim about who was first; where it is missed and this process stood still for longer, skip.

    Two instants that lie further apart than what is tolerable keep their order; so the claim names its margin.
    """
    over = threading.Event()
    worst_s = 0.0

    def watch() -> None:
        nonlocal worst_s
        while not over.is_set():
            before_s = wall_s()
            pause(_BEAT_REAL_S)
            worst_s = max(worst_s, wall_s() - before_s - _BEAT_REAL_S)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield
    except AssertionError as missed:
        if worst_s <= tolerable_real_s:
            raise
        pytest.skip(f"this process stood still for {worst_s:.2f} s; it missed: {missed}")
    finally:
        over.set()
        watching.join()
