"""What stands between two taps: said, and where nothing is said; what is refused."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from whocut.chain.between import parse_between
from whocut.chain.catalogue import preset
from whocut.chain.layers import Layer, Topology
from whocut.chain.timers import Phase, TimerKind
from whocut.errors import BadInput
from whocut.foreign.between import put_between
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
from whocut.verdict.attribute import attribute
from whocut.verdict.evidence import gather
from whocut.verdict.gateways import whole_layers

if TYPE_CHECKING:
    from whocut.verdict.verdict import Verdict

TRACE = "a" * 32


def hop(name: str) -> Layer:
    """A layer that the material shows."""
    return Layer(name=name, title=name)


def material(*taps: str) -> Topology:
    """A client and these taps."""
    return Topology(name="t", client=preset("openai-python"), hops=tuple(hop(name) for name in taps))


def client(
    upstream: UpstreamEnd, end_s: float, *, status: int | None = None, outcome: Outcome
) -> AttemptRecord:
    """The SDK's account of a request that began at 0 s."""
    return AttemptRecord(
        **account("openai-python", 0, upstream, DownstreamEnd.ANSWERED, end_s),
        status=status,
        request="r",
        outcome=outcome,
    )


def tap(
    name: str,
    number: int,
    upstream: UpstreamEnd,
    downstream: DownstreamEnd,
    end_s: float,
    *,
    left_s: float | None = None,
    sent_s: float | None = 0.0,
    first_s: float | None = None,
    status: int | None = None,
) -> LayerRecord:
    """A tap's account; `number` counts from the client, and the tap before it is its parent."""
    return LayerRecord(
        **account(name, number, upstream, downstream, end_s),
        tap=TapSide.ALONE,
        request_sent_s=sent_s,
        first_byte_s=first_s,
        status=status,
        events=[] if left_s is None else [Event(CALLER_LEFT, left_s)],
    )


def account(
    name: str, number: int, upstream: UpstreamEnd, downstream: DownstreamEnd, end_s: float
) -> dict[str, Any]:
    """What all accounts have."""
    return {
        "trace_id": TRACE,
        "span_id": f"{number:x}" * 16,
        "parent_id": f"{number - 1:x}" * 16 if number else None,
        "layer": name,
        "name": "POST /",
        "start_s": 0.0,
        "end_s": end_s,
        "position": number,
        "upstream": upstream,
        "upstream_s": end_s,
        "downstream": downstream,
        "downstream_s": end_s,
    }


def verdict(spans: list[Span], topology: Topology, *said: str) -> Verdict:
    """The verdict on the one request among them."""
    spans, topology = put_between(spans, topology, parse_between(said))
    (evidence,) = gather(whole_layers(spans, topology))
    return attribute(evidence, topology)


def moved(span: LayerRecord, by_s: float) -> LayerRecord:
    """The same on a clock that is wrong by so much."""
    span.move(by_s)
    span.move_own(by_s)
    return span


def cut_in_the_wait(at_s: float, status: int, outcome: Outcome) -> list[Span]:
    """Something between the taps let go in the wait, and answered."""
    return [
        client(UpstreamEnd.COMPLETE, at_s, status=status, outcome=outcome),
        tap("a", 1, UpstreamEnd.COMPLETE, DownstreamEnd.ANSWERED, at_s, status=status, first_s=at_s),
        tap("b", 2, UpstreamEnd.ABANDONED, DownstreamEnd.LEFT, at_s, left_s=at_s),
    ]


def test_a_layer_that_is_said_is_judged_by_its_timers() -> None:
    """Both of its edges were seen, so that its cut is proven, with the limit that was said."""
    told = verdict(
        cut_in_the_wait(30, 504, Outcome.GATEWAY_ERROR),
        material("a", "b"),
        "a,b=nginx:first_byte=30s,idle=30s",
    )

    assert (told.layer, told.timer, told.limit_s, told.grade) == (
        "nginx",
        TimerKind.FIRST_BYTE,
        30.0,
        "proven",
    )


def test_of_a_layer_that_is_not_said_the_place_is_proven() -> None:
    """Two taps that stand next to each other have something between them, and nothing is known of it."""
    told = verdict(cut_in_the_wait(30, 504, Outcome.GATEWAY_ERROR), material("a", "b"))

    assert (told.layer, told.timer, told.grade) == ("what is between a and b", None, "proven")
    assert "its limits are not known" in told.reason


