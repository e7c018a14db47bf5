"""Lines of logs join by time, the nearest first, and in a time that grows with the lines."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from whocut.trace.logs.records import Account, EndedBy
from whocut.verdict import joining
from whocut.verdict.joining import join

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whocut.verdict.evidence import AttemptEvidence

POSITIONS = {"outer": 1, "inner": 2}


def account(layer: str, end_s: float, status: int = 504) -> Account:
    """A line without any name: only its time joins it."""
    place = f"{layer} {end_s}"
    return Account(
        signal=f"{status}", ended_by=EndedBy.LAYER, status=status, end_s=end_s, layer=layer, place=place
    )


def joined(accounts: Sequence[Account]) -> list[AttemptEvidence]:
    """The attempts that these lines tell of."""
    return join([], accounts, POSITIONS)


def pairs(attempts: Sequence[AttemptEvidence]) -> list[tuple[str, ...]]:
    """The places of the lines of each attempt."""
    return [tuple(said.account.place for said in attempt.testimony) for attempt in attempts]


def calls_of(accounts: Sequence[Account]) -> int:
    """How many functions of the joining are called for these lines."""
    calls = 0

    def count(frame: Any, event: str, _: object) -> None:
        nonlocal calls
        calls += event == "call" and frame.f_code.co_filename == joining.__file__

    sys.setprofile(count)
    try:
        joined(accounts)
    finally:
        sys.setprofile(None)
    return calls


def test_a_line_goes_to_the_nearest_attempt() -> None:
    """Before or after it: clocks may differ either way."""
    found = joined([account("outer", at_s) for at_s in (10.0, 10.4, 10.8)] + [account("inner", 10.45)])

    assert ("outer 10.4", "inner 10.45") in pairs(found)


def test_each_attempt_gets_one_line_of_a_layer() -> None:
    """Three requests of one instant and three lines of that instant: a pair each."""
    found = joined([account(layer, 5.0) for layer in ("outer", "inner") for _ in range(3)])

    assert pairs(found) == [("outer 5.0", "inner 5.0")] * 3


@pytest.mark.parametrize("apart_s", [0.0, 1e-4], ids=["one instant", "one second"])
def test_a_busy_second_costs_what_it_has_lines(apart_s: float) -> None:
    """Twice the lines, about twice the work."""

    def lines(count: int) -> list[Account]:
        return [account(layer, 5.0 + n * apart_s) for layer in POSITIONS for n in range(count)]

    assert calls_of(lines(500)) <= 2.4 * calls_of(lines(250))
