"""The real and the scaled clock: model seconds since an origin that several processes can share.

`time.monotonic` counts from one point for every process of a machine (Linux and macOS). So a process that gets the
origin reads the same model time as the one that chose it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from whocut.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


# Beyond it a limit of a minute is six real milliseconds: what is measured would be this machine, not the chain.
MAX_SCALE = 10_000


@dataclass(frozen=True, slots=True)
class ClockSpec:
    """A clock as the command line writes it: ``real``, ``scaled:100``."""

    scale: float = 1.0

    def __str__(self) -> str:
        return "real" if self.scale == 1 else f"scaled:{self.scale:g}"


def parse_clock(written: str) -> ClockSpec:
    """Read ``real`` or ``scaled:N``.

    Raises:
        BadInput: neither, or N is not above zero, or above `MAX_SCALE`.
    """
    if written == "real":
        return ClockSpec()
    kind, _, number = written.partition(":")
    if kind == "scaled":
        try:
            scale = float(number)
        except ValueError:
            scale = 0.0
        if 0 < scale <= MAX_SCALE:
            return ClockSpec(scale)
        if scale > MAX_SCALE:
            raise BadInput(
                f"'{written}' is faster than timers can follow; write at most scaled:{MAX_SCALE}, better "
                "scaled:100",
                field="clock",
            )
    raise BadInput(
        f"'{written}' is not a clock; write real, or scaled:100 for a hundred model seconds a second",
        field="clock",
    )


class Clock:
    """Model seconds since `origin`, a reading of `reader`; `scale` of them pass in one real second.

    `epoch_unix_s` is the calendar instant of the origin; instants on the calendar run in model seconds too.
    """

    __slots__ = ("_reader", "epoch_unix_s", "origin", "scale")

    def __init__(
        self,
        scale: float = 1.0,
        *,
        origin: float | None = None,
        epoch_unix_s: float | None = None,
        reader: Callable[[], float] = time.monotonic,
    ) -> None:
        if not scale > 0:
            raise ValueError("a clock's scale must be positive")
        self._reader = reader
        self.scale = scale
        self.origin = reader() if origin is None else origin
        self.epoch_unix_s = time.time() if epoch_unix_s is None else epoch_unix_s

    @classmethod
    def by_calendar(cls, scale: float, *, epoch_unix_s: float) -> Self:
        """The clock of a run on another machine, as far as both calendars agree."""
        return cls(scale, origin=time.monotonic() - (time.time() - epoch_unix_s), epoch_unix_s=epoch_unix_s)

    @classmethod
    def of_run(cls, manifest: Mapping[str, Any], *, here: bool = True) -> Self:
        """The clock of a run, as its manifest tells it; `here`: this machine's monotonic clock is the run's."""
        told, epoch_unix_s = manifest["clock"], float(manifest["epoch_unix_s"])
        if here:
            return cls(told["scale"], origin=told["origin"], epoch_unix_s=epoch_unix_s)
        return cls.by_calendar(told["scale"], epoch_unix_s=epoch_unix_s)

    def now_s(self) -> float:
        """Model seconds since the origin."""
        return (self._reader() - self.origin) * self.scale

    def real_s(self, model_s: float) -> float:
        """How long a model duration takes on this clock's reader."""
        return model_s / self.scale

    def model_s(self, real_s: float) -> float:
        """How much model time passes in a real duration."""
        return real_s * self.scale

    def unix_s(self, at_s: float) -> float:
        """The calendar instant of a model instant."""
        return self.epoch_unix_s + at_s

    def sleep(self, model_s: float) -> None:
        """Let a model duration pass in this thread (or greenlet, where gevent has patched `time`)."""
        time.sleep(max(0.0, model_s / self.scale))


def pause(real_s: float) -> None:
    """Wait in real time: for polling other processes, never for anything that is measured."""
    time.sleep(real_s)


def give_way() -> None:
    """Let other work of this process that is ready run first."""
    time.sleep(0)


def wall_s() -> float:
    """A reading of the real monotonic clock: for telling a user how long their run took."""
    return time.monotonic()


def calendar_s() -> float:
    """The calendar's instant, in unix seconds: for what outlives this process and is read by others."""
    return time.time()


def cpu_s() -> float:
    """CPU seconds this process has used."""
    return time.process_time()