def test_a_refusal_that_the_inner_tap_did_not_hand_on_is_not_the_api_s() -> None:
    """A gateway's own timeout in the API's envelope: the inner tap saw its caller leave in the wait."""
    spans = cut_in_the_wait(60, 503, Outcome.REJECTED)

    assert verdict(spans, material("a", "b"), "a,b=nginx").layer == "nginx"
    assert verdict(spans, material("a", "b")).layer == "what is between a and b"
    assert verdict(spans[:2], material("a")).grade == "testified"  # the only tap handed it on


def test_a_layer_that_let_go_in_silence_was_before_the_client_that_gave_up() -> None:
    """Its caller waited on for a minute, on the tap's own clock: the client's timer is what followed."""
    client_cut = client(UpstreamEnd.ABANDONED, 90, status=200, outcome=Outcome.TIMEOUT)
    spans: list[Span] = [
        client_cut,
        tap("a", 1, UpstreamEnd.ABANDONED, DownstreamEnd.LEFT, 90, left_s=90, status=200, first_s=5),
        tap("b", 2, UpstreamEnd.ABANDONED, DownstreamEnd.LEFT, 35, left_s=35, status=200, first_s=5),
    ]

    told = verdict(spans, material("a", "b"), "a,b=http-proxy-middleware:first_byte=30s,idle=30s")

    assert (told.layer, told.timer, told.grade) == ("http-proxy-middleware", TimerKind.IDLE, "proven")


@pytest.mark.parametrize("skew_s", [0.0, 40.0, -40.0, 973.0, -973.0])
def test_a_layer_that_let_go_in_silence_is_found_whatever_the_clocks_say(skew_s: float) -> None:
    """Both taps saw the first byte of one good answer: what was held for less time after it let go first."""
    cut = Cut(timer=TimerKind.IDLE, directive="timeout.read", phase=Phase.STREAM, limit_s=60.0, at_s=90)
    spans: list[Span] = [
        replace(client(UpstreamEnd.CUT, 90, status=200, outcome=Outcome.TIMEOUT), cut=cut),
        tap("a", 1, UpstreamEnd.ABANDONED, DownstreamEnd.LEFT, 90, left_s=90, status=200, first_s=5),
        moved(
            tap("b", 2, UpstreamEnd.ABANDONED, DownstreamEnd.LEFT, 35, left_s=35, status=200, first_s=5),
            skew_s,
        ),
    ]

    told = verdict(spans, material("a", "b"), "a,b=http-proxy-middleware:first_byte=30s,idle=30s")

    assert (told.layer, told.timer, told.grade) == ("http-proxy-middleware", TimerKind.IDLE, "proven")
    assert told.at_s == 35
    assert verdict(spans, material("a", "b")).layer == "what is between a and b"


@pytest.mark.parametrize("skew_s", [0.0, 0.2, -0.2, 973.0, -973.0])
def test_who_left_first_is_no_proof_where_only_clocks_could_tell(skew_s: float) -> None:
    """The caller and the layer left within what two clocks can tell: the client is testified at most."""
    spans: list[Span] = [
        client(UpstreamEnd.ABANDONED, 20, outcome=Outcome.CENSORED),
        tap("a", 1, UpstreamEnd.ABANDONED, DownstreamEnd.LEFT, 20, left_s=20),
        moved(tap("b", 2, UpstreamEnd.ABANDONED, DownstreamEnd.LEFT, 20, left_s=20), skew_s),
    ]

    assert verdict(spans, material("a", "b")).grade == "testified"
    assert verdict(spans, material("a", "b"), "a,b=nginx:first_byte=20s,idle=20s").grade == "inferred"


def test_a_layer_that_held_on_long_after_its_caller_was_not_first() -> None:
    """It took longer further in than further out: no clock can turn that around, and its timer is no cause."""
    spans: list[Span] = [
        client(UpstreamEnd.ABANDONED, 20, outcome=Outcome.CENSORED),
        tap("a", 1, UpstreamEnd.ABANDONED, DownstreamEnd.LEFT, 20, left_s=20),
        moved(tap("b", 2, UpstreamEnd.ABANDONED, DownstreamEnd.LEFT, 60, left_s=60), -700),
    ]

    told = verdict(spans, material("a", "b"), "a,b=haproxy:first_byte=60s,idle=60s")

    assert (told.layer, told.grade) == ("openai-python", "testified")
    assert [one.fact for one in told.cascade] == ["its timer timeout server fired later, without a caller"]


ENVELOPES = [500, 503, 429]


