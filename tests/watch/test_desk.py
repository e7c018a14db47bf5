"""When a trace is decided, and what is held until then."""

from __future__ import annotations

import pytest

from tests.foreign.test_between import cut_in_the_wait
from tests.watch.made import foreign, timed_out
from whocut.chain.between import parse_between
from whocut.trace.records import Outcome
from whocut.watch.desk import Desk, Trace, Waiting

WAITING = Waiting(quiet_s=10, patience_s=900, most_held=1_000)


def decided(desk: Desk, now_s: float) -> list[str]:
    """The traces that are decided at an instant."""
    return [desk.decide(trace).trace.trace_id[-2:] for trace in desk.due(now_s)]


def test_a_trace_is_decided_when_nothing_has_come_of_it_for_a_while() -> None:
    """The last word counts, not the first."""
    desk = Desk(WAITING)
    first, second = timed_out(1)[:1], timed_out(1)[1:]
    desk.take_spans(first, 1, 0.0)
    desk.take_spans(second, 2, 8.0)

    assert decided(desk, 17.9) == []
    assert decided(desk, 18.0) == ["01"]
    assert (len(desk), desk.held) == (0, 0)


def test_a_layer_that_usually_reports_is_waited_for() -> None:
    """An orphan runs for minutes after its caller has gone; patience has an end."""
    desk = Desk(WAITING)
    for number in (1, 2, 3):
        desk.take_spans(timed_out(number), number, 0.0)
    assert decided(desk, 10.0) == ["01", "02", "03"]
    desk.take_spans(timed_out(4)[:-1], 4, 20.0)
    desk.take_spans(timed_out(5)[:-1], 5, 20.0)

    assert decided(desk, 100.0) == []
    desk.take_spans(timed_out(4)[-1:], 6, 200.0)
    assert decided(desk, 210.0) == ["04"]
    assert decided(desk, 920.0) == ["05"]


def test_a_layer_that_reports_no_more_is_waited_for_no_more() -> None:
    """Traces that lack it are decided when it is not usual any longer, also where they are taken one at a time."""
    desk = Desk(WAITING)
    for number in (1, 2, 3):
        desk.take_spans(timed_out(number), number, 0.0)
    assert decided(desk, 10.0) == ["01", "02", "03"]
    for number in range(16, 20):
        desk.take_spans(timed_out(number)[:-1], number, 20.0)
    assert decided(desk, 40.0) == []
    for number in range(32, 40):  # without an app, and let go because all the others wait
        desk.decide(Trace(f"{number:032x}", 40.0, 40.0, list(timed_out(number)[:-1]), rows_alone=False))

    first = next(desk.due(41.0))

    assert desk.decide(first).trace.trace_id[-2:] == "10"
    assert decided(desk, 41.0) == ["11", "12", "13"]


def test_a_trace_that_waits_does_not_hold_up_those_behind_it() -> None:
    """The ones that came later are decided when they are whole."""
    desk = Desk(WAITING)
    desk.take_spans(timed_out(1), 1, 0.0)
    assert decided(desk, 10.0) == ["01"]
    desk.take_spans(timed_out(2)[:-1], 2, 20.0)
    desk.take_spans(timed_out(3), 3, 25.0)

    assert decided(desk, 40.0) == ["03"]


def test_what_comes_of_a_decided_trace_is_late_and_counted() -> None:
    """No trace has two verdicts."""
    desk = Desk(WAITING)
    desk.take_spans(timed_out(1), 1, 0.0)
    assert decided(desk, 10.0) == ["01"]

    touched = desk.take_spans(timed_out(1)[-1:], 2, 11.0)

    assert touched == set()
    assert desk.counts.late == 1
    assert decided(desk, 1000.0) == []


def test_memory_is_bounded_and_what_is_let_go_is_counted() -> None:
    """The oldest trace is decided early; of one endless trace a part is kept."""
    desk = Desk(Waiting(quiet_s=10, patience_s=900, most_held=50))
    for number in range(1, 30):
        desk.take_spans(timed_out(number), number, 0.0)
    held = len(timed_out(1))

    early = decided(desk, 0.0)

    assert desk.held <= 50
    assert desk.counts.early == len(early) == 29 - 50 // held
    assert set(early) == {f"{number:02x}" for number in range(1, len(early) + 1)}

    desk = Desk(Waiting(most_held=10_000))
    desk.take_spans([foreign(1, own, 2, "endless") for own in range(1, 3_000)], 1, 0.0)
    assert desk.held == 2_000
    assert desk.counts.shed == 999


def test_what_comes_of_a_trace_that_was_let_go_is_late_before_it_is_decided() -> None:
    """Memory was full between two looks: the rest of a trace does not begin it anew."""
    desk = Desk(Waiting(quiet_s=10, patience_s=900, most_held=6))
    desk.take_spans(timed_out(1)[:2], 1, 0.0)
    desk.take_spans(timed_out(2), 2, 0.0)
    desk.take_spans(timed_out(3)[:2], 3, 0.0)  # the first has to go
    desk.take_spans(timed_out(1)[2:], 4, 0.0)

    assert (desk.counts.early, desk.counts.late) == (1, 2)
    assert decided(desk, 1_000.0) == ["01", "02", "03"]
    assert desk.counts.judged + desk.counts.late == desk.counts.spans == 10


def test_a_span_that_was_sent_twice_is_one() -> None:
    """An exporter that had no answer sends its batch again."""
    desk = Desk(WAITING)
    desk.take_spans(timed_out(1), 1, 0.0)
    desk.take_spans(timed_out(1), 2, 0.0)

    (trace,) = desk.due(10.0)

    (verdict,) = desk.decide(trace).verdicts
    assert (verdict.layer, verdict.timer) == ("gateway", "first_byte")


@pytest.mark.parametrize("inner_tap_writes", [True, False])
def test_what_is_between_two_taps_may_be_said_and_each_trace_shows_what_it_has(
    *, inner_tap_writes: bool
) -> None:
    """A trace with both is judged by the layer's timers; one whose inner tap wrote nothing is judged without."""
    desk = Desk(WAITING, between=parse_between(["a,b=nginx:first_byte=30s,idle=30s"]))
    spans = cut_in_the_wait(30, 504, Outcome.GATEWAY_ERROR)
    desk.take_spans(spans if inner_tap_writes else spans[:-1], 1, 0.0)

    ((verdict,),) = [desk.decide(trace).verdicts for trace in desk.due(10.0)]

    if inner_tap_writes:
        assert (verdict.layer, verdict.timer, verdict.grade) == ("nginx", "first_byte", "proven")
    else:
        assert verdict.layer != "nginx"
