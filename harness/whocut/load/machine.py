"""A worker on another machine: its name, its way to the master, and its clock, held against the master's.

Calendars of machines differ, by more than a scaled clock forgives. So the worker asks the master for the run's time
as often as a few milliseconds allow, and keeps the quickest answer: its clock is then known within half of the time
that the answer took. What its records say is still another clock's word.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from whocut.clock import Clock
from whocut.clock.clock import calendar_s, wall_s
from whocut.errors import CouldNotRun
from whocut.path.target import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_QUESTIONS: Final = 12


@dataclass(frozen=True, slots=True)
class KnownClock:
    """The run's clock on this machine: within what bound, and how far this machine's calendar is off."""

    clock: Clock
    within_real_s: float
    off_real_s: float

    def facts(self) -> dict[str, float]:
        """For the account of how well this worker kept up."""
        return {
            "clock_off_real_s": round(self.off_real_s, 6),
            "clock_within_real_s": round(self.within_real_s, 6),
        }


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A worker that dialled another address of its master's than the loopback.

    `own_chain`: chain and mock are on its own machine, so that all that one attempt's records say is on one clock.
    """

    name: str
    master: str
    clock: KnownClock | None = None
    own_chain: bool = False

    @classmethod
    def of(cls, name: str, master: str) -> Self | None:
        """None: it is on the machine of the run, or has a tunnel to it."""
        return None if is_loopback(master) else cls(name, master)


def exchange(ask: Callable[[], tuple[Any, float]], manifest: Mapping[str, Any]) -> KnownClock:
    """Ask for the time until enough is known.

    Raises:
        CouldNotRun: the answers are no times.
    """
    scale, epoch_unix_s = float(manifest["clock"]["scale"]), float(manifest["epoch_unix_s"])
    best: tuple[float, float] | None = None
    for _ in range(_QUESTIONS):
        answer, came_s = ask()
        try:
            asked_s, now_s = float(answer["asked"]), float(answer["now_s"])
        except (TypeError, ValueError, KeyError):
            raise CouldNotRun(
                "the master's answer is no time. Use the same version on all machines."
            ) from None
        half_s = (came_s - asked_s) / 2
        if best is None or half_s < best[0]:
            best = half_s, asked_s + half_s - now_s / scale
    assert best is not None
    within_s, origin = best
    off_s = (calendar_s() - wall_s() + origin) - epoch_unix_s
    return KnownClock(Clock(scale, origin=origin, epoch_unix_s=epoch_unix_s), within_s, off_s)