@pytest.mark.parametrize("status", ENVELOPES)
def test_an_envelope_behind_which_another_answer_had_come_is_nobody_s_refusal(status: int) -> None:
    """The inner tap handed on another status, or a whole image: the API did not say this."""
    for inner in (200, 502):
        spans: list[Span] = [
            client(UpstreamEnd.COMPLETE, 30, status=status, outcome=Outcome.REJECTED),
            tap("a", 1, UpstreamEnd.COMPLETE, DownstreamEnd.ANSWERED, 30, status=status, first_s=30),
            tap("b", 2, UpstreamEnd.COMPLETE, DownstreamEnd.ANSWERED, 30, status=inner, first_s=29),
        ]

        told = verdict(spans, material("a", "b"), "a,b=nginx")

        assert told.kind != "none"
        assert told.layer in {None, "nginx"}


def test_of_two_timers_that_were_due_the_nearer_one_fired() -> None:
    """Envoy's total of 31 s was due as well; the wait was as long as the limit of one try."""
    spans = cut_in_the_wait(30, 504, Outcome.GATEWAY_ERROR)

    told = verdict(spans, material("a", "b"), "a,b=envoy:first_byte=30s,idle=none,total=33s,connect=5s")

    assert (told.timer, told.grade) == (TimerKind.FIRST_BYTE, "proven")


@pytest.mark.parametrize(
    ("name", "status", "limits"),
    [
        ("apache", 504, "first_byte=20s,idle=20s,connect=20s"),
        ("apache", 502, "first_byte=20s,idle=20s,connect=20s"),
        ("varnish", 503, "first_byte=20s,idle=40s,connect=5s"),
    ],
)
def test_limits_that_are_not_the_product_s_defaults_are_held_against_the_taps(
    name: str, status: int, limits: str
) -> None:
    """A page like that of a dead upstream, and a time that is no default: the taps saw the layer let go."""
    spans = cut_in_the_wait(20, status, Outcome.GATEWAY_ERROR)

    told = verdict(spans, material("a", "b"), f"a,b={name}:{limits}")

    assert (told.layer, told.timer, told.grade) == (name, TimerKind.FIRST_BYTE, "proven")
    assert verdict(spans, material("a", "b"), f"a,b={name}").layer == name  # its default is not what fired


def test_a_layer_that_was_killed_is_no_upstream_that_refused() -> None:
    """While it had the request both taps saw it go; afterwards it takes none, and that is its own doing too."""
    killed: list[Span] = [
        client(UpstreamEnd.RESET, 10, outcome=Outcome.RESET),
        tap("a", 1, UpstreamEnd.RESET, DownstreamEnd.TRUNCATED, 10),
        tap("b", 2, UpstreamEnd.ABANDONED, DownstreamEnd.LEFT, 10, left_s=10),
    ]
    gone: list[Span] = [
        client(UpstreamEnd.RESET, 0.1, outcome=Outcome.RESET),
        tap("a", 1, UpstreamEnd.REFUSED, DownstreamEnd.TRUNCATED, 0.1, sent_s=None),
    ]
    before: list[Span] = [
        replace(client(UpstreamEnd.COMPLETE, 5, status=200, outcome=Outcome.DELIVERED), trace_id="b" * 32),
        replace(tap("b", 1, UpstreamEnd.COMPLETE, DownstreamEnd.ANSWERED, 5.0), trace_id="b" * 32),
    ]
    before = [replace(one, span_id=f"b{one.span_id[1:]}", parent_id=None) for one in before]

    while_it_had_it = verdict(killed, material("a", "b"), "a,b=nginx")
    spans, topology = put_between([*before, *gone], material("a", "b"), parse_between(["a,b=nginx"]))
    afterwards = [attribute(one, topology) for one in gather(whole_layers(spans, topology))][-1]
    unheard = verdict(gone, material("a", "b"), "a,b=nginx")

    assert (while_it_had_it.layer, while_it_had_it.timer, while_it_had_it.grade) == ("nginx", None, "proven")
    assert (afterwards.layer, afterwards.timer, afterwards.grade) == ("nginx", None, "testified")
    assert (unheard.kind, unheard.missing) == ("unattributed", ("a span of nginx",))


@pytest.mark.parametrize("said", [(), ("a,b=envoy:first_byte=2s,idle=none,total=none",)])
def test_a_504_where_the_upstream_had_closed_leaves_open_which_came_first(said: tuple[str, ...]) -> None:
    """Its timer and the upstream's end crossed: the upstream is a guess then, said or unsaid."""
    spans: list[Span] = [
        client(UpstreamEnd.COMPLETE, 2.0, status=504, outcome=Outcome.GATEWAY_ERROR),
        tap("a", 1, UpstreamEnd.COMPLETE, DownstreamEnd.ANSWERED, 2.0, status=504, first_s=2.0),
        tap("b", 2, UpstreamEnd.CLOSED, DownstreamEnd.TRUNCATED, 2.0),
    ]

    assert verdict(spans, material("a", "b"), *said).grade == "inferred"


