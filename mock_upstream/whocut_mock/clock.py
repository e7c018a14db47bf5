"""Model time: what every duration in the mock is measured in.

One model second lasts 1/scale seconds of the event loop, whose clock may itself be virtual.
Nothing here or elsewhere in the mock reads any other clock on the way of a request.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

# 2026-11-22 00:00:00 UTC, the state of the world that the specification describes.
EPOCH_UNIX_S = 1_795_305_600.0


@dataclass
class ModelClock:
    """Seconds since the origin, stretched by the scale.

    `origin` is an instant of the event loop's own clock; `None` means the first moment it is asked.
    """

    scale: float = 1.0
    origin: float | None = None
    epoch_unix_s: float = EPOCH_UNIX_S
    _loop_s: Callable[[], float] | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise ValueError(f"clock scale must be positive, not {self.scale:g}")

    def now_s(self) -> float:
        """Model seconds since the origin."""
        if self._loop_s is None or self.origin is None:
            self._begin()
        assert self._loop_s is not None
        assert self.origin is not None
        return (self._loop_s() - self.origin) * self.scale

    def _begin(self) -> None:
        """The first time it is asked: which loop's clock it is, and its origin unless one was given."""
        self._loop_s = asyncio.get_running_loop().time
        if self.origin is None:
            self.origin = self._loop_s()

    def origin_on_machine_s(self) -> float:
        """The origin on the timeline that all processes of this machine share, in model seconds."""
        return self.loop_instant(0.0) * self.scale

    def loop_instant(self, at_s: float) -> float:
        """The event loop's time at which the model's clock will show `at_s`."""
        if self.origin is None:
            self._begin()
        assert self.origin is not None
        return self.origin + at_s / self.scale

    async def sleep_s(self, duration_s: float) -> None:
        """Wait so many model seconds."""
        await asyncio.sleep(duration_s / self.scale)

    async def sleep_until_s(self, at_s: float) -> None:
        """Wait until the model's clock shows `at_s`; return at once if it already does."""
        wait_s = self.loop_instant(at_s) - asyncio.get_running_loop().time()
        if wait_s > 0:
            await asyncio.sleep(wait_s)

    def signing_unix_s(self) -> int:
        """The receiver's own calendar time, as far as it is known: a signature must not look old to it.

        A scaled model runs ahead of the calendar; who checks a signature lives by the wall's clock.
        """
        return int(self.epoch_unix_s + self.now_s() / self.scale)

    def unix_s(self) -> int:
        """The calendar's time in the model, as `created` fields and the Date header carry it."""
        return int(self.epoch_unix_s + self.now_s())


def wall_clock_unix_s() -> float:
    """The calendar's time of this machine: read once, when a process starts without an epoch of its own."""
    return time.time()  # noqa: TID251 - a stranger cannot import the harness's clock, and needs today's date once


def monotonic_s() -> float:
    """What an event loop's clock shows now: the common origin of several processes."""
    return time.monotonic()  # noqa: TID251 - read once, in the parent of processes that must agree
