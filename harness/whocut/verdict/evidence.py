"""Evidence: what each layer's span shows at its two edges, as facts that can be compared.

A layer has an upstream edge (towards the model) and a downstream edge (towards the caller). Each link of the
chain is seen twice, by the layer on either side of it; that is what makes a verdict provable.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from whocut.chain.timers import Phase, TimerKind
from whocut.trace import names
from whocut.trace.emissions import Emissions
from whocut.trace.records import Attempt, DownstreamEnd, Span, SpanKind, UpstreamEnd
from whocut.verdict.inference import Seen

if TYPE_CHECKING:
    from collections.abc import Iterable

    from whocut.verdict.testimony import Statement


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A layer's own word that a timer of its fired."""

    timer: TimerKind
    directive: str
    phase: Phase
    limit_s: float
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Edges:
    """One layer's account of one attempt, reduced to what attribution needs."""

    layer: str
    position: int
    start_s: float
    end_s: float
    upstream: UpstreamEnd
    downstream: DownstreamEnd
    upstream_s: float | None
    downstream_s: float | None
    cut: Cut | None
    status: int | None
    largest_gap_s: float | None
    caller_left_s: float | None  # seen by the harness even where the layer itself is blind to it
    fault: str | None = None
    gone: str | None = None  # why it ended a request by no timer: it died, or gave up
    by_taps: bool = False  # a real gateway, seen by the taps beside it: nothing of this is its own word

    @property
    def after_s(self) -> float | None:
        """From acceptance to the layer's own cut, on the layer's own clock."""
        return self.cut.at_s - self.start_s if self.cut else None

    @property
    def caller_went_first(self) -> bool:
        """Whether this layer's caller ended the link before the layer did, as the layer saw it."""
        return self.downstream is DownstreamEnd.LEFT


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationEdge:
    """The upstream's account: the last witness on the way."""

    generation: str
    start_s: float
    end_s: float
    caller_gone_s: float | None
    delivered: bool
    orphaned: bool
    fault: str | None
    sent: Emissions
    attributes: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEvidence:
    """All that is known of one attempt, from the caller inward."""

    request: str
    attempt: int
    mode: str
    trace_id: str
    outcome: str
    layers: tuple[Edges, ...]  # the client first; holes where a layer did not report
    generation: GenerationEdge | None
    reported: frozenset[int]
    earlier: tuple[GenerationEdge, ...] = ()  # of the same attempt, where a layer asked again by itself
    joined_by_time: bool = False  # a span's place in this attempt rests on its instant alone
    span_ids: tuple[str, ...] = ()  # of all spans that were joined to it, its own first, then inward
    testimony: tuple[Statement, ...] = ()  # what logs, and spans that are not ours, say of layers
    seen: Seen | None = None  # the response as its caller saw it


def edges_of(span: Span) -> Edges:
    """What a client's or a hop's span shows."""
    has = span.attributes
    left = next((event.at_s for event in span.events if event.name == "downstream.left"), None)
    return Edges(
        layer=span.layer,
        position=int(has.get(names.POSITION, 0)),
        start_s=span.start_s,
        end_s=span.end_s,
        upstream=UpstreamEnd(has.get(names.UPSTREAM_END, UpstreamEnd.NONE)),
        downstream=DownstreamEnd(has.get(names.DOWNSTREAM_END, DownstreamEnd.NONE)),
        upstream_s=has.get(names.UPSTREAM_END_S),
        downstream_s=has.get(names.DOWNSTREAM_END_S),
        cut=_cut_of(has),
        status=has.get(names.STATUS),
        largest_gap_s=has.get(names.LARGEST_GAP_S),
        caller_left_s=left,
        fault=has.get(names.FAULT),
        gone=has.get(names.GONE) or _failed(span),
        by_taps=names.GATEWAY in has,
    )


def _failed(span: Span) -> str | None:
    """A hop of ours whose code raised writes so."""
    return "it failed" if any(event.name == "hop.failed" for event in span.events) else None


def _cut_of(has: dict[str, Any]) -> Cut | None:
    if names.CUT_TIMER not in has:
        return None
    return Cut(
        timer=TimerKind(has[names.CUT_TIMER]),
        directive=str(has.get(names.CUT_DIRECTIVE, has[names.CUT_TIMER])),
        phase=Phase(has[names.CUT_PHASE]),
        limit_s=float(has[names.CUT_LIMIT_S]),
        at_s=float(has[names.CUT_AT_S]),
    )


def generation_of(span: Span) -> GenerationEdge:
    """What a generation's span shows."""
    has = span.attributes
    return GenerationEdge(
        generation=str(has.get(names.GENERATION, span.span_id)),
        start_s=span.start_s,
        end_s=span.end_s,
        caller_gone_s=has.get(names.CALLER_GONE_S),
        delivered=bool(has.get(names.DELIVERED, False)),
        orphaned=bool(has.get(names.ORPHANED, False)),
        fault=has.get(names.FAULT),
        sent=Emissions(
            start_s=span.start_s,
            events_s=tuple(has.get(names.EMISSIONS_S) or ()),
            first_s=has.get(names.FIRST_BYTE_S),
            heartbeat_s=has.get(names.HEARTBEAT_S),
        ),
        attributes=has,
    )


