"""Evidence: all that is known of one attempt, from the caller inward.

A layer has an upstream edge (towards the model) and a downstream edge (towards the caller). Each link of the
chain is seen twice, by the layer on either side of it; that is what makes a verdict provable. Beside the edges
are statements: what logs, and spans that are not ours, say of layers.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING

from whocut.trace.records import (
    AttemptRecord,
    DownstreamEnd,
    GenerationRecord,
    LayerRecord,
    Outcome,
    SpanKind,
    UpstreamEnd,
)
from whocut.verdict.inference import Seen
from whocut.verdict.order import clock_of
from whocut.verdict.verdict import Evidence, Grade

if TYPE_CHECKING:
    from collections.abc import Iterable

    from whocut.trace.logs.records import Account
    from whocut.trace.records import Attempt, Span

_ERROR = 400


class JoinedBy(StrEnum):
    """What ties an account to an attempt, best first."""

    TRACE = "trace id"
    REQUEST = "request id"
    TIME = "time"
    AMBIGUOUS = "time, and others fit as well"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One layer's account of an attempt, and its place in the chain (0 is the client)."""

    position: int
    account: Account
    joined_by: JoinedBy = JoinedBy.TRACE

    @property
    def grade(self) -> Grade:
        """A log never gives more than `testified`, and less where it may belong to another attempt."""
        return Grade.INFERRED if self.joined_by is JoinedBy.AMBIGUOUS else Grade.TESTIFIED

    @property
    def evidence(self) -> Evidence:
        """As a fact a verdict rests on: what it says, in its own words, and its place."""
        said = self.account
        by_time = (
            "" if self.joined_by in {JoinedBy.TRACE, JoinedBy.REQUEST} else f"; joined by {self.joined_by}"
        )
        fact = f"says: {said.says or said.ended_by} ({said.signal}, {said.place}{by_time})"
        return Evidence(said.layer, fact, self.grade, said.end_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEvidence:
    """All that is known of one attempt.

    `outcome` is what its client saw; None where only others know of it, and then `status` may say what they saw.
    """

    request: str
    attempt: int
    mode: str
    trace_id: str
    outcome: Outcome | None
    layers: tuple[LayerRecord, ...]  # the client first; holes where a layer did not report
    generation: GenerationRecord | None
    earlier: tuple[GenerationRecord, ...] = ()  # of the same attempt, where a layer asked again by itself
    joined_by_time: bool = False  # a span's place in this attempt rests on its instant alone
    span_ids: tuple[str, ...] = ()  # of all spans that were joined to it, its own first, then inward
    testimony: tuple[Statement, ...] = ()
    seen: Seen | None = None  # the response as its caller saw it
    status: int | None = None

    @property
    def reported(self) -> frozenset[int]:
        """The positions of the layers whose edges are known."""
        return frozenset(layer.position for layer in self.layers)

    @property
    def saw(self) -> str:
        """What is known of its end in a word or two; empty where nothing is."""
        if self.outcome is not None:
            return str(self.outcome)
        return f"status {self.status}" if self.status else ""


@dataclass(slots=True, kw_only=True)
class EdgeRecord(AttemptRecord):
    """An attempt of which no client tells, as the outermost tap saw it from just behind the client.

    A tap reads no bodies: `unread` says that its answer may have been an image, a refusal, or half of either.
    """

    unread: bool = False


_ENDED_AS = {
    UpstreamEnd.REFUSED: Outcome.REFUSED,
    UpstreamEnd.RESET: Outcome.RESET,
    UpstreamEnd.CLOSED: Outcome.TRUNCATED,
    UpstreamEnd.MALFORMED: Outcome.TRUNCATED,
}


def edge_attempt(tap: LayerRecord, client: str, watched: AttemptRecord | None, number: int) -> EdgeRecord:
    """The attempt behind the outermost tap's span.

    `watched` is a run's own account of the same request, from further in: it knows its name.
    """
    told = {one.name: getattr(tap, one.name) for one in fields(LayerRecord)}
    whole = tap.upstream is UpstreamEnd.COMPLETE
    failed = whole and (tap.status or 0) >= _ERROR
    left = tap.caller_went_first or tap.upstream.by_us
    outcome = Outcome.GATEWAY_ERROR if failed else _ENDED_AS.get(tap.upstream, Outcome.CENSORED)
    told |= {
        "span_id": f"{tap.span_id}-asked",
        "parent_id": None,
        "layer": client,
        "position": 0,
        "tap": None,
        "clock": clock_of(tap),
        "upstream": UpstreamEnd.GONE if left else tap.upstream,
        "gone": "it left before it had the answer" if left else None,
        "downstream": DownstreamEnd.NONE if left else tap.downstream,
        "events": [],  # that a caller left was the tap's caller, which is this client
    }
    return EdgeRecord(
        **told,
        request=watched.request if watched else tap.trace_id,
        number=watched.number if watched else number,
        mode=watched.mode if watched else "",
        outcome=outcome,
        unread=whole,
    )


def gather(spans: Iterable[Span]) -> list[AttemptEvidence]:
    """Every attempt among the spans, in the order of their starts.

    A hop belongs to the attempt that is its ancestor by parent ids: a request's attempts share one trace. Where
    a span between them is missing, it belongs to the only attempt of its trace. Of several it belongs to the one
    under way when it began; that is a guess where clocks are skewed, and the evidence says so.
    """
    by_id = {span.span_id: span for span in spans}
    below: dict[str, list[LayerRecord | GenerationRecord]] = {}
    in_trace: dict[str, list[AttemptRecord]] = {}
    for span in by_id.values():
        if isinstance(span, AttemptRecord):
            below[span.span_id] = []
            in_trace.setdefault(span.trace_id, []).append(span)
    guessed: set[str] = set()
    for span in by_id.values():
        if not isinstance(span, LayerRecord | GenerationRecord):
            continue
        attempt = _attempt_above(span, by_id)
        if attempt is None:
            attempt = _under_way(span, in_trace.get(span.trace_id, []))
            if attempt is None:
                continue
            if len(in_trace[span.trace_id]) > 1:
                guessed.add(attempt.span_id)
        below[attempt.span_id].append(span)
    attempts = sorted((one for some in in_trace.values() for one in some), key=lambda one: one.start_s)
    return [_evidence(one, below[one.span_id], joined_by_time=one.span_id in guessed) for one in attempts]


def never_ended(
    attempts: Iterable[Attempt], spans: Iterable[Span], client: str = "client"
) -> list[AttemptRecord]:
    """Records for attempts whose client was killed before it could write one: begun, and never seen to an end."""
    known = {span.span_id for span in spans}
    return [
        AttemptRecord(
            trace_id=attempt.trace_id,
            span_id=attempt.span_id,
            parent_id=None,
            layer=client,
            name="an attempt never seen to its end",
            start_s=attempt.started_s,
            end_s=attempt.started_s,
            request=attempt.request,
            number=attempt.number,
            mode=attempt.mode,
            outcome=attempt.outcome,
        )
        for attempt in attempts
        if attempt.span_id not in known
    ]


def _attempt_above(span: Span, by_id: dict[str, Span]) -> AttemptRecord | None:
    current: Span | None = span
    for _ in range(64):  # a chain is never this long; a loop in broken data is
        if current is None or isinstance(current, AttemptRecord):
            return current
        current = by_id.get(current.parent_id) if current.parent_id else None
    return None


def _under_way(span: Span, attempts: list[AttemptRecord]) -> AttemptRecord | None:
    begun = [attempt for attempt in attempts if attempt.start_s <= span.start_s]
    if begun:
        return max(begun, key=lambda attempt: attempt.start_s)
    return attempts[0] if len(attempts) == 1 else None


_INWARD = (SpanKind.ATTEMPT, SpanKind.HOP, SpanKind.GENERATION)


def _evidence(
    attempt: AttemptRecord, below: list[LayerRecord | GenerationRecord], *, joined_by_time: bool
) -> AttemptEvidence:
    below.sort(key=lambda span: span.start_s)
    # The last try of each layer, where one further out asked again by itself: it is how the attempt ended.
    last = {span.position: span for span in below if isinstance(span, LayerRecord)}
    layers = [last[position] for position in sorted(last)]
    generations = [span for span in below if isinstance(span, GenerationRecord)]
    return AttemptEvidence(
        request=attempt.request,
        attempt=attempt.number,
        mode=attempt.mode,
        trace_id=attempt.trace_id,
        outcome=None if isinstance(attempt, EdgeRecord) and attempt.unread else attempt.outcome,
        status=attempt.status if isinstance(attempt, EdgeRecord) else None,
        layers=tuple(layers),
        generation=generations[-1] if generations else None,
        earlier=tuple(generations[:-1]),
        joined_by_time=joined_by_time,
        span_ids=tuple(
            span.span_id
            for span in sorted([*layers, *generations], key=lambda span: _INWARD.index(span.kind))
        ),
        seen=_seen(attempt),
    )


def _seen(attempt: AttemptRecord) -> Seen:
    """The client's own view, from what it recorded of the response."""
    end_s = attempt.end_s if attempt.upstream_s is None else attempt.upstream_s
    return Seen(
        status=attempt.status,
        headers=attempt.headers,
        body=attempt.body_head,
        elapsed_s=end_s - attempt.start_s,
        silence_s=end_s - attempt.last_byte_s if attempt.last_byte_s is not None else None,
    )
