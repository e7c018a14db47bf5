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

from whocut.chain.layers import Layer, Role, Topology
from whocut.chain.timers import Timer, TimerKind
from whocut.trace import names
from whocut.trace.records import DownstreamEnd, Event, Outcome, Span, SpanKind, UpstreamEnd

_ROW = re.compile(r"^\s*(?P<name>[\w-]+)\s+(?P<before>\s*)\|(?P<bar>[=l]*)(?P<end>[x<|)!-]?)\s*(?P<rest>.*)$")


@dataclass(frozen=True)
class Drawn:
    """The spans of one attempt and the chain they belong to."""

    spans: list[Span]
    topology: Topology

    def without(self, *layers: str) -> Drawn:
        """The same, with the spans of some layers withheld."""
        return Drawn([span for span in self.spans if span.layer not in layers], self.topology)

    def skewed(self, layer: str, by_s: float) -> Drawn:
        """The same, with one layer's clock wrong by so much."""
        for span in self.spans:
            if span.layer == layer:
                _shift(span, by_s)
        return self


def drawn(picture: str) -> Drawn:
    """Read a drawing."""
    scale = float(re.search(r"one column is ([\d.]+) s", picture)[1])  # type: ignore[index]  # or the test is wrong
    rows = [match for line in picture.splitlines() if (match := _ROW.match(line))]
    spans: list[Span] = []
    parent: str | None = None
    for position, row in enumerate(rows):
        last = position == len(rows) - 1
        span = _generation(row, scale) if last else _layer(row, scale, position)
        span.parent_id = parent
        span.span_id = f"{position + 1:016x}"
        parent = span.span_id
        spans.append(span)
    _statuses(spans)
    layers = [_as_layer(span) for span in spans[:-1]]
    topology = Topology(name="drawn", client=layers[0], hops=tuple(layers[1:]))
    return Drawn(spans, topology)


def _layer(row: re.Match[str], scale: float, position: int) -> Span:
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
    attributes: dict[str, object] = {
        names.POSITION: position,
        names.UPSTREAM_END: str(upstream),
        names.UPSTREAM_END_S: end_s,
        names.DOWNSTREAM_END: str(downstream),
        names.DOWNSTREAM_END_S: end_s,
    }
    events = []
    if row["end"] in "x<":
        timer, _, phase = row["rest"].strip().partition("@")
        attributes |= {
            names.CUT_TIMER: timer,
            names.CUT_DIRECTIVE: f"{row['name']}_{timer}",
            names.CUT_PHASE: phase or "wait",
            names.CUT_LIMIT_S: end_s - start_s,
            names.CUT_AT_S: end_s,
        }
        if phase == "stream":
            attributes[names.DOWNSTREAM_END] = str(DownstreamEnd.TRUNCATED)
    if "l" in row["bar"]:
        events.append(Event("downstream.left", start_s + (row["bar"].index("l") + 1) * scale))
    if position == 0:
        outcome = {"x": Outcome.TIMEOUT, "|": Outcome.DELIVERED, ")": Outcome.TRUNCATED, "!": Outcome.RESET}
        attributes[names.OUTCOME] = str(outcome.get(row["end"], Outcome.CENSORED))
        attributes[names.REQUEST] = "request-1"
        attributes[names.ATTEMPT] = 1
    return Span(
        trace_id="1" * 32,
        span_id="",
        parent_id=None,
        layer=row["name"],
        kind=SpanKind.HOP if position else SpanKind.ATTEMPT,
        name="POST /v1/images/generations",
        start_s=start_s,
        end_s=end_s,
        attributes=attributes,
        events=events,
    )


def _generation(row: re.Match[str], scale: float) -> Span:
    start_s = len(row["before"]) * scale
    end_s = start_s + (len(row["bar"]) + 1) * scale
    gone_s = start_s + (row["bar"].index("l") + 1) * scale if "l" in row["bar"] else None
    delivered = gone_s is None and row["end"] == "|"
    attributes: dict[str, object] = {
        names.GENERATION: "gen-1",
        names.BILLED: True,
        names.BILLED_USD: 0.21,
        names.DELIVERED: delivered,
        names.ORPHANED: gone_s is not None,
        names.ORPHANED_S: None if gone_s is None else end_s - gone_s,
        names.CALLER_GONE_S: gone_s,
        names.EMISSIONS_S: [end_s],
    }
    if row["rest"].strip():
        attributes[names.FAULT] = row["rest"].strip()
    return Span(
        trace_id="1" * 32,
        span_id="",
        parent_id=None,
        layer="upstream",
        kind=SpanKind.GENERATION,
        name="generation",
        start_s=start_s,
        end_s=end_s,
        attributes={key: value for key, value in attributes.items() if value is not None},
    )


def _statuses(spans: list[Span]) -> None:
    """A whole response carries its status outward: 504 from a layer that answered itself, else 200."""
    status: int | None = 200
    for span in reversed(spans[:-1]):
        upstream = UpstreamEnd(span.attributes[names.UPSTREAM_END])
        if upstream is UpstreamEnd.CUT:
            status = 504
        span.attributes[names.STATUS] = status
    client = spans[0].attributes
    if client[names.OUTCOME] == Outcome.DELIVERED and client[names.STATUS] == 504:
        client[names.OUTCOME] = str(Outcome.GATEWAY_ERROR)


def _as_layer(span: Span) -> Layer:
    role = Role.CLIENT if span.kind is SpanKind.ATTEMPT else Role.HOP
    if names.CUT_TIMER not in span.attributes:
        return Layer(name=span.layer, title=span.layer.title(), role=role)
    kind = TimerKind(span.attributes[names.CUT_TIMER])
    timer = Timer(
        kind=kind, limit_s=span.attributes[names.CUT_LIMIT_S], directive=span.attributes[names.CUT_DIRECTIVE]
    )
    return Layer(name=span.layer, title=span.layer.title(), role=role, timers={kind: timer})


def _shift(span: Span, by_s: float) -> None:
    span.start_s += by_s
    span.end_s += by_s
    for key in (names.UPSTREAM_END_S, names.DOWNSTREAM_END_S, names.CUT_AT_S):
        if key in span.attributes:
            span.attributes[key] += by_s
    for event in span.events:
        event.at_s += by_s
