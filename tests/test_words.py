"""Numbers in words: counts, durations and shares are written in one way."""

from __future__ import annotations

import pytest

from whocut.words import in_seconds, percent, plural, rounded_duration, times


def test_a_count_agrees_with_its_noun() -> None:
    """One attempt, and thousands with their comma."""
    assert [plural(1, "attempt"), plural(0, "attempt"), plural(1180, "attempt")] == [
        "1 attempt",
        "0 attempts",
        "1,180 attempts",
    ]
    assert plural(2, "entry", "entries") == "2 entries"
    assert [times(count) for count in (1, 2, 3, 7)] == ["once", "twice", "three times", "7 times"]


@pytest.mark.parametrize(
    ("part", "digits", "written"),
    [
        (None, 0, "–"),
        (0.0, 0, "0%"),
        (0.001, 0, "<1%"),
        (0.083, 0, "8%"),
        (0.999, 0, ">99%"),
        (1.0, 0, "100%"),
        (0.0004, 1, "<0.1%"),
        (0.05, 1, "5.0%"),
        (0.9996, 1, ">99.9%"),
    ],
)
def test_a_share_is_never_0_of_some_or_100_of_fewer_than_all(
    part: float | None, digits: int, written: str
) -> None:
    """What rounding would hide is said."""
    assert percent(part, digits) == written


def test_a_measured_duration_is_rounded() -> None:
    """A tenth of a second, or a hundredth; a column counts in seconds alone."""
    assert [rounded_duration(60.44), rounded_duration(0.004, 2), rounded_duration(1.234, 2)] == [
        "60.4 s",
        "0 s",
        "1.23 s",
    ]
    assert [in_seconds(405.2), in_seconds(3.21), in_seconds(0.0), in_seconds(None)] == [
        "405 s",
        "3.2 s",
        "0 s",
        "–",
    ]
