"""The rules of attribution, each under the drawing of what it decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.verdict.drawn import Drawn, drawn
from whocut.chain.timers import Phase, TimerKind
from whocut.trace.records import UpstreamEnd
from whocut.verdict.attribute import RULES, attribute, rules_as_markdown
from whocut.verdict.evidence import gather
from whocut.verdict.verdict import Grade, Kind, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

NGINX_CUTS = """
    one column is 5 s
    client    |============|
    edge      |============|
    nginx     |============x first_byte
    upstream  |===========l=========================|
"""


def verdict_on(trace: Drawn) -> Verdict:
    """The verdict on the only attempt of a drawing."""
    (evidence,) = gather(trace.spans)
    return attribute(evidence, trace.topology)


def test_first_byte_cut_seen_from_both_sides_is_proven() -> None:
    """The edge received the 504 and the upstream saw nginx leave: proven."""
    verdict = verdict_on(drawn(NGINX_CUTS))

    assert (verdict.layer, verdict.timer, verdict.phase) == ("nginx", TimerKind.FIRST_BYTE, Phase.WAIT)
    assert verdict.grade is Grade.PROVEN
    assert verdict.after_s == 65
    assert verdict.behind is not None
    assert verdict.behind.orphaned


def test_phrase_says_layer_timer_time_phase_grade_and_what_became_of_the_generation() -> None:
    """One phrase holds the whole verdict."""
    verdict = verdict_on(drawn(NGINX_CUTS))

    assert verdict.phrase == (
        "nginx cut by first_byte after 65 s, while waiting · proven · "
        "the generation ran on for 130 s and was billed"
    )


@pytest.mark.parametrize("withheld", ["edge", "upstream"])
def test_grade_falls_to_testified_when_a_neighbour_is_silent(withheld: str) -> None:
    """Without a witness on one side the layer's own word is all there is, and what is missing is named."""
    verdict = verdict_on(drawn(NGINX_CUTS).without(withheld))

    assert verdict.layer == "nginx"
    assert verdict.grade is Grade.TESTIFIED
    assert verdict.missing


def test_silent_cutter_is_unattributed_not_guessed() -> None:
    """When the layer that cut does not report, nobody else is accused."""
    verdict = verdict_on(drawn(NGINX_CUTS).without("nginx", "upstream"))

    assert verdict.kind is Kind.UNATTRIBUTED
    assert verdict.layer is None
    assert "a span of nginx" in verdict.missing


@pytest.mark.parametrize("layer", ["client", "edge", "nginx", "upstream"])
@pytest.mark.parametrize("by_s", [-600.0, 600.0])
def test_skewed_clock_changes_nothing(layer: str, by_s: float) -> None:
    """Attribution is causal: a layer whose clock is ten minutes wrong is judged the same."""
    verdict = verdict_on(drawn(NGINX_CUTS).skewed(layer, by_s))

    assert (verdict.layer, verdict.grade, verdict.after_s) == ("nginx", Grade.PROVEN, 65)


def test_outer_idle_before_inner_total_makes_the_inner_one_cascade() -> None:
    """The edge gives up first; the gateway is blind to it, cuts later, and is cascade."""
    trace = drawn("""
        one column is 5 s
        client    |============|
        edge      |============x idle
        gateway   |===========l==========x total
        upstream  |=====================l======|
    """)

    verdict = verdict_on(trace)

    assert (verdict.layer, verdict.timer) == ("edge", TimerKind.IDLE)
    assert verdict.grade is Grade.PROVEN
    assert [step.layer for step in verdict.cascade] == ["client", "gateway"]
    assert "without a caller" in verdict.cascade[1].fact


def test_cut_by_the_client_itself_is_not_blamed_on_the_chain() -> None:
    """The client's own timer fired; the layers behind it only saw their callers leave."""
    trace = drawn("""
        one column is 10 s
        client    |=====x first_byte
        edge      |====l-
        gateway   |====l-
        upstream  |====l==========|
    """)

    verdict = verdict_on(trace)

    assert (verdict.layer, verdict.grade) == ("client", Grade.PROVEN)