VARNISH = "a,b=varnish:first_byte=20s,idle=25s,connect=60s"


def test_a_timer_of_the_last_try_was_set_no_sooner_than_that_try() -> None:
    """It asked three times, and each of the last two waits was as long as its limit for the first byte."""
    tries = [
        (8.0, 12.0, UpstreamEnd.RESET),
        (12.0, 33.0, UpstreamEnd.ABANDONED),
        (33.0, 54.2, UpstreamEnd.ABANDONED),
    ]
    spans: list[Span] = [
        client(UpstreamEnd.COMPLETE, 54.2, status=503, outcome=Outcome.GATEWAY_ERROR),
        tap("a", 1, UpstreamEnd.COMPLETE, DownstreamEnd.ANSWERED, 54.2, status=503, sent_s=7.5, first_s=54.2),
    ]
    for number, (since_s, until_s, end) in enumerate(tries, start=2):
        left = end is UpstreamEnd.ABANDONED
        one = tap(
            "b", number, end, DownstreamEnd.LEFT if left else DownstreamEnd.TRUNCATED, until_s, sent_s=since_s,
            left_s=until_s if left else None,
        )  # fmt: skip
        spans.append(replace(one, parent_id="1" * 16, start_s=since_s))

    told = verdict(spans, material("a", "b"), VARNISH)

    assert (told.layer, told.timer, told.grade) == ("varnish", TimerKind.FIRST_BYTE, "proven")


def test_a_tap_that_was_slow_to_dial_makes_no_timer_doubtful() -> None:
    """The tap outside passed the request on when the tap inside had it: the clocks agree, and it was not held."""
    left = tap("b", 2, UpstreamEnd.ABANDONED, DownstreamEnd.LEFT, 26.5, left_s=26.5, sent_s=6.5)
    spans: list[Span] = [
        client(UpstreamEnd.COMPLETE, 26.7, status=503, outcome=Outcome.GATEWAY_ERROR),
        tap("a", 1, UpstreamEnd.COMPLETE, DownstreamEnd.ANSWERED, 26.7, status=503, sent_s=6.4, first_s=26.7),
        replace(left, start_s=6.5),
    ]

    told = verdict(spans, material("a", "b"), VARNISH)

    assert (told.layer, told.timer, told.grade) == ("varnish", TimerKind.FIRST_BYTE, "proven")


def test_a_timer_that_may_have_been_set_at_any_time_is_no_nearer_than_another() -> None:
    """Its caller waited for minutes after it had let go: for that time it did not hold the request."""
    spans: list[Span] = [
        client(UpstreamEnd.ABANDONED, 244, status=200, outcome=Outcome.TIMEOUT),
        tap("a", 1, UpstreamEnd.ABANDONED, DownstreamEnd.LEFT, 244, left_s=244, status=200, first_s=8),
        moved(
            tap("b", 2, UpstreamEnd.ABANDONED, DownstreamEnd.LEFT, 31, left_s=31, status=200, first_s=8),
            -40.0,
        ),
    ]

    told = verdict(spans, material("a", "b"), "a,b=house:idle=22s,total=60s")

    assert (told.layer, told.timer, told.grade) == ("house", TimerKind.IDLE, "proven")


def test_of_two_timers_that_cannot_be_told_apart_none_is_named() -> None:
    """The layer is proven, its timer is not guessed."""
    spans = cut_in_the_wait(30.5, 504, Outcome.GATEWAY_ERROR)

    told = verdict(spans, material("a", "b"), "a,b=envoy:first_byte=30s,idle=none,total=31s,connect=5s")

    assert (told.layer, told.timer, told.grade) == ("envoy", None, "proven")


