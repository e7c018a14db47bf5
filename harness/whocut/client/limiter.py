"""How many images are under way at once, and how soon the next may follow: a place, held, then resting.

The article: "3 concurrent + 2s gap: stable". A place counts an image, not a request: `n=2` takes two. The core is
pure; the sync and the async limiter only wait. Who waits first is served first.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from whocut.clock import Clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


class Places:
    """`most` places; one that was given back rests for `gap_s` before it is free."""

    def __init__(self, most: int = 3, gap_s: float = 2.0) -> None:
        if most < 1:
            raise ValueError("at least one image must be allowed at once")
        self.most = most
        self.gap_s = gap_s
        self._held = 0
        self._resting: list[float] = []  # until when, the soonest first

    def weight(self, images: int) -> int:
        """How many places so many images take: never more than there are."""
        return max(1, min(images, self.most))

    def take(self, now_s: float, places: int) -> float | None:
        """0 where they were taken; else in how long it is worth asking again, None if only giving back helps."""
        while self._resting and self._resting[0] <= now_s:
            self._resting.pop(0)
        if self._held + len(self._resting) + places <= self.most:
            self._held += places
            return 0.0
        return self._resting[0] - now_s if self._resting else None

    def give_back(self, now_s: float, places: int) -> None:
        """Let them rest."""
        self._held -= places
        self._resting += [now_s + self.gap_s] * places
        self._resting.sort()


class AsyncLimiter:
    """Places for coroutines of one loop."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._turn = asyncio.Lock()  # a fair queue: only its head asks for places
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def place(self, images: int = 1) -> AsyncIterator[None]:
        """Hold places for so many images."""
        weight = self._places.weight(images)
        loop = asyncio.get_running_loop()
        async with self._turn:
            while (wait_s := self._places.take(loop.time(), weight)) != 0:
                self._changed.clear()
                try:
                    async with asyncio.timeout(wait_s):
                        await self._changed.wait()
                except TimeoutError:
                    pass
        try:
            yield
        finally:
            self._places.give_back(loop.time(), weight)
            self._changed.set()


class Limiter:
    """Places for threads (or greenlets, where gevent has patched `threading`)."""

    def __init__(self, places: Places, clock: Clock | None = None) -> None:
        self._places = places
        self._clock = clock or Clock()
        self._turn = threading.Lock()
        self._changed = threading.Condition()

    @contextmanager
    def place(self, images: int = 1) -> Iterator[None]:
        """Hold places for so many images."""
        weight = self._places.weight(images)
        with self._turn, self._changed:
            while (wait_s := self._places.take(self._clock.now_s(), weight)) != 0:
                self._changed.wait(None if wait_s is None else self._clock.real_s(wait_s))
        try:
            yield
        finally:
            with self._changed:
                self._places.give_back(self._clock.now_s(), weight)
                self._changed.notify_all()
