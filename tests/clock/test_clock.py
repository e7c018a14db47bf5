"""Real and scaled time: model seconds from an origin that processes can share."""

from __future__ import annotations

import pytest

from whocut.clock import Clock, ClockSpec, parse_clock
from whocut.clock.clock import cpu_s, pause, wall_s
from whocut.errors import BadInput


class Reader:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """What it shows."""
        return self.now


def test_model_seconds_start_at_the_origin() -> None:
    """The clock shows nothing at its origin, whatever its reader shows."""
    reader = Reader()
    clock = Clock(reader=reader)

    assert clock.now_s() == 0

    reader.now += 2.5

    assert clock.now_s() == 2.5


def test_scaled_seconds_pass_faster() -> None:
    """A hundred model seconds a real one, and back."""
    reader = Reader()
    clock = Clock(100.0, reader=reader)

    reader.now += 0.6

    assert clock.now_s() == pytest.approx(60)
    assert clock.real_s(60) == pytest.approx(0.6)


def test_two_processes_share_an_origin() -> None:
    """Whoever is told the origin reads the same model time."""
    reader = Reader()
    first = Clock(100.0, reader=reader)
    reader.now += 3
    second = Clock(100.0, origin=first.origin, epoch_unix_s=first.epoch_unix_s, reader=reader)

    assert second.now_s() == first.now_s() == 300
    assert second.unix_s(300) == first.unix_s(300)


def test_the_calendar_runs_in_model_time() -> None:
    """A minute of the model is a minute of the calendar."""
    clock = Clock(100.0, epoch_unix_s=1000.0, reader=Reader())

    assert clock.unix_s(60) == 1060


@pytest.mark.real_time
def test_sleeping_takes_the_real_part() -> None:
    """A model duration is slept in real time, divided by the scale."""
    started_s = wall_s()

    Clock(1000.0).sleep(20)
    pause(0.001)

    assert 0.02 <= wall_s() - started_s < 20  # the model's twenty seconds would be as many real ones
    assert cpu_s() > 0


@pytest.mark.parametrize(
    ("written", "spec"),
    [
        ("real", ClockSpec()),
        ("scaled:100", ClockSpec(100)),
        ("scaled:0.5", ClockSpec(0.5)),
        ("scaled:10000", ClockSpec(10_000)),
    ],
)
def test_a_clock_is_written_as_it_is_read(written: str, spec: ClockSpec) -> None:
    """Reading and writing are inverse."""
    assert parse_clock(written) == spec
    assert str(spec) == written


@pytest.mark.parametrize(
    "written",
    ["", "fast", "scaled", "scaled:", "scaled:x", "scaled:0", "scaled:-1", "scaled:inf", "scaled:nan"],
)
def test_what_is_no_clock_is_refused(written: str) -> None:
    """The message says what to write."""
    with pytest.raises(BadInput, match="scaled:100"):
        parse_clock(written)


@pytest.mark.parametrize("written", ["scaled:1e9", "scaled:10001", "scaled:inf"])
def test_a_clock_too_fast_to_measure_anything_is_refused(written: str) -> None:
    """A billion seconds a second is no run: one sentence, with the most that goes."""
    with pytest.raises(BadInput, match=f"'{written}' is faster than timers can follow; .* scaled:10000"):
        parse_clock(written)


@pytest.mark.parametrize("scale", [0, -1])
def test_a_scale_is_positive(scale: float) -> None:
    """Time does not stand still or run backwards."""
    with pytest.raises(ValueError, match="positive"):
        Clock(scale)
