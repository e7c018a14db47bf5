"""A semaphore with a gap: at most so many at once, and a pause after each, as the article's own code has it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

from gevent.lock import BoundedSemaphore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whocut.clock import Clock


class Gate:
    """Lets `at_once` users through; each holds its place for `gap_s` model seconds more when it is done.

    It counts the users of its own process only; `made` says how many gates a scenario has.
    """

    made: ClassVar[int] = 0

    def __init__(self, at_once: int, gap_s: float) -> None:
        Gate.made += 1
        self._places = BoundedSemaphore(at_once)
        self._gap_s = gap_s

    @contextmanager
    def through(self, clock: Clock) -> Iterator[None]:
        """Wait for a place, and give it back after the gap."""
        with self._places:
            yield
            clock.sleep(self._gap_s)
