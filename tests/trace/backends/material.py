"""Spans to store and fetch: those of played worlds, ours, and those of other people's services."""

from __future__ import annotations

import random
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from tests.foreign.test_attribute import EPOCH_UNIX_S, span
from tests.worlds.play import play
from tests.worlds.world import random_world
from whocut.trace import otlp

if TYPE_CHECKING:
    from whocut.trace.otlp import WireSpan

PER_WORLD = 12


@lru_cache
def world_lines(number: int) -> bytes:
    """The spans of one random world, as a run directory has them."""
    dice = random.Random(f"backends/{number}")
    spans, _ = play(random_world(dice, PER_WORLD))
    return otlp.encode_line(spans, EPOCH_UNIX_S)


def foreign_lines() -> bytes:
    """Six requests through services of other people: three that were cut, and three that went well."""
    traces = [
        [
            span(1, 3, "client", status=504, trace=1),
            span(2, 2, "gateway", 1, status=504, trace=1),
            span(3, 3, "gateway", 2, error_type="timeout", trace=1),
            span(4, 2, "app", 3, status=200, lasts=195.0, trace=1),
        ],
        [
            span(1, 3, "client", error_type="ReadTimeout", trace=2),
            span(2, 2, "gateway", 1, status=499, trace=2),
        ],
        [span(1, 3, "client", error_type="ReadTimeout", trace=3, lasts=60.2)],
        *(
            [
                span(1, 3, "client", status=200, trace=number, lasts=7.0 + number),
                span(2, 2, "gateway", 1, status=200, trace=number, lasts=7.0 + number),
            ]
            for number in (4, 5, 6)
        ),
    ]
    for trace in traces:
        for row in trace:
            _spoil(row)
    return b"".join(orjson.dumps({"resourceSpans": trace}) + b"\n" for trace in traces)


def _spoil(row: dict[str, Any]) -> None:
    """As instrumentation does it: a span with `error.type` has the status of an error."""
    (one,) = row["scopeSpans"][0]["spans"]
    if any(pair["key"] == "error.type" for pair in one["attributes"]):
        one["status"] = {"code": 2, "message": "it failed"}
        one["events"] = [
            {
                "timeUnixNano": one["endTimeUnixNano"],
                "name": "exception",
                "attributes": [{"key": "exception.message", "value": {"stringValue": "gave up"}}],
            }
        ]


def wires(lines: bytes) -> list[WireSpan]:
    """The spans of these lines, as a backend gets them."""
    return [wire for line in lines.splitlines() for wire in otlp.wire_spans(line)]
