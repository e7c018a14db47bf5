"""A real gateway's account from its two taps: what they saw, and what may be said of the gateway between them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from whocut.chain.catalogue import overridden, preset
from whocut.chain.layers import Topology
from whocut.chain.timers import TimerKind
from whocut.trace.records import (
    CALLER_LEFT,
    AttemptRecord,
    DeathRecord,
    DownstreamEnd,
    Event,
    GenerationRecord,
    LayerRecord,
    Outcome,
    Span,
    SpanKind,
    TapSide,
    UpstreamEnd,
)
from whocut.verdict.attribute import attribute
from whocut.verdict.evidence import gather
from whocut.verdict.gateways import fired_early, whole_layers

TRACE = "a" * 32
LIMIT_S = 60.0
COMPLETE, CLOSED, RESET, REFUSED = (
    UpstreamEnd.COMPLETE,
    UpstreamEnd.CLOSED,
    UpstreamEnd.RESET,
    UpstreamEnd.REFUSED,
)


def topology(name: str = "nginx") -> Topology:
    """A client and one real gateway."""
    limits: dict[TimerKind, float | None] = {TimerKind.FIRST_BYTE: LIMIT_S, TimerKind.IDLE: LIMIT_S}
    layer = replace(overridden(preset(name), limits, "this test"), gateway=name)
    return Topology(name="t", client=replace(preset("openai-python"), name="client"), hops=(layer,))


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the taps, the client and the upstream saw of one request that began at 0 s.

    `caller` and `caller_s`: how the gateway's side towards its caller ended, as the tap outside saw it. `sent_s`:
    when the tap inside had the request. `first_s` and `last_s`: bytes that reached the gateway. `left_s`: when it
    let go of the tap inside; None where it did not.
    """

    caller: UpstreamEnd = COMPLETE
    caller_s: float = LIMIT_S
    status: int | None = 504
    asked: bool = True
    sent_s: float = 0.0
    first_s: float | None = None
    last_s: float | None = None
    left_s: float | None = LIMIT_S
    ended: UpstreamEnd = COMPLETE
    gone_s: float | None = None  # the caller of the tap outside
    died_s: float | None = None
    lazy_s: float = 0.0

    def spans(self) -> list[Span]:
        """As they are written."""
        left = self.gone_s is not None
        client = AttemptRecord(
            **account(
                "client",
                0,
                None,
                UpstreamEnd.ABANDONED if left else self.caller,
                DownstreamEnd.ANSWERED,
                self.end_s,
            ),
            status=self.status,
            request="r",
            outcome=Outcome.GATEWAY_ERROR if self.caller is COMPLETE else Outcome.RESET,
        )
        found: list[Span] = [client, self.outside()]
        if self.asked:
            found += [self.inside(), self.generation()]
        if self.died_s is not None:
            found.append(
                DeathRecord(
                    trace_id="d" * 32, span_id="d" * 16, parent_id=None, layer="nginx",
                    name="death", start_s=self.died_s - 5, end_s=self.died_s, why="killed",
                )
            )  # fmt: skip
        return found

    @property
    def end_s(self) -> float:
        """When the caller's side was over."""
        return self.gone_s if self.gone_s is not None else self.caller_s

    def outside(self) -> LayerRecord:
        """The tap towards the caller."""
        left = self.gone_s is not None
        return LayerRecord(
            **account(
                "nginx",
                1,
                0,
                UpstreamEnd.ABANDONED if left else self.caller,
                DownstreamEnd.LEFT if left else DownstreamEnd.ANSWERED,
                self.end_s,
            ),
            tap=TapSide.OUTSIDE,
            status=self.status,
            events=[] if self.gone_s is None else [Event(CALLER_LEFT, self.gone_s)],
        )

    def inside(self) -> LayerRecord:
        """The tap towards the model."""
        if self.left_s is not None:
            up, down, at_s = UpstreamEnd.ABANDONED, DownstreamEnd.LEFT, self.left_s
        else:
            up, at_s = self.ended, self.caller_s
            down = DownstreamEnd.ANSWERED if self.ended is COMPLETE else DownstreamEnd.TRUNCATED
        return LayerRecord(
            **account("nginx", 2, 1, up, down, at_s) | {"position": 1},
            tap=TapSide.INSIDE,
            request_sent_s=self.sent_s,
            first_byte_s=self.first_s,
            last_byte_s=self.last_s,
            tap_lazy_s=self.lazy_s or None,
        )

    def generation(self) -> GenerationRecord:
        """The upstream's account."""
        return GenerationRecord(
            trace_id=TRACE, span_id="9" * 16, parent_id="2" * 16, layer="upstream",
            name="generation", start_s=0.0, end_s=200.0, generation="g", caller_gone_s=self.left_s,
        )  # fmt: skip


