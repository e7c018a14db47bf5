"""Which of two ends was first, by durations: two clocks are never compared."""

from __future__ import annotations

from dataclasses import replace

import pytest

from whocut.trace.records import LayerRecord, TapSide, UpstreamEnd
from whocut.verdict.order import Order, Sure, apart_s, order_of, told_at_once


def witness(
    clock: str | None, start_s: float, end_s: float, *, first_s: float | None = None, status: int = 200
) -> LayerRecord:
    """One witness of an exchange."""
    return LayerRecord(
        trace_id="a" * 32, span_id="1" * 16, parent_id=None, layer="tap", name="POST /", start_s=start_s,
        end_s=end_s, first_byte_s=first_s, status=status, clock=clock,
    )  # fmt: skip


SKEWS_S = (0.0, 7.0, -7.0, 973.0, -973.0)


@pytest.mark.parametrize("skew_s", SKEWS_S)
def test_what_took_longer_further_in_was_later(skew_s: float) -> None:
    """An exchange does not begin further in before it begins further out."""
    outer, inner = witness("a", 0, 20), witness("b", skew_s, skew_s + 60)

    assert order_of(outer, 20, inner, skew_s + 60) is Order.AFTER


@pytest.mark.parametrize("skew_s", SKEWS_S)
def test_what_ended_sooner_after_one_good_answer_s_first_byte_was_earlier(skew_s: float) -> None:
    """That byte passes the inner witness first, whatever held the request before."""
    outer = witness("a", 0, 90, first_s=5)
    inner = witness("b", skew_s, skew_s + 35, first_s=skew_s + 5)

    assert order_of(outer, 90, inner, skew_s + 35) is Order.BEFORE


UNKNOWN = {
    "no byte came": (witness("a", 0, 90), witness("b", 0, 30)),
    "the first byte was of an answer of another's": (
        witness("a", 0, 90, first_s=5, status=503),
        witness("b", 0, 30, first_s=4, status=503),
    ),
    "two answers": (witness("a", 0, 90, first_s=5, status=206), witness("b", 0, 30, first_s=4)),
    "a busy machine explains it": (witness("a", 0, 30), witness("b", 0, 30.3)),
    "a busy machine explains it the other way": (
        witness("a", 0, 30, first_s=5),
        witness("b", 0, 29.8, first_s=5),
    ),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_where_both_orders_explain_what_was_seen_it_is_not_known(case: str) -> None:
    """Two clocks that agree are no proof that they are right."""
    outer, inner = UNKNOWN[case]

    assert order_of(outer, outer.end_s, inner, inner.end_s) is Order.UNKNOWN


def test_a_tap_of_a_user_s_beside_a_scaled_run_is_as_late_as_its_own_seconds() -> None:
    """Fifty milliseconds of a busy machine are five seconds of a run at 1:100, and prove no order."""
    outer, inner = witness(None, 0, 60), replace(witness("tap", 0, 0.65), tap=TapSide.ALONE)

    inner.stretch(100)

    assert inner.end_s == 65
    assert order_of(outer, 60, inner, 65) is Order.UNKNOWN
    assert order_of(outer, 14, inner, 65) is Order.AFTER


TOLD = {
    "at once": ((0.0, 95.7), 95.9, Sure.YES),
    "as late as the request was held before": ((24.0, 119.7), 119.9, Sure.BY_INSTANT),
    "long after it": ((24.5, 215.9), 224.7, Sure.NO),
    "before it": ((0.0, 95.7), 60.0, Sure.YES),  # then it was no answer to it: other rules see that
}


@pytest.mark.parametrize(("inner", "told_s", "sure"), TOLD.values(), ids=TOLD)
def test_an_end_proves_nothing_of_an_answer_that_came_long_after_it(
    inner: tuple[float, float], told_s: float, sure: Sure
) -> None:
    """Two layers may be between: the outer one had let go and told it late, the inner one was blind to that."""
    outer = replace(witness("a", 0, told_s, first_s=told_s, status=504), upstream=UpstreamEnd.COMPLETE)

    assert told_at_once(outer, *inner, passed_at_once=True) is sure


@pytest.mark.parametrize(("status", "sure"), [(503, Sure.BY_INSTANT), (200, Sure.YES)])
def test_a_request_that_may_have_been_held_back_proves_an_end_by_a_part_of_a_good_answer_alone(
    status: int, sure: Sure
) -> None:
    """A layer that waits its turn for 18 s hides that another one had answered before the end that took as long."""
    outer = replace(witness("a", 0, 15, first_s=15, status=status), upstream=UpstreamEnd.COMPLETE)

    assert told_at_once(outer, 18.3, 33.6, passed_at_once=False) is sure


def test_one_clock_tells_by_its_instants() -> None:
    """Layers of one run share a clock; a tap without the name of a clock has one of its own."""
    outer, inner = witness(None, 0, 30), witness(None, 0.1, 29.9)
    tap = replace(inner, tap=TapSide.ALONE)

    assert order_of(outer, 30, inner, 29.9) is Order.BEFORE
    assert order_of(outer, 30, inner, 30) is Order.AFTER
    assert order_of(outer, 30, tap, 29.9) is Order.UNKNOWN


def test_clocks_that_cannot_agree_are_taken_to_have_passed_the_request_at_once() -> None:
    """And clocks that can are left alone."""
    outer = witness("a", 0, 90)

    assert apart_s(outer, witness("b", 973, 1003)) == -973
    assert apart_s(outer, witness("b", -5, 25)) == 5
    assert apart_s(outer, witness("b", 0.01, 30)) == 0
    assert apart_s(outer, witness("a", 973, 1003)) == 0
