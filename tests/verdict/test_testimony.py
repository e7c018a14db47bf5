"""Logs beside edges, and logs alone: what they can say, and what they must not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.verdict.drawn import Drawn, drawn
from whocut.chain.layers import Layer, Role, Topology
from whocut.chain.timers import Phase, TimerKind
from whocut.trace.logs.records import Account, EndedBy
from whocut.trace.records import Outcome
from whocut.verdict.attribute import attribute
from whocut.verdict.evidence import AttemptEvidence, JoinedBy, Statement, gather
from whocut.verdict.inference import Seen
from whocut.verdict.verdict import Grade, Kind, Verdict

CHAIN = Topology(
    name="logs",
    client=Layer(name="client", title="a client", role=Role.CLIENT),
    hops=(
        Layer(name="edge", title="the edge"),
        Layer(name="nginx", title="NGINX"),
        Layer(name="haproxy", title="HAProxy"),
    ),
)
CLIENT, LAYER, UPSTREAM, NONE, UNSAID = EndedBy
CUTS = {"ended_by": LAYER, "phase": Phase.WAIT, "timer": TimerKind.FIRST_BYTE, "directive": "read_timeout"}


def said(position: int, **facts: object) -> Statement:
    """What the layer at a position of the chain says."""
    known = {
        "signal": "x",
        "layer": CHAIN.layers[position].name,
        "place": "a.log:1",
        "duration_s": 60.0,
    } | facts
    joined = known.pop("joined_by", JoinedBy.TRACE)
    return Statement(position=position, account=Account(**known), joined_by=joined)  # type: ignore[arg-type]


def judged(*testimony: Statement, topology: Topology = CHAIN) -> Verdict:
    """The verdict on logs alone."""
    evidence = AttemptEvidence(
        request="request-1",
        attempt=1,
        mode="",
        trace_id="1" * 32,
        outcome=None,
        layers=(),
        generation=None,
        testimony=testimony,
    )
    return attribute(evidence, topology)


def test_the_layer_that_says_it_cut_is_the_cutter() -> None:
    """The edge relays, nginx cut, HAProxy's caller left: three logs, one story, testified."""
    verdict = judged(said(1, ended_by=UPSTREAM, status=504), said(2, **CUTS), said(3, ended_by=CLIENT))

    assert (verdict.layer, verdict.timer, verdict.phase) == ("nginx", TimerKind.FIRST_BYTE, Phase.WAIT)
    assert verdict.grade is Grade.TESTIFIED
    assert verdict.after_s == 60
    assert len(verdict.evidence) == 3
    assert {step.layer for step in verdict.cascade} == {"edge", "haproxy"}


def test_a_blind_layer_further_in_cut_for_nobody() -> None:
    """Both say they cut; the outer one did, and the blind one fired later."""
    verdict = judged(said(2, **CUTS), said(3, **(CUTS | {"duration_s": 90.0})))

    assert verdict.layer == "nginx"
    assert verdict.contradictions == ()


def test_an_inner_cut_that_was_earlier_is_a_contradiction() -> None:
    """Had HAProxy cut after 30 s, nginx would have said so: the accounts do not fit, and the grade falls."""
    verdict = judged(said(2, **CUTS), said(3, **(CUTS | {"duration_s": 30.0})))

    assert verdict.grade is Grade.INFERRED
    assert verdict.contradictions


def test_a_caller_that_left_the_outermost_layer_is_the_client() -> None:
    """499 at the first layer of the chain: the client let go."""
    verdict = judged(said(1, ended_by=CLIENT, phase=Phase.WAIT))

    assert (verdict.layer, verdict.grade) == ("client", Grade.TESTIFIED)
    assert "caller went away" in verdict.reason


def test_the_silent_layer_between_two_accounts_is_inferred() -> None:
    """The edge saw its upstream end, HAProxy saw its caller leave: nginx, which is silent, cut."""
    verdict = judged(said(1, ended_by=UPSTREAM, status=504), said(3, ended_by=CLIENT, phase=Phase.WAIT))

    assert (verdict.layer, verdict.grade) == ("nginx", Grade.INFERRED)


def test_two_silent_layers_are_not_chosen_from() -> None:
    """HAProxy's caller left, and of the two layers before it neither reports: nobody is accused."""
    verdict = judged(said(3, ended_by=CLIENT, phase=Phase.WAIT))

    assert verdict.kind is Kind.UNATTRIBUTED
    assert any("nginx" in missing for missing in verdict.missing)