@pytest.mark.parametrize("behind", ["nginx", "haproxy"])
def test_a_tap_may_stand_between_two_layers(behind: str) -> None:
    """It is the inner tap of one and the outer tap of the other; each of them is judged by its own pair."""
    outer_leaves: list[Span] = [
        client(UpstreamEnd.COMPLETE, 30, status=504, outcome=Outcome.GATEWAY_ERROR),
        tap("a", 1, UpstreamEnd.COMPLETE, DownstreamEnd.ANSWERED, 30, status=504, first_s=30),
        tap("b", 2, UpstreamEnd.ABANDONED, DownstreamEnd.LEFT, 30, left_s=30),
        tap("c", 3, UpstreamEnd.ABANDONED, DownstreamEnd.LEFT, 30, left_s=30),
    ]
    inner_cuts: list[Span] = [
        client(UpstreamEnd.COMPLETE, 20, status=504, outcome=Outcome.GATEWAY_ERROR),
        tap("a", 1, UpstreamEnd.COMPLETE, DownstreamEnd.ANSWERED, 20, status=504, first_s=20),
        tap("b", 2, UpstreamEnd.COMPLETE, DownstreamEnd.ANSWERED, 20, status=504, first_s=20),
        tap("c", 3, UpstreamEnd.ABANDONED, DownstreamEnd.LEFT, 20, left_s=20),
    ]
    said = ("a,b=caddy:first_byte=30s", f"b,c={behind}:first_byte=20s,idle=20s")

    assert verdict(outer_leaves, material("a", "b", "c"), *said).layer == "caddy"
    assert verdict(inner_cuts, material("a", "b", "c"), *said).layer == behind


def test_hops_of_a_run_are_no_taps_of_a_user_s() -> None:
    """An emulated layer dials the next one itself: nothing stands between them."""
    spans: list[Span] = []
    for span in cut_in_the_wait(30, 504, Outcome.GATEWAY_ERROR):
        if isinstance(span, LayerRecord):
            span.tap = None
        spans.append(span)

    moved, topology = put_between(spans, material("a", "b"), [])

    assert moved == spans
    assert [layer.name for layer in topology.hops] == ["a", "b"]


def test_two_layers_of_one_name_are_told_apart() -> None:
    """A verdict must name one layer."""
    said = parse_between(["a,b=nginx", "b,c=nginx"])

    _, topology = put_between([], material("a", "b", "c"), said)

    assert [layer.name for layer in topology.hops] == ["nginx", "nginx-2"]


def test_a_layer_of_one_s_own_has_a_name_and_limits() -> None:
    """Any name that is no preset's."""
    (said,) = parse_between(["a,b=house-proxy:idle=45s"])

    assert said.layer.name == "house-proxy"
    assert said.layer.limit_s(TimerKind.IDLE) == 45.0


REFUSED = {
    "a=nginx": "does not name two taps and a layer",
    "a,b": "does not name two taps and a layer",
    "a,a=nginx": "does not name two taps and a layer",
    "a,b=openai-python": "is a client",
    "a,b=nginx:idel=60s": "did you mean 'idle'",
    "a,b=nginx:idle=60 parsecs": "idle of nginx",
    "a,x=nginx": "there is no tap 'x'",
    "b,a=nginx": "the other way round",
    "a,c=nginx": "not next to each other",
}


@pytest.mark.parametrize("written", REFUSED)
def test_what_cannot_be_used_is_named(written: str) -> None:
    """With the nearest right spelling, and the form."""
    with pytest.raises(BadInput, match=REFUSED[written]) as told:
        put_between([], material("a", "b", "c"), parse_between([written]))

    assert str(told.value).startswith("--between: ")


def test_pairs_stand_in_the_order_of_the_chain() -> None:
    """A plain hop between taps stays where it stands."""
    topology = material("a", "b", "c", "d")

    _, moved = put_between([], topology, parse_between(["c,d=nginx"]))

    assert [layer.name for layer in moved.hops] == ["a", "b", "nginx"]
    assert all(one != other for one, other in pairwise(layer.name for layer in moved.hops))


def test_a_ledger_without_a_fault_does_not_prove_that_the_upstream_ended_it_behind_a_tap() -> None:
    """A layer behind the tap may have reset its caller and read on: the work runs, and the upstream saw nothing."""
    reset = UpstreamEnd.RESET
    work = GenerationRecord(
        trace_id=TRACE, span_id="9" * 16, parent_id="2" * 16, layer="upstream", name="generation", start_s=0.0,
        end_s=200.0, generation="g", settled=False,
    )  # fmt: skip
    spans: list[Span] = [
        client(reset, 20, outcome=Outcome.RESET),
        tap("a", 1, reset, DownstreamEnd.TRUNCATED, 20),
        tap("b", 2, reset, DownstreamEnd.TRUNCATED, 20),
    ]

    assert verdict([*spans, work], material("a", "b")).grade == "testified"
    assert verdict([*spans, replace(work, fault="reset")], material("a", "b")).grade == "proven"
