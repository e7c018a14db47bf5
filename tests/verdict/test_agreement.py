"""Verdicts and ledger must tell the same story, and a difference is named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.verdict.drawn import Drawn, drawn
from whocut.verdict.agreement import hold_against_ledger
from whocut.verdict.attribute import attribute
from whocut.verdict.evidence import gather

CUT = """
    one column is 5 s
    client    |============|
    nginx     |============x first_byte
    upstream  |===========l=========================|
"""


def row(**changes: Any) -> dict[str, Any]:
    """The ledger's row of the drawing's generation."""
    told: dict[str, Any] = {
        "generation": "gen-1",
        "state": "settled",
        "started_s": 0.0,
        "delivered": False,
        "caller_gone_s": 60.0,
        "fault": None,
    }
    return told | changes


def differences(trace: Drawn, *rows: dict[str, Any]) -> list[str]:
    """What the ledger and the verdicts on a drawing do not agree about."""
    verdicts = [attribute(evidence, trace.topology) for evidence in gather(trace.spans)]
    return [one.what for one in hold_against_ledger(verdicts, rows).disagree]


def test_same_story_is_no_difference() -> None:
    """Nginx cut, and the ledger saw its caller go."""
    assert differences(drawn(CUT), row()) == []


def test_ledger_that_delivered_what_was_cut_is_a_difference() -> None:
    """The client has a 504, the ledger a delivered image."""
    (what,) = differences(drawn(CUT), row(delivered=True, caller_gone_s=None))

    assert "says the image was delivered" in what


@pytest.mark.parametrize("delivered", [True, False], ids=["an image", "a refusal"])
@pytest.mark.parametrize(("sent_s", "fits"), [(65.5, True), (64.5, True), (66.0, False), (20.0, False)])
def test_an_answer_that_crosses_the_cut_on_the_wire_is_no_difference(
    sent_s: float, *, fits: bool, delivered: bool
) -> None:
    """The upstream has sent all of it in the moment in which nginx cut: it could not see its caller go."""
    crossed = row(delivered=delivered, caller_gone_s=None, sent_s=sent_s)

    assert (differences(drawn(CUT), crossed) == []) is fits


LEFT = """
    one column is 5 s
    client    |===========-
    nginx     |===========-
    upstream  |===========l=|
"""


@pytest.mark.parametrize(("sent_s", "fits"), [(60.5, True), (59.5, True), (62.0, False), (20.0, False)])
def test_an_answer_that_crosses_a_caller_s_leaving_on_the_wire_is_no_difference(
    sent_s: float, *, fits: bool
) -> None:
    """No timer of the client's ended its wait of 60 s: its process did, or its program."""
    crossed = row(delivered=True, caller_gone_s=None, sent_s=sent_s)

    assert (differences(drawn(LEFT), crossed) == []) is fits


def test_generation_nobody_asked_for_is_a_difference() -> None:
    """Every row of the ledger belongs to an attempt."""
    (what,) = differences(drawn(CUT), row(), row(generation="gen-2"))

    assert "gen-2" in what


def test_two_generations_of_one_attempt_are_both_accounted_for() -> None:
    """A layer that asks again by itself starts a second generation behind one attempt."""
    trace = drawn(CUT)
    first = trace.generation
    trace.spans.append(replace(first, span_id="9" * 16, start_s=first.start_s + 1, generation="gen-2"))

    assert differences(trace, row(), row(generation="gen-2")) == []
