"""Where taps stand, by parentage alone; whose edge makes an attempt; and no shape of spans makes it fall over."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whocut.chain.catalogue import overridden, preset
from whocut.chain.layers import Between, Layer, Topology
from whocut.chain.timers import Phase, TimerKind
from whocut.trace.records import (
    CALLER_LEFT,
    AttemptRecord,
    Cut,
    DownstreamEnd,
    Event,
    GenerationRecord,
    LayerRecord,
    Outcome,
    Span,
    TapSide,
    UpstreamEnd,
)
from whocut.verdict.attribution import attribute_all
from whocut.verdict.seating import seated, taps_of
from whocut.verdict.verdict import Grade, Kind
from whocut.waterfall.rows import waterfall

if TYPE_CHECKING:
    from whocut.verdict.verdict import Verdict

TRACE = "a" * 32
ABANDONED, COMPLETE, CLOSED = UpstreamEnd.ABANDONED, UpstreamEnd.COMPLETE, UpstreamEnd.CLOSED
LEFT, ANSWERED = DownstreamEnd.LEFT, DownstreamEnd.ANSWERED


def tap(own: int, parent: int | None, name: str, upstream: UpstreamEnd = COMPLETE, **has: Any) -> LayerRecord:
    """A tap's span; its user has said nothing of its position."""
    end_s = has.pop("end_s", 30.0)
    left = upstream is ABANDONED
    return LayerRecord(
        trace_id=TRACE, span_id=f"{own:016x}", parent_id=None if parent is None else f"{parent:016x}",
        layer=name, name="POST /", start_s=0.0, end_s=end_s, position=1, tap=TapSide.ALONE, upstream=upstream,
        upstream_s=end_s, downstream=LEFT if left else ANSWERED, downstream_s=end_s, request_sent_s=0.0,
        events=[Event(CALLER_LEFT, end_s)] if left else [], **({"clock": f"{name}-{own}"} | has),
    )  # fmt: skip


def attempt(own: int, parent: int | None, upstream: UpstreamEnd, **has: Any) -> AttemptRecord:
    """A client's span, or a run's view of whoever dialled it."""
    told: dict[str, Any] = {"outcome": Outcome.GATEWAY_ERROR, "end_s": 30.0, "downstream": ANSWERED} | has
    return AttemptRecord(
        trace_id=TRACE, span_id=f"{own:016x}", parent_id=None if parent is None else f"{parent:016x}",
        layer="openai-python", name="POST /", start_s=0.0, upstream=upstream, upstream_s=told["end_s"],
        downstream_s=told["end_s"], request="request-1", **told,
    )  # fmt: skip


def chain(*hops: str) -> Topology:
    """A chain whose layers are of these presets."""
    return Topology(name="t", client=preset("openai-python"), hops=tuple(preset(name) for name in hops))


def judged(spans: list[Span], topology: Topology) -> list[Verdict]:
    """A verdict an attempt; drawn as well, since a drawing goes by the same places."""
    told = attribute_all((), spans, topology)
    for request in {one.request for one in told.evidence}:
        waterfall(request, told)
    return list(told.verdicts)


def test_taps_stand_in_the_order_of_their_parents() -> None:
    """Whatever their names, and although each of them says that it stands right behind the client."""
    spans: list[Span] = [tap(3, 2, "a"), tap(1, None, "z"), tap(2, 1, "m")]

    assert taps_of(spans).names == ("z", "m", "a")


def test_two_taps_of_one_name_are_two() -> None:
    """The default name, twice in one request: the gateway between them is seen all the same."""
    spans: list[Span] = [
        attempt(1, None, COMPLETE, status=504),
        tap(2, 1, "tap", status=504, first_byte_s=30.0),
        tap(3, 2, "tap", ABANDONED),
    ]

    (told,) = judged(spans, chain())

    assert (told.layer, told.grade) == ("what is between tap and tap-2", Grade.PROVEN)


def test_where_parents_are_lost_the_tap_that_held_on_longer_stands_further_out() -> None:
    """A gateway that begins a trace's parent anew takes no tap's place away; but their order is a guess."""
    spans: list[Span] = [tap(1, 78, "b", end_s=29.0), tap(2, 77, "a", end_s=30.0)]

    assert taps_of(spans).names == ("a", "b")
    assert taps_of(spans).guessed == {("a", "b")}


def cut_between(outer: LayerRecord, inner: LayerRecord) -> list[Span]:
    """A client that was answered 504, and two taps of which the inner one saw its caller leave."""
    return [
        attempt(1, None, COMPLETE, status=504),
        replace(outer, status=504, first_byte_s=30.0),
        replace(inner, upstream=ABANDONED, downstream=LEFT, events=[Event(CALLER_LEFT, 30.0)]),
    ]