def account(
    layer: str,
    number: int,
    parent: int | None,
    upstream: UpstreamEnd,
    downstream: DownstreamEnd,
    end_s: float,
) -> dict[str, Any]:
    """The facts of one account, from 0 s on."""
    return {
        "trace_id": TRACE,
        "span_id": str(number) * 16,
        "parent_id": None if parent is None else str(parent) * 16,
        "layer": layer,
        "name": "POST /",
        "start_s": 0.0,
        "end_s": end_s,
        "position": number,
        "upstream": upstream,
        "upstream_s": end_s,
        "downstream": downstream,
        "downstream_s": end_s,
    }


DIED = "without a timer (killed)"
VERDICTS: dict[str, tuple[Seen, tuple[object, ...]]] = {
    "waited as long as its limit, and answered 504": (Seen(), ("nginx", "first_byte", "wait", "proven", "")),
    "its own 504 a little late": (
        Seen(left_s=66, caller_s=66),
        ("nginx", "first_byte", "wait", "proven", ""),
    ),
    "seen by the tap inside long after it had been asked": (
        Seen(sent_s=25),
        ("nginx", "first_byte", "wait", "proven", ""),
    ),
    "told its caller before it let go": (
        Seen(left_s=60.2, caller_s=60.0),
        ("nginx", "first_byte", "wait", "proven", ""),
    ),
    "silent in mid-stream as long as its limit": (
        Seen(caller=CLOSED, caller_s=90, status=200, first_s=20, last_s=30, left_s=90),
        ("nginx", "idle", "stream", "proven", ""),
    ),
    "lazy in mid-stream": (
        Seen(caller=CLOSED, caller_s=70, status=200, first_s=20, last_s=40, left_s=70, lazy_s=30),
        ("nginx", "idle", "stream", "proven", ""),
    ),
    "let go too early for its limit": (
        Seen(left_s=30, caller_s=30),
        (
            "nginx",
            None,
            None,
            "proven",
            "without a timer (it gave up after 30.0 s, which fits none of its timers)",
        ),
    ),
    "too early in mid-stream without laziness": (
        Seen(caller=CLOSED, caller_s=70, status=200, first_s=20, last_s=40, left_s=70),
        (
            "nginx",
            None,
            None,
            "proven",
            "without a timer (it gave up after 70.0 s, which fits none of its timers)",
        ),
    ),
    "let go at its limit, and its answer is the house's own": (
        Seen(status=500),
        ("nginx", "first_byte", "wait", "proven", ""),
    ),
    "let go long after its limit, and its answer is another": (
        Seen(caller_s=80, left_s=80, status=500),
        (
            "nginx",
            None,
            None,
            "proven",
            "without a timer (it gave up after 80.0 s, which fits none of its timers)",
        ),
    ),
    "let go in mid-body, and its caller waited on": (
        Seen(
            caller=UpstreamEnd.ABANDONED,
            caller_s=200,
            status=200,
            first_s=10,
            last_s=20,
            left_s=80,
            gone_s=200,
        ),
        ("nginx", "idle", "stream", "proven", ""),
    ),
    "killed while it waited, at its limit by chance": (
        Seen(caller=RESET, died_s=60),
        ("nginx", None, None, "proven", DIED),
    ),
    "killed in mid-stream, at its limit by chance": (
        Seen(caller=RESET, caller_s=90, status=200, first_s=20, last_s=30, left_s=90, died_s=90),
        ("nginx", None, None, "proven", DIED),
    ),
    "answered 504 long before it was killed": (
        Seen(died_s=300),
        ("nginx", "first_byte", "wait", "proven", ""),
    ),
    "not there any more": (
        Seen(caller=REFUSED, caller_s=0.1, status=None, asked=False, died_s=0.0),
        ("nginx", None, None, "proven", DIED),
    ),
    "took no request": (
        Seen(caller=RESET, caller_s=0.1, status=None, asked=False),
        ("nginx", None, None, "proven", "without a timer (it took no request: reset)"),
    ),
    "answered for itself": (
        Seen(caller_s=0.1, status=503, asked=False),
        ("nginx", None, None, "proven", "without a timer (it answered 503 and asked no upstream)"),
    ),
    "killed with the whole image in its hands": (
        Seen(caller=RESET, caller_s=50, status=200, left_s=None, died_s=50),
        ("nginx", None, None, "proven", DIED),
    ),
    "kept a whole answer to itself until its caller left": (
        Seen(caller_s=20, status=None, left_s=None, gone_s=200),
        (
            "nginx",
            None,
            None,
            "proven",
            "without a timer (it had the response whole, and its caller got none of it)",
        ),
    ),
    "had a whole answer when its caller left": (
        Seen(caller_s=20, status=None, left_s=None, gone_s=20.5),
        ("client", None, None, "proven", "because its caller went away"),
    ),
    "let go after its caller": (
        Seen(gone_s=40, left_s=40.1),
        ("client", None, None, "proven", "because its caller went away"),
    ),
    "let go at its limit, a blink after its caller": (
        Seen(gone_s=59.9, left_s=60.0),
        ("client", None, None, "proven", "because its caller went away"),
    ),
}