def test_nginx_that_calls_its_own_cut_a_success_is_found_out() -> None:
    """200 and completion OK, while the layer behind says its caller left in mid-response: nginx, inferred."""
    verdict = judged(said(2, ended_by=NONE, status=200), said(3, ended_by=CLIENT, phase=Phase.STREAM))

    assert (verdict.layer, verdict.grade) == ("nginx", Grade.INFERRED)
    assert verdict.contradictions


def test_the_innermost_layers_upstream_is_the_upstream() -> None:
    """The last layer of the chain says its upstream ended: that is the model's side."""
    verdict = judged(said(2, ended_by=UPSTREAM, status=502), said(3, ended_by=UPSTREAM, phase=Phase.WAIT))

    assert (verdict.layer, verdict.grade) == ("upstream", Grade.TESTIFIED)


def test_an_upstream_that_is_a_silent_layer_is_not_accused() -> None:
    """nginx says its upstream ended; HAProxy stands behind it and is silent: what is missing is named."""  # noqa: D403
    verdict = judged(said(2, ended_by=UPSTREAM, status=502))

    assert verdict.kind is Kind.UNATTRIBUTED
    assert verdict.missing == ("a log or a span of haproxy",)


def test_a_line_that_does_not_say_leaves_it_open() -> None:
    """A 504 of the combined format is nobody's; the log that would tell is named."""
    verdict = judged(said(3, ended_by=UNSAID, status=504, says="it does not tell its own from another's"))

    assert verdict.kind is Kind.UNATTRIBUTED
    assert "error log" in verdict.missing[0]


def test_whole_everywhere_is_nobody() -> None:
    """Where every log says that it went through, nobody cut, as far as logs know."""
    verdict = judged(said(1, ended_by=NONE, status=200), said(2, ended_by=NONE, status=200))

    assert (verdict.kind, verdict.grade) == (Kind.NONE, Grade.TESTIFIED)


@pytest.mark.parametrize(
    ("joined_by", "grade"),
    [
        (JoinedBy.TRACE, Grade.TESTIFIED),
        (JoinedBy.REQUEST, Grade.TESTIFIED),
        (JoinedBy.TIME, Grade.TESTIFIED),
        (JoinedBy.AMBIGUOUS, Grade.INFERRED),
    ],
)
def test_how_a_line_was_joined_bounds_its_grade(joined_by: JoinedBy, grade: Grade) -> None:
    """A line that may belong to another request infers; no line proves."""
    verdict = judged(said(3, **(CUTS | {"joined_by": joined_by})))

    assert verdict.grade is grade


# --- beside edges -----------------------------------------------------------------------------------------

NGINX_CUTS = """
    one column is 5 s
    client    |============|
    edge      |============|
    nginx     |============x first_byte
    upstream  |===========l=========================|
"""
CALLER_LEFT = """
    one column is 5 s
    client    |====x first_byte
    edge      |====-
    haproxy   |====l=======< first_byte
    upstream  |============l=========================|
"""


def with_testimony(trace: Drawn, *testimony: Statement) -> Verdict:
    """The verdict on a drawing and what logs say of it."""
    (evidence,) = gather(trace.spans)
    return attribute(replace(evidence, testimony=testimony), trace.topology)


def told(trace: Drawn, layer: str, **facts: object) -> Statement:
    """What a layer of a drawing says."""
    position = [one.name for one in trace.topology.layers].index(layer)
    known = {"signal": "sH-- 504", "layer": layer, "place": "a.log:7", "duration_s": 65.0} | facts
    return Statement(position=position, account=Account(**known))  # type: ignore[arg-type]


def test_edges_win_over_a_log_that_lies() -> None:
    """HAProxy logs `sH` for a caller that had left: the client's cut stays proven, the lie is printed."""
    trace = drawn(CALLER_LEFT)

    verdict = with_testimony(trace, told(trace, "haproxy", **CUTS))

    assert (verdict.layer, verdict.grade) == ("client", Grade.PROVEN)
    assert any(
        "haproxy's sH-- 504" in found and "caller had left" in found for found in verdict.contradictions
    )


def test_a_log_that_calls_a_cut_a_success_is_printed_as_a_contradiction() -> None:
    """The edges show nginx's cut; its access log says whole."""
    trace = drawn(NGINX_CUTS)

    verdict = with_testimony(trace, told(trace, "nginx", ended_by=NONE, signal="200, completion OK"))

    assert (verdict.layer, verdict.grade) == ("nginx", Grade.PROVEN)
    assert any("200, completion OK" in found for found in verdict.contradictions)