@pytest.mark.parametrize(
    ("outer", "inner", "positions", "grade"),
    [
        (1, 77, (1, 1), Grade.PROVEN),  # the outer one's parent is the client's attempt
        (78, 77, (1, 1), Grade.INFERRED),  # two parents that are lost: either may be the outer one
        (78, 77, (1, 2), Grade.PROVEN),  # their user has said where they are
        (78, 3, (1, 1), Grade.PROVEN),  # and here one is the parent of the other
    ],
)
def test_no_verdict_that_rests_on_a_guessed_order_of_taps_is_proven(
    outer: int, inner: int, positions: tuple[int, int], grade: Grade
) -> None:
    """The tap between them is missing, and with it the parent that would tell; names and durations tell nothing."""
    spans = cut_between(
        replace(tap(3, outer, "z"), position=positions[0]), replace(tap(4, inner, "a"), position=positions[1])
    )
    spans[1].end_s += 1.0

    (told,) = judged(spans, chain())

    assert (told.layer, told.grade) == ("what is between z and a", grade)


def test_a_chain_that_says_the_order_of_taps_makes_it_no_guess() -> None:
    """Said with the layer between them."""
    spans = cut_between(tap(3, 78, "z", end_s=31.0), tap(4, 77, "a"))
    said = replace(chain(), between=(Between("z", "a", preset("nginx")),))

    (told,) = judged(spans, said)

    assert (told.layer, told.grade) == ("nginx", Grade.PROVEN)


def test_two_taps_of_one_name_are_two_although_the_one_between_them_is_missing() -> None:
    """Each tap has a clock of its own: what ended behind the inner one is no second try at the outer one."""
    spans: list[Span] = [
        attempt(1, None, CLOSED, outcome=Outcome.RESET, end_s=30.0),
        replace(tap(2, 1, "tap", CLOSED, end_s=30.0), downstream=DownstreamEnd.TRUNCATED),
        replace(tap(3, 77, "tap", CLOSED, end_s=62.0), downstream=DownstreamEnd.TRUNCATED),
        GenerationRecord(
            trace_id=TRACE, span_id="9" * 16, parent_id=f"{3:016x}", layer="upstream", name="generation",
            start_s=0.0, end_s=200.0, generation="g", fault="close",
        ),
    ]  # fmt: skip

    (told,) = judged(spans, chain())

    assert (told.layer, told.grade) != ("upstream", Grade.PROVEN)


def test_where_nothing_is_known_of_the_way_a_ledger_proves_no_client_s_cut() -> None:
    """The upstream saw its caller go five seconds before the client's timer fired: a layer let go in silence."""
    cut = Cut(timer=TimerKind.FIRST_BYTE, directive="timeout.read", phase=Phase.WAIT, limit_s=60.0, at_s=60.0)
    spans: list[Span] = [
        attempt(1, None, UpstreamEnd.CUT, outcome=Outcome.TIMEOUT, cut=cut, end_s=60.0),
        GenerationRecord(
            trace_id=TRACE, span_id="9" * 16, parent_id=f"{1:016x}", layer="upstream", name="generation",
            start_s=0.0, end_s=200.0, generation="g", caller_gone_s=55.0,
        ),
    ]  # fmt: skip

    (of_a_run,) = judged(spans, chain())
    (of_material,) = judged(spans, replace(chain(), whole=False))

    assert (of_material.layer, of_material.grade) == ("openai-python", Grade.TESTIFIED)
    assert of_a_run.grade is Grade.PROVEN  # a run's client dials the mock itself: no layer is between them


def test_a_silent_layer_before_a_blind_one_makes_the_client_s_own_timer_no_testimony() -> None:
    """It let go at 55 s and told nothing; the client gave up at 60 s: which was first, no clock can tell."""
    cut = Cut(timer=TimerKind.FIRST_BYTE, directive="timeout.read", phase=Phase.WAIT, limit_s=60.0, at_s=60.0)
    spans: list[Span] = [
        attempt(1, None, UpstreamEnd.CUT, outcome=Outcome.TIMEOUT, cut=cut, end_s=60.0),
        tap(2, 1, "a", ABANDONED, end_s=60.0),
        tap(3, 2, "b", ABANDONED, end_s=100.0),
        tap(4, 3, "c", ABANDONED, end_s=55.0),
    ]

    (told,) = judged(spans, chain())

    assert told.grade is Grade.INFERRED


