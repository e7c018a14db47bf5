"""Durations as people write them."""

from __future__ import annotations

import pytest

from whocut.chain.durations import parse_duration
from whocut.words import format_duration


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("60s", 60),
        ("2m30s", 150),
        ("600ms", 0.6),
        ("1h", 3600),
        ("1d", 86400),
        ("1.5s", 1.5),
        (" 60 S ", 60),
        ("1h 2m 3s 4ms", 3723.004),
        ("none", None),
        ("off", None),
        ("Never", None),
        (None, None),
    ],
)
def test_a_duration_is_read(written: object, seconds: float | None) -> None:
    """Units in any case, parts in any number, none for no timer."""
    got = parse_duration(written)

    assert got is None if seconds is None else got == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("written", "advice"),
    [
        (0, "write none for no timer"),
        ("0", "write none for no timer"),
        ("0s", "write none for no timer"),
        ("0ms", "write none for no timer"),
        (60, "write 60.0s|write 60s|no unit"),
        ("60", "write 60s for seconds"),
        ("-5s", "write it like 60s"),
        (-5, "no unit"),
        ("soon", "write it like 60s"),
        ("60 seconds", "write it like 60s"),
        ("60sec", "write it like 60s"),
        ("", "write it like 60s"),
        (True, "write it like 60s"),
        ([60], "write it like 60s"),
        ("1e3s", "write it like 60s"),
    ],
)
def test_what_is_no_duration_is_refused_with_advice(written: object, advice: str) -> None:
    """Zero is refused, a bare number asks for its unit, and the rest is told how to write it."""
    with pytest.raises(ValueError, match=advice):
        parse_duration(written)


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (None, "none"),
        (0.6, "600 ms"),
        (1, "1 s"),
        (60, "60 s"),
        (90, "90 s"),
        (120, "120 s"),
        (150, "150 s"),
        (600, "10 min"),
        (59.999, "60 s"),
    ],
)
def test_a_duration_is_written_as_people_say_it(seconds: float | None, written: str) -> None:
    """The shortest usual way."""
    assert format_duration(seconds) == written
