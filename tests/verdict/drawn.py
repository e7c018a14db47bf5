"""A trace as a drawing: the drawing is the input of the test that stands under it.

::

    one column is 5 s
    client    |=============
    edge      |============x idle
    gateway   |============x first_byte
    upstream  |========================|

Rows go from the caller inward; the first is the client, the last the upstream's generation. A row starts at its
``|``. Its end says what that layer saw:

``x TIMER``    it cut by that timer of its own (``x total@stream``: in that phase)
``< TIMER``    the same, but blind: it says so although its caller had left before (marked by ``l``)
``|``          its response was complete
``)``          its upstream ended the connection first
``!``          its upstream reset it
``-``          its caller left, and it let go
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from whocut.chain.layers import Layer, Role, Topology
from whocut.chain.timers import Phase, Timer, TimerKind
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
    UpstreamEnd,
)

_ROW = re.compile(r"^\s*(?P<name>[\w-]+)\s+(?P<before>\s*)\|(?P<bar>[=l]*)(?P<end>[x<|)!-]?)\s*(?P<rest>.*)$")


@dataclass(frozen=True)
class Drawn:
    """The spans of one attempt and the chain they belong to."""

    spans: list[Span]
    topology: Topology

    @property
    def client(self) -> AttemptRecord:
        """The client's span."""
        (client,) = (span for span in self.spans if isinstance(span, AttemptRecord))
        return client

    @property
    def generation(self) -> GenerationRecord:
        """The upstream's span."""
        (generation,) = (span for span in self.spans if isinstance(span, GenerationRecord))
        return generation

    def layer(self, name: str) -> LayerRecord:
        """The span of a layer."""
        (layer,) = (span for span in self.spans if isinstance(span, LayerRecord) and span.layer == name)
        return layer

    def without(self, *layers: str) -> Drawn:
        """The same, with the spans of some layers withheld."""
        return Drawn([span for span in self.spans if span.layer not in layers], self.topology)

    def skewed(self, layer: str, by_s: float) -> Drawn:
        """The same, with one layer's clock wrong by so much."""
        for span in self.spans:
            if span.layer == layer:
                span.move(by_s)
                span.move_own(by_s)
        return self


def drawn(picture: str) -> Drawn:
    """Read a drawing."""
    scale = float(re.search(r"one column is ([\d.]+) s", picture)[1])  # type: ignore[index]  # or the test is wrong
    rows = [match for line in picture.splitlines() if (match := _ROW.match(line))]
    layers = [_layer(row, scale, position) for position, row in enumerate(rows[:-1])]
    _statuses(layers)
    spans: list[Span] = [*layers, _generation(rows[-1], scale)]
    parent: str | None = None
    for number, span in enumerate(spans, start=1):
        span.parent_id, span.span_id = parent, f"{number:016x}"
        parent = span.span_id
    client, *hops = map(_as_layer, layers)
    return Drawn(spans, Topology(name="drawn", client=client, hops=tuple(hops)))


def _layer(row: re.Match[str], scale: float, position: int) -> LayerRecord:
    start_s = len(row["before"]) * scale
    end_s = start_s + (len(row["bar"]) + 1) * scale
    ends = {
        "x": (UpstreamEnd.CUT, DownstreamEnd.OWN_ANSWER),
        "<": (UpstreamEnd.CUT, DownstreamEnd.OWN_ANSWER),
        "|": (UpstreamEnd.COMPLETE, DownstreamEnd.ANSWERED),
        ")": (UpstreamEnd.CLOSED, DownstreamEnd.TRUNCATED),
        "!": (UpstreamEnd.RESET, DownstreamEnd.TRUNCATED),
        "-": (UpstreamEnd.ABANDONED, DownstreamEnd.LEFT),
    }
    upstream, downstream = ends[row["end"]]
    cut = _cut(row, start_s, end_s) if row["end"] in "x<" else None
    if cut is not None and cut.phase is Phase.STREAM:
        downstream = DownstreamEnd.TRUNCATED
    facts: dict[str, Any] = {
        "trace_id": "1" * 32,
        "span_id": "",
        "parent_id": None,
        "layer": row["name"],
        "name": "POST /v1/images/generations",
        "start_s": start_s,
        "end_s": end_s,
        "position": position,
        "upstream": upstream,
        "upstream_s": end_s,
        "downstream": downstream,
        "downstream_s": end_s,
        "cut": cut,
        "events": [Event(CALLER_LEFT, start_s + (row["bar"].index("l") + 1) * scale)]
        if "l" in row["bar"]
        else [],
    }
    if position:
        return LayerRecord(**facts)
    outcome = {"x": Outcome.TIMEOUT, "|": Outcome.DELIVERED, ")": Outcome.TRUNCATED, "!": Outcome.RESET}
    return AttemptRecord(
        **facts, request="request-1", number=1, outcome=outcome.get(row["end"], Outcome.CENSORED)
    )


def _cut(row: re.Match[str], start_s: float, end_s: float) -> Cut:
    timer, _, phase = row["rest"].strip().partition("@")
    return Cut(
        timer=TimerKind(timer),
        directive=f"{row['name']}_{timer}",
        phase=Phase(phase or "wait"),
        limit_s=end_s - start_s,
        at_s=end_s,
    )


def _generation(row: re.Match[str], scale: float) -> GenerationRecord:
    start_s = len(row["before"]) * scale
    end_s = start_s + (len(row["bar"]) + 1) * scale
    gone_s = start_s + (row["bar"].index("l") + 1) * scale if "l" in row["bar"] else None
    return GenerationRecord(
        trace_id="1" * 32,
        span_id="",
        parent_id=None,
        layer="upstream",
        name="generation",
        start_s=start_s,
        end_s=end_s,
        generation="gen-1",
        billed=True,
        billed_usd=0.21,
        delivered=gone_s is None and row["end"] == "|",
        orphaned=gone_s is not None,
        orphaned_s=None if gone_s is None else end_s - gone_s,
        caller_gone_s=gone_s,
        events_s=(end_s,),
        fault=row["rest"].strip() or None,
    )


def _statuses(layers: list[LayerRecord]) -> None:
    """A whole response carries its status outward: 504 from a layer that answered itself, else 200."""
    status = 200
    for layer in reversed(layers):
        if layer.upstream is UpstreamEnd.CUT:
            status = 504
        layer.status = status
    client = layers[0]
    assert isinstance(client, AttemptRecord)
    if client.outcome is Outcome.DELIVERED and client.status == 504:
        client.outcome = Outcome.GATEWAY_ERROR


def _as_layer(layer: LayerRecord) -> Layer:
    role = Role.HOP if layer.position else Role.CLIENT
    cut = layer.cut
    if cut is None:
        return Layer(name=layer.layer, title=layer.layer.title(), role=role)
    timer = Timer(kind=cut.timer, limit_s=cut.limit_s, directive=cut.directive)
    return Layer(name=layer.layer, title=layer.layer.title(), role=role, timers={cut.timer: timer})