def test_two_cuts_at_one_instant_are_a_tie() -> None:
    """Edge and gateway fire together, before either could know of the other: reported as a tie, not as proven."""
    trace = drawn("""
        one column is 5 s
        client    |============|
        edge      |============x first_byte
        gateway   |============x first_byte
        upstream  |===========l====|
    """)

    verdict = verdict_on(trace)

    assert verdict.tie == ("edge", "gateway")
    assert verdict.grade is Grade.TESTIFIED
    assert "edge and gateway cut" in verdict.phrase


def test_crossed_cuts_fall_to_the_earlier_instant() -> None:
    """Both cut without knowing of each other, five seconds apart: the first cut is the cause."""
    trace = drawn("""
        one column is 5 s
        client    |=============|
        edge      |=============x first_byte
        gateway   |============x first_byte
        upstream  |===========l====|
    """)

    verdict = verdict_on(trace)

    assert (verdict.layer, verdict.tie) == ("gateway", ())


def test_delivered_request_has_no_cut() -> None:
    """Nobody cut what arrived."""
    trace = drawn("""
        one column is 5 s
        client    |============|
        nginx     |============|
        upstream  |===========|
    """)

    verdict = verdict_on(trace)

    assert verdict.kind is Kind.NONE
    assert verdict.phrase == "nobody cut: delivered"


def test_upstream_that_resets_is_named_with_its_fault() -> None:
    """The innermost layer saw its upstream reset: the upstream ended it, without a timer."""
    trace = drawn("""
        one column is 5 s
        client    |======!
        nginx     |======!
        upstream  |=====|   reset_mid_body
    """)

    verdict = verdict_on(trace)

    assert (verdict.layer, verdict.timer) == ("upstream", None)
    assert "reset_mid_body" in verdict.phrase


def test_path_that_lost_both_sides_is_told_from_an_upstream_that_resets() -> None:
    """The client saw a reset and the upstream saw its caller go: no layer ended it, and that is not proven."""
    trace = drawn("""
        one column is 5 s
        client    |======!
        upstream  |=====l==========|
    """)

    verdict = verdict_on(trace)

    assert (verdict.layer, verdict.timer, verdict.grade) == ("upstream", None, Grade.TESTIFIED)
    assert "reset on the path: the upstream saw its caller go" in verdict.phrase


def test_total_cuts_stream_and_is_seen_as_a_truncated_response() -> None:
    """A total limit kills a healthy stream; the layer before it saw the bytes end."""
    trace = drawn("""
        one column is 5 s
        client    |============)
        edge      |============)
        vercel    |============x total@stream
        upstream  |===========l==================|
    """)

    verdict = verdict_on(trace)

    assert (verdict.layer, verdict.timer, verdict.phase) == ("vercel", TimerKind.TOTAL, Phase.STREAM)
    assert verdict.grade is Grade.PROVEN


def test_contradicting_status_is_printed_and_costs_the_grade() -> None:
    """The layer says it answered 504, its caller received 200: the contradiction is kept, proof is not claimed."""
    trace = drawn(NGINX_CUTS)
    trace.layer("edge").status = 200

    verdict = verdict_on(trace)

    assert verdict.grade is Grade.TESTIFIED
    assert verdict.contradictions == ("nginx says it answered 504, edge received 200",)


def _upstream_never_saw_it_leave(trace: Drawn) -> None:
    trace.generation.caller_gone_s = None


def _edge_says_it_left_first(trace: Drawn) -> None:
    trace.layer("edge").upstream = UpstreamEnd.ABANDONED


@pytest.mark.parametrize("lie", [_upstream_never_saw_it_leave, _edge_says_it_left_first])
def test_no_lie_of_a_neighbour_yields_proven(lie: Callable[[Drawn], None]) -> None:
    """A wrong `proven` is the worst bug: one neighbour that does not agree is enough to lose it."""
    trace = drawn(NGINX_CUTS)
    lie(trace)

    verdict = verdict_on(trace)

    assert verdict.grade is not Grade.PROVEN


def test_rules_print_themselves() -> None:
    """Every rule stands in the table for the documentation."""
    table = rules_as_markdown()

    assert all(rule.says in table for rule in RULES)
