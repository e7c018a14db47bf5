"""One record of each kind with every field set: what a codec must not lose."""

from __future__ import annotations

from typing import Any

from whocut.chain.timers import Phase, TimerKind
from whocut.trace.records import (
    AttemptRecord,
    Cut,
    DeathRecord,
    DownstreamEnd,
    Event,
    ForeignSpan,
    GenerationRecord,
    LayerRecord,
    Outcome,
    RequestRecord,
    Span,
    SpanKind,
    TapSide,
    UpstreamEnd,
    new_span_id,
    new_trace_id,
)

CUT = Cut(
    timer=TimerKind.FIRST_BYTE, directive="proxy_read_timeout", phase=Phase.WAIT, limit_s=60.0, at_s=61.0
)


def envelope(layer: str = "nginx") -> dict[str, Any]:
    """What every span has; ids are new each time."""
    return {
        "trace_id": new_trace_id(),
        "span_id": new_span_id(),
        "parent_id": new_span_id(),
        "layer": layer,
        "name": "POST /v1/images/generations",
        "start_s": 1.0,
        "end_s": 61.0,
        "events": [Event("retry", 2.0, {"because": "stale connection"})],
        "error": "cut",
    }


def _layer_facts() -> dict[str, Any]:
    return {
        "position": 2,
        "method": "POST",
        "path": "/v1/images/generations",
        "upstream": UpstreamEnd.CUT,
        "downstream": DownstreamEnd.OWN_ANSWER,
        "upstream_s": 61.0,
        "downstream_s": 61.0,
        "request_sent_s": 1.5,
        "first_byte_s": 3.0,
        "last_byte_s": 4.0,
        "largest_gap_s": 1.0,
        "status": 504,
        "bytes_down": 167,
        "cut": CUT,
        "cut_tries": [CUT],
        "gone": "it was killed",
        "tap": TapSide.INSIDE,
        "tap_lazy_s": 0.5,
        "clock": "tap-1",
        "gateway": "nginx",
    }


def layer_record(layer: str = "nginx") -> LayerRecord:
    """A hop's, with all it can tell."""
    return LayerRecord(**envelope(layer), **_layer_facts(), resent=1)


def record_of(kind: SpanKind, layer: str = "nginx") -> Span:
    """One of this kind, with every field set."""
    has = envelope(layer)
    made: dict[SpanKind, Span] = {
        SpanKind.REQUEST: RequestRecord(**has, request="r1", mode="plain", outcome=Outcome.TIMEOUT),
        SpanKind.ATTEMPT: AttemptRecord(
            **has,
            **_layer_facts(),
            request="r1",
            number=2,
            mode="plain",
            outcome=Outcome.GATEWAY_ERROR,
            error_code="504",
            headers={"server": "nginx", "via": "1.1 edge"},
            body_head="<html>",
        ),
        SpanKind.HOP: layer_record(layer),
        SpanKind.GENERATION: GenerationRecord(
            **has,
            generation="gen-1",
            model="gpt-image-2",
            status=200,
            error_code="moderation_blocked",
            caller_gone_s=61.0,
            delivered=True,
            orphaned=True,
            orphaned_s=135.0,
            billed=True,
            billed_usd=0.211,
            fault="reset_mid_body",
            refused=True,
            settled=False,
            events_s=(26.0, 95.0),
            first_byte_s=1.5,
            heartbeat_s=15.0,
        ),
        SpanKind.DEATH: DeathRecord(**has, why="it was killed"),
        SpanKind.FOREIGN: ForeignSpan(**has, attributes={"http.response.status_code": 504, "x": [1.5]}),
    }
    return made[kind]