def gather(spans: Iterable[Span]) -> list[AttemptEvidence]:
    """Every attempt among the spans, in the order of their starts.

    A hop belongs to the attempt that is its ancestor by parent ids: a request's attempts share one trace. Where
    a span between them is missing, it belongs to the only attempt of its trace, or else to the one under way
    when it began; that is a guess where clocks are skewed, and the evidence says so.
    """
    by_id = {span.span_id: span for span in spans}
    below: dict[str, list[Span]] = {}
    in_trace: dict[str, list[Span]] = {}
    for span in by_id.values():
        if span.kind is SpanKind.ATTEMPT:
            below[span.span_id] = []
            in_trace.setdefault(span.trace_id, []).append(span)
    guessed: set[str] = set()
    for span in by_id.values():
        if span.kind is SpanKind.REQUEST or (
            span.kind is SpanKind.HOP and names.POSITION not in span.attributes
        ):
            continue  # a span that is not ours shows no edges; it is testimony
        attempt = _attempt_above(span, by_id)
        if attempt is None:
            attempt = _under_way(span, in_trace.get(span.trace_id, []))
            if attempt is None:
                continue
            if len(in_trace[span.trace_id]) > 1:
                guessed.add(attempt.span_id)
        below[attempt.span_id].append(span)
    ordered = sorted(below, key=lambda span_id: by_id[span_id].start_s)
    return [_evidence(by_id[span_id], below[span_id], span_id in guessed) for span_id in ordered]


def never_ended(attempts: Iterable[Attempt], spans: Iterable[Span], client: str = "client") -> list[Span]:
    """Spans for attempts whose client was killed before it could write one: begun, and never seen to an end."""
    known = {span.span_id for span in spans}
    return [
        Span(
            trace_id=attempt.trace_id,
            span_id=attempt.span_id,
            parent_id=None,
            layer=client,
            kind=SpanKind.ATTEMPT,
            name="an attempt never seen to its end",
            start_s=attempt.started_s,
            end_s=attempt.started_s,
            attributes={
                names.POSITION: 0,
                names.REQUEST: attempt.request,
                names.ATTEMPT: attempt.number,
                names.MODE: attempt.mode,
                names.OUTCOME: str(attempt.outcome),
            },
        )
        for attempt in attempts
        if attempt.span_id not in known
    ]


def _attempt_above(span: Span, by_id: dict[str, Span]) -> Span | None:
    current: Span | None = span
    for _ in range(64):  # a chain is never this long; a loop in broken data is
        if current is None or current.kind is SpanKind.ATTEMPT:
            return current
        current = by_id.get(current.parent_id) if current.parent_id else None
    return None


def _under_way(span: Span, attempts: list[Span]) -> Span | None:
    begun = [attempt for attempt in attempts if attempt.start_s <= span.start_s]
    if begun:
        return max(begun, key=lambda attempt: attempt.start_s)
    return attempts[0] if len(attempts) == 1 else None


def _evidence(attempt: Span, below: list[Span], joined_by_time: bool) -> AttemptEvidence:  # noqa: FBT001
    layers = sorted(
        (edges_of(span) for span in below if span.kind in {SpanKind.ATTEMPT, SpanKind.HOP}),
        key=lambda edges: edges.position,
    )
    generations = sorted(
        (generation_of(span) for span in below if span.kind is SpanKind.GENERATION),
        key=lambda generation: generation.start_s,
    )
    has = attempt.attributes
    return AttemptEvidence(
        request=str(has.get(names.REQUEST, attempt.trace_id)),
        attempt=int(has.get(names.ATTEMPT, 1)),
        mode=str(has.get(names.MODE, "")),
        trace_id=attempt.trace_id,
        outcome=str(has.get(names.OUTCOME, "")),
        layers=tuple(layers),
        generation=generations[-1] if generations else None,
        earlier=tuple(generations[:-1]),
        reported=frozenset(edges.position for edges in layers),
        joined_by_time=joined_by_time,
        span_ids=tuple(span.span_id for span in _inward(below)),
        seen=_seen(attempt),
    )


def _inward(spans: Iterable[Span]) -> list[Span]:
    """The attempt, its hops from the caller inward, then generations, each in the order of its start."""
    return sorted(
        spans,
        key=lambda span: (
            _INWARD.index(span.kind),
            int(span.attributes.get(names.POSITION, 0)),
            span.start_s,
        ),
    )


_INWARD = (SpanKind.ATTEMPT, SpanKind.HOP, SpanKind.GENERATION)


def _seen(attempt: Span) -> Seen:
    """The client's own view, from what it recorded of the response."""
    has = attempt.attributes
    prefix = names.RESPONSE_HEADER
    last_byte_s = has.get(names.LAST_BYTE_S)
    end_s = has.get(names.UPSTREAM_END_S, attempt.end_s)
    return Seen(
        status=has.get(names.STATUS),
        headers={
            key.removeprefix(prefix): ", ".join(value) if isinstance(value, list) else str(value)
            for key, value in has.items()
            if key.startswith(prefix)
        },
        body=has.get(names.BODY_HEAD),
        elapsed_s=end_s - attempt.start_s,
        silence_s=end_s - last_byte_s if last_byte_s is not None else None,
    )