def test_a_gateway_before_a_run_s_door_is_not_the_client() -> None:
    """A tap outside tells whose 504 it was; the one who dials the run is only the one who dials the run."""
    spans: list[Span] = [
        tap(1, None, "outer", status=504, first_byte_s=30.0),
        attempt(2, 1, ABANDONED, outcome=Outcome.CENSORED, downstream=LEFT),
    ]

    (told,) = judged(spans, chain())

    assert told.layer == "what is between outer and the run's own door"
    assert (told.kind, told.grade, told.request, told.status) == (Kind.CUT, Grade.PROVEN, "request-1", 504)


def test_the_timer_of_a_gateway_before_a_run_s_door_is_named_where_it_is_said() -> None:
    """The door hands a request on when it is whole, and nothing unknown is behind it, however busy the mock is."""
    spans: list[Span] = [
        tap(1, None, "outer", status=504, first_byte_s=30.0),
        attempt(2, 1, ABANDONED, outcome=Outcome.CENSORED, downstream=LEFT),
        GenerationRecord(
            trace_id=TRACE, span_id="9" * 16, parent_id=f"{2:016x}", layer="upstream", name="generation",
            start_s=0.8, end_s=100.0, generation="g", caller_gone_s=30.0,
        ),
    ]  # fmt: skip
    nginx = overridden(preset("nginx"), {TimerKind.FIRST_BYTE: 30.0, TimerKind.IDLE: 30.0}, "this test")

    (told,) = judged(spans, replace(chain(), between=(Between("outer", "door", nginx),)))

    assert (told.layer, told.timer, told.phase) == ("nginx", TimerKind.FIRST_BYTE, Phase.WAIT)
    assert told.grade is Grade.PROVEN


def test_a_run_s_door_counts_no_limit_of_another_s() -> None:
    """A gateway that leaves just when the SDK's limit, told in a header, is up has not become the SDK."""
    cut = Cut(timer=TimerKind.FIRST_BYTE, directive="timeout.read", phase=Phase.WAIT, limit_s=30.0, at_s=30.0)
    spans: list[Span] = [
        tap(1, None, "outer", status=504, first_byte_s=30.0),
        attempt(2, 1, UpstreamEnd.CUT, outcome=Outcome.TIMEOUT, cut=cut),
    ]

    (told,) = judged(spans, chain())

    assert told.layer == "what is between outer and the run's own door"


def test_without_a_client_s_span_the_outermost_tap_s_edge_is_the_attempt() -> None:
    """A client of one's own writes no span of ours."""
    spans: list[Span] = [tap(1, None, "a", status=504, first_byte_s=30.0), tap(2, 1, "b", ABANDONED)]

    (told,) = judged(spans, chain())

    assert (told.layer, told.grade, told.outcome) == ("what is between a and b", Grade.PROVEN, None)


def test_a_tap_reads_no_body_and_says_so() -> None:
    """A 200 that went through whole may have been half an image: nothing is proven of it."""
    spans: list[Span] = [tap(1, None, "a", status=200), tap(2, 1, "b", status=200)]

    (told,) = judged(spans, chain())

    assert (told.kind, told.grade) == (Kind.NONE, Grade.INFERRED)
    assert "not read" in told.phrase


def test_a_client_of_one_s_own_that_left_is_named() -> None:
    """Behind one tap alone its leaving is all that is known; why it left, nothing says."""
    (told,) = judged([tap(1, None, "a", ABANDONED)], chain())

    assert (told.kind, told.layer, told.timer) == (Kind.CUT, "openai-python", None)
    assert "it left before it had the answer" in told.phrase


def test_each_retry_of_the_client_is_an_attempt() -> None:
    """Two roots of one trace at the outermost tap are two tries."""
    spans: list[Span] = [
        tap(1, None, "a", status=503, end_s=5.0),
        replace(tap(2, None, "a", status=200, end_s=40.0), start_s=10.0),
    ]

    assert [one.attempt for one in judged(spans, chain())] == [1, 2]


def test_a_gateway_s_second_try_is_the_one_that_counts() -> None:
    """The first was reset, and the gateway asked again; the second it cut."""
    spans: list[Span] = [
        attempt(1, None, COMPLETE, status=504, end_s=36.0),
        replace(tap(2, 1, "b", UpstreamEnd.RESET, end_s=5.0), downstream=DownstreamEnd.TRUNCATED),
        replace(tap(3, 1, "b", ABANDONED, end_s=36.0), start_s=6.0),
    ]

    (told,) = judged(spans, chain())

    assert told.layer != "upstream"
    assert "between openai-python" in told.reason


