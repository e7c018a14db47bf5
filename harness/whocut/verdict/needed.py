"""What a timer that fired would have had to allow: the wait for the first byte, a gap, or the whole answer.

Which of the three follows from the timer; the phase only says which part of the answer it was. A total limit cuts
in the middle of a stream, and no gap of that stream was too long for it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from whocut.chain.timers import Phase, TimerKind

if TYPE_CHECKING:
    from whocut.trace.emissions import Emissions


class Needed(StrEnum):
    """The duration that a timer is held against."""

    WAIT = "wait"  # from the request to the first byte
    GAP = "gap"  # between two bytes
    WHOLE = "whole"  # from the request to the last byte


_MEASURED = 0.98  # a duration that is shorter than the limit by more than clocks err did not run into it
_NEEDED = {
    (TimerKind.FIRST_BYTE, Phase.WAIT): Needed.WAIT,
    (TimerKind.IDLE, Phase.WAIT): Needed.WAIT,
    (TimerKind.IDLE, Phase.STREAM): Needed.GAP,
    (TimerKind.TOTAL, Phase.WAIT): Needed.WHOLE,
    (TimerKind.TOTAL, Phase.STREAM): Needed.WHOLE,
}


def needed_by(timer: TimerKind | None, phase: Phase | None) -> Needed | None:
    """What this timer waits for in this phase; None where the upstream's answer has no part in it."""
    return _NEEDED.get((timer, phase)) if timer and phase else None


def needed_s(
    sent: Emissions | None, timer: TimerKind, phase: Phase, *, limit_s: float, cut_s: float
) -> float | None:
    """How long that lasted, or would have lasted, by the upstream's ledger.

    None where the ledger does not know, or knows of nothing that is longer than the limit: layers between may hold
    bytes back. The first byte that comes through a layer that buffers is the last one of the upstream.
    """
    what = needed_by(timer, phase)
    if sent is None or what is None:
        return None
    lasted = {
        Needed.WAIT: (sent.wait_s, sent.whole_s),
        Needed.GAP: (sent.gap_around(cut_s),),
        Needed.WHOLE: (sent.whole_s,),
    }
    return next((s for s in lasted[what] if s is not None and s >= limit_s * _MEASURED), None)
