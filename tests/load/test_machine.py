"""A worker's clock held against its master's, over a connection that takes its time."""

from __future__ import annotations

from typing import Any

import pytest

from whocut.clock import Clock
from whocut.clock.clock import calendar_s, wall_s
from whocut.errors import CouldNotRun
from whocut.load.machine import Elsewhere, exchange

EPOCH_UNIX_S = calendar_s()
MANIFEST = {"clock": {"scale": 100.0, "origin": 1.0}, "epoch_unix_s": EPOCH_UNIX_S}


@pytest.mark.parametrize("later_s", [0.0, -3600.0, 86_400.0])
def test_clock_is_the_master_s_within_half_of_the_quickest_answer(later_s: float) -> None:
    """Whatever this machine's own clocks say; one slow answer among the others does no harm."""
    origin = wall_s() - later_s
    masters = Clock(100.0, origin=origin, epoch_unix_s=EPOCH_UNIX_S)
    ways = iter([(0.5, 0.0), (0.001, 0.003), (0.0, 4.0)] * 4)  # there, and back

    def ask() -> tuple[Any, float]:
        there_s, back_s = next(ways)
        asked_s = wall_s()
        return {"asked": asked_s, "now_s": masters.now_s() + there_s * 100.0}, asked_s + there_s + back_s

    known = exchange(ask, MANIFEST)

    assert known.within_real_s == pytest.approx(0.002)
    assert abs(known.clock.origin - origin) <= known.within_real_s + 0.01  # what this program itself takes
    off_s = known.clock.origin - wall_s() + calendar_s() - EPOCH_UNIX_S
    assert known.off_real_s == pytest.approx(off_s, abs=0.1)


@pytest.mark.parametrize("answer", [None, {}, {"asked": "x", "now_s": 1}, {"asked": 1}])
def test_answer_that_is_no_time_is_refused(answer: Any) -> None:
    """With what to do."""
    with pytest.raises(CouldNotRun, match="the master's answer is no time"):
        exchange(lambda: (answer, 1.0), MANIFEST)


def test_only_an_address_beyond_the_loopback_is_elsewhere() -> None:
    """A tunnel ends on the loopback, and a worker on the machine of the run dials it."""
    assert Elsewhere.of("far", "10.0.0.1") == Elsewhere("far", "10.0.0.1")
    assert Elsewhere.of("near", "127.0.0.1") is None
    assert Elsewhere.of("near", "localhost") is None
    assert Elsewhere.of("far", "master.example") is not None