def test_layers_of_a_chain_fill_the_gaps_between_taps() -> None:
    """Three taps, and a chain of two: each layer stands between two of them, with its timers."""
    spans: list[Span] = [
        attempt(1, None, COMPLETE, status=504, end_s=60.0),
        tap(2, 1, "a", status=504, first_byte_s=60.0, end_s=60.0),
        tap(3, 2, "b", status=504, first_byte_s=60.0, end_s=60.0),
        tap(4, 3, "c", ABANDONED, end_s=60.0),
    ]

    (told,) = judged(spans, chain("caddy", "nginx"))

    assert (told.layer, told.timer, told.grade) == ("nginx", TimerKind.FIRST_BYTE, Grade.PROVEN)


def test_a_chain_that_names_its_taps_says_what_stands_between_them() -> None:
    """By a layer of the tap's name before it, and one behind it."""
    named = replace(
        chain(),
        hops=(Layer(name="a", title="a"), preset("nginx"), Layer(name="b", title="b"), preset("caddy")),
    )
    spans: list[Span] = [
        attempt(1, None, COMPLETE, status=504, end_s=60.0),
        tap(2, 1, "a", status=504, first_byte_s=60.0, end_s=60.0),
        tap(3, 2, "b", ABANDONED, end_s=60.0),
    ]

    (told,) = judged(spans, named)

    assert (told.layer, told.timer) == ("nginx", TimerKind.FIRST_BYTE)


def test_one_tap_alone_needs_no_chain() -> None:
    """As the README has it: the tap saw its upstream end, and what is behind it does not report."""
    spans: list[Span] = [
        attempt(1, None, CLOSED, outcome=Outcome.TRUNCATED, status=200),
        replace(tap(2, 1, "a", CLOSED, status=200), downstream=DownstreamEnd.TRUNCATED),
    ]

    (told,) = judged(spans, chain())
    (behind,) = judged(spans, chain("caddy"))

    assert (told.layer, told.grade) == ("upstream", Grade.TESTIFIED)
    assert (behind.kind, behind.missing) == (Kind.UNATTRIBUTED, ("a span of caddy",))


def test_a_layer_that_reported_is_not_called_silent() -> None:
    """The tap passed a stream on that lacked its last event; what is behind it is what does not report."""
    spans: list[Span] = [
        attempt(1, None, CLOSED, outcome=Outcome.TRUNCATED, status=200),
        tap(2, 1, "a", status=200, first_byte_s=1.0),
    ]

    (told,) = judged(spans, chain("caddy"))

    assert told.kind is Kind.UNATTRIBUTED
    assert "a passed on 200 from behind it, whole" in told.reason
    assert told.missing == ("a span of caddy",)


def test_nothing_changes_where_there_are_no_taps() -> None:
    """A run's own spans and chain go through as they are."""
    spans: list[Span] = [attempt(1, None, COMPLETE)]

    assert seated(spans, chain("nginx")) == (spans, chain("nginx"))


@pytest.mark.parametrize("hops", [(), ("nginx",), ("cloudflare", "nginx", "caddy")])
@settings(deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.integers(1, 6),
            st.none() | st.integers(1, 6),
            st.sampled_from(["client", "a", "b", "nginx", "generation"]),
            st.integers(0, 9),
            st.sampled_from(list(UpstreamEnd)),
            st.sampled_from(list(DownstreamEnd)),
            st.sampled_from([None, *TapSide]),
            st.sampled_from([None, 200, 429, 504]),
            st.sampled_from([None, "x", ""]),
            st.floats(0, 100),
        ),
        max_size=7,
    )
)
def test_no_shape_of_spans_makes_it_fail(hops: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    """One tap, more taps than layers, loops, no client, a generation of nobody's: a verdict, and never an error."""
    spans: list[Span] = []
    for own, parent, name, position, upstream, downstream, side, status, clock, end_s in rows:
        if name == "client":
            spans.append(
                attempt(own, parent, upstream, end_s=end_s, outcome=Outcome.TRUNCATED, downstream=downstream)
            )
        elif name == "generation":
            spans.append(
                GenerationRecord(
                    trace_id=TRACE,
                    span_id=f"{own:016x}",
                    parent_id=None if parent is None else f"{parent:016x}",
                    layer="upstream",
                    name="generation",
                    start_s=0.0,
                    end_s=end_s,
                    generation="g",
                )
            )
        else:
            one = tap(own, parent, name, upstream, status=status, end_s=end_s, clock=clock)
            spans.append(replace(one, tap=side, downstream=downstream, position=position))

    for said in judged(spans, chain(*hops)):
        assert said.phrase