def test_a_log_that_agrees_stands_beside_the_edges() -> None:
    """Agreement adds a fact and no grade."""
    trace = drawn(NGINX_CUTS)

    verdict = with_testimony(trace, told(trace, "nginx", **CUTS))

    assert verdict.grade is Grade.PROVEN
    assert verdict.contradictions == ()
    assert any("a.log:7" in fact.fact for fact in verdict.evidence)


@pytest.mark.parametrize("silent", [("nginx",), ("nginx", "upstream"), ("edge", "nginx", "upstream")])
def test_a_log_speaks_for_a_layer_without_a_span(silent: tuple[str, ...]) -> None:
    """Where the cutter reports no span, its log names it, and no more than testified."""
    trace = drawn(NGINX_CUTS)

    verdict = with_testimony(trace.without(*silent), told(trace, "nginx", **CUTS))

    assert (verdict.layer, verdict.grade) == ("nginx", Grade.TESTIFIED)


def test_a_log_outside_of_a_blind_layers_edges_decides() -> None:
    """HAProxy's span says it cut; the edge before it has only a log, and that says it cut first."""
    trace = drawn("""
        one column is 5 s
        client    |====|
        edge      |====x first_byte
        haproxy   |============x first_byte
        upstream  |============l=========================|
    """)

    verdict = with_testimony(trace.without("edge"), told(trace, "edge", **(CUTS | {"duration_s": 25.0})))

    assert (verdict.layer, verdict.grade) == ("edge", Grade.TESTIFIED)


# --- the caller's view alone ------------------------------------------------------------------------------

PAGE = "<html><center><h1>504 Gateway Time-out</h1></center>\r\n<hr><center>nginx</center>"


def seen_alone(trace: Drawn, seen: Seen) -> Verdict:
    """The verdict on a client's span alone, with what it saw of the response."""
    (evidence,) = gather([span for span in trace.spans if span.layer == "client"])
    chain = replace(
        trace.topology, hops=tuple(replace(layer, preset=layer.name) for layer in trace.topology.hops)
    )
    return attribute(replace(evidence, seen=seen), chain)


def test_a_page_names_the_layer_of_the_chain() -> None:
    """nginx's page, and its limit: inferred, with what would make it more."""  # noqa: D403
    verdict = seen_alone(drawn(NGINX_CUTS), Seen(status=504, body=PAGE, elapsed_s=65.0))

    assert (verdict.layer, verdict.timer) == ("nginx", TimerKind.FIRST_BYTE)
    assert verdict.grade is Grade.INFERRED
    assert verdict.limit_s == 65
    assert verdict.missing


def test_a_page_of_somebody_outside_the_chain_accuses_nobody() -> None:
    """Envoy's page, and no Envoy in the chain: unattributed."""
    verdict = seen_alone(drawn(NGINX_CUTS), Seen(status=504, body="upstream request timeout", elapsed_s=15.0))

    assert verdict.kind is Kind.UNATTRIBUTED


def test_the_caller_is_not_asked_where_a_layer_reports() -> None:
    """With a span of the edge at hand, its silence about a cut is not replaced by a guess."""
    (evidence,) = gather(drawn(NGINX_CUTS).without("nginx", "upstream").spans)

    verdict = attribute(replace(evidence, seen=Seen(status=504, elapsed_s=65.0)), drawn(NGINX_CUTS).topology)

    assert verdict.kind is Kind.UNATTRIBUTED


def test_the_clients_span_carries_what_it_saw() -> None:
    """Headers and the page's beginning come back from an attempt's span."""
    trace = drawn(NGINX_CUTS)
    trace.client.headers, trace.client.body_head = {"server": "nginx"}, PAGE

    (evidence,) = gather(trace.spans)

    assert evidence.seen is not None
    assert evidence.seen.headers == {"server": "nginx"}
    assert (evidence.seen.body, evidence.seen.elapsed_s) == (PAGE, 65.0)


def test_a_rejection_by_a_layer_that_cut_is_a_cut() -> None:
    """The client took the answer for the API's refusal; the layer that wrote it shows that it cut."""
    trace = drawn(NGINX_CUTS)
    trace.client.outcome = Outcome.REJECTED

    verdict = with_testimony(trace)

    assert (verdict.layer, verdict.grade) == ("nginx", Grade.PROVEN)