@pytest.mark.parametrize("case", VERDICTS)
def test_what_a_gateway_did_is_read_off_its_taps(case: str) -> None:
    """Who, by which timer if by any, in which phase, how sure."""
    seen, expected = VERDICTS[case]

    (evidence,) = gather(whole_layers(seen.spans(), topology()))
    verdict = attribute(evidence, topology())

    assert (verdict.layer, verdict.timer, verdict.phase, verdict.grade, verdict.reason) == expected


def test_two_timers_that_were_due_at_one_instant_are_both_named() -> None:
    """Caddy's two limits are equal here, and each watches the wait: the layer is proven, the timer is not told."""
    spans = [replace(one, layer="caddy") if one.layer == "nginx" else one for one in Seen().spans()]

    (evidence,) = gather(whole_layers(spans, topology("caddy")))
    verdict = attribute(evidence, topology("caddy"))

    assert (verdict.layer, verdict.timer, verdict.grade) == ("caddy", None, "proven")
    assert "which fits read_timeout and response_header_timeout alike" in verdict.reason


def test_a_blind_gateway_s_timer_fires_for_nobody() -> None:
    """HAProxy holds on after its caller has left: the client was first, and the timer is no cause."""
    seen = Seen(gone_s=20, left_s=60)
    spans = [replace(one, layer="haproxy") if one.layer == "nginx" else one for one in seen.spans()]

    (evidence,) = gather(whole_layers(spans, topology("haproxy")))
    verdict = attribute(evidence, topology("haproxy"))

    assert (verdict.layer, verdict.grade) == ("client", "proven")
    assert [(one.layer, one.fact) for one in verdict.cascade] == [
        ("haproxy", "its timer timeout server fired later, without a caller")
    ]


def test_a_gateway_is_one_layer_whatever_stands_around_it() -> None:
    """One span of its name and place; what came behind its taps hangs on it."""
    whole = whole_layers(Seen().spans(), topology())

    assert [(one.layer, one.kind, one.parent_id) for one in whole] == [
        ("client", SpanKind.ATTEMPT, None),
        ("nginx", SpanKind.HOP, "0" * 16),
        ("upstream", SpanKind.GENERATION, "1" * 16),
    ]
    assert isinstance(whole[1], LayerRecord)
    assert (whole[1].tap, whole[1].gateway) == (None, "nginx")


def test_spans_without_taps_stay_as_they_are() -> None:
    """An emulated chain has nothing to put together."""
    spans = [one for one in Seen().spans() if not (isinstance(one, LayerRecord) and one.tap)]

    assert whole_layers(spans, topology()) == spans


def test_a_cut_before_its_limit_is_counted_against_the_clock() -> None:
    """By how much, and of which gateway: the run's page warns of it."""
    lazy = Seen(caller=CLOSED, caller_s=70, status=200, first_s=20, last_s=40, left_s=70, lazy_s=30)

    assert fired_early(whole_layers(lazy.spans(), topology())) == {"nginx": 30.0}
    assert fired_early(whole_layers(Seen().spans(), topology())) == {}
