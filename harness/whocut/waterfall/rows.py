"""One request as rows on a time axis: plain data that the figure and the terminal draw alike.

::

    request     |===============================================|
    attempt 1   |============]                                       passed on 504
      nginx     |============X                                       cut: proxy_read_timeout 60 s
      generation|============/////////////////////////|              runs on 135 s, billed $0.21
    attempt 2                 |============] …

An orphaned generation outlives its parent, and the row says so: nothing here shortens a child to its parent.
Instants are model seconds since the request began.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from whocut.chain.money import format_dollars
from whocut.trace.records import Outcome, RequestRecord, SpanKind
from whocut.verdict import phrases
from whocut.verdict.verdict import Kind, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from whocut.trace.records import Attempt, GenerationRecord, LayerRecord
    from whocut.verdict.attribution import Attribution
    from whocut.verdict.evidence import AttemptEvidence


class Part(StrEnum):
    """What a row has to do with the cut."""

    REQUEST = "request"
    CUTTER = "cutter"  # this layer cut first
    CASCADE = "cascade"  # it ended because another had cut
    CLEAR = "clear"  # no layer cut
    UNKNOWN = "unknown"  # a layer ended it, and the evidence does not say which
    GENERATION = "generation"


class Doing(StrEnum):
    """What happens during a piece of a row."""

    ASKING = "asking"  # the request as a whole, while an attempt of it is under way
    WAITING = "waiting"  # no byte of the response yet
    STREAMING = "streaming"
    WORKING = "working"  # the model works, and a caller waits for it
    ORPHANED = "orphaned"  # the model works on, and no caller waits


class MarkKind(StrEnum):
    """What an instant on a row is."""

    CUT = "cut"
    EVENT = "event"  # a partial image, or the final one
    DELIVERED = "delivered"


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a row."""

    doing: Doing
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Mark:
    """An instant on a row."""

    kind: MarkKind
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One layer's account of one attempt, or the request, or a generation.

    `depth` is 0 for the request, 1 for the client's attempt, and grows towards the model. `attempt` counts
    from 1; the request's row has 0. `note` is what is to be written beside the bar.
    """

    kind: SpanKind
    part: Part
    label: str
    depth: int
    attempt: int
    start_s: float
    end_s: float
    segments: tuple[Segment, ...]
    marks: tuple[Mark, ...] = ()
    note: str = ""

    @property
    def cut_s(self) -> float | None:
        """When this row's layer cut; None where it did not."""
        return next((mark.at_s for mark in self.marks if mark.kind is MarkKind.CUT), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waterfall:
    """All rows of one request, from the caller inward, attempt by attempt.

    `origin_s` is the request's beginning on the run's clock: what its rows call zero.
    """

    request: str
    mode: str
    outcome: str
    origin_s: float
    rows: tuple[Row, ...]
    verdicts: tuple[Verdict, ...]
    phrases: tuple[str, ...]

    @property
    def end_s(self) -> float:
        """The last instant of any row: an orphan counts."""
        return max((row.end_s for row in self.rows), default=0.0)

    def visible(self, row: Row) -> tuple[Segment, ...]:
        """A row's segments without those too short for any eye: the body of a plain answer, after its wait."""
        long_enough = tuple(s for s in row.segments if s.end_s - s.start_s > self.end_s / 500)
        return long_enough or row.segments


def waterfall(request: str, told: Attribution, attempts: Iterable[Attempt] = ()) -> Waterfall:
    """The rows of one request; empty where no layer wrote of it.

    Which records are an attempt's, its evidence says. `attempts` are the client's own lines: they know when each
    event of a stream arrived.
    """
    mine = list(told.of_request(request))
    arrivals = {attempt.span_id: attempt.arrivals_s for attempt in attempts if attempt.request == request}
    tries = [evidence.layers[0] for evidence, _ in mine]
    whole = next(
        (span for span in told.spans if isinstance(span, RequestRecord) and span.request == request), None
    )
    origin_s = whole.start_s if whole else min((span.start_s for span in tries), default=0.0)
    rows = [
        row
        for evidence, verdict in mine
        for row in _rows(_Drawn(evidence, verdict, arrivals.get(evidence.span_ids[0], ()), origin_s))
    ]
    outcome = str(mine[-1][0].outcome or "") if mine else ""
    if tries:
        rows.insert(0, _request_row(request, whole, tries, outcome, origin_s))
    verdicts = tuple(verdict for _, verdict in mine)
    return Waterfall(
        request=request,
        mode=mine[0][0].mode if mine else "",
        outcome=outcome,
        origin_s=origin_s,
        rows=tuple(rows),
        verdicts=verdicts,
        phrases=_phrases(verdicts),
    )


def ticks(end_s: float, *, at_most: int = 7) -> list[float]:
    """Round instants from 0 to the end, `at_most` of them: what an axis of seconds is read by."""
    step = next(step for step in _STEPS if end_s / step < at_most)
    return [round(index * step, 6) for index in range(int(end_s / step + 1e-9) + 1)]


_STEPS = [base * 10.0**power for power in range(-4, 13) for base in (1, 2, 3, 6)]


# --- from records to rows -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Drawn:
    """One attempt, and what its rows are drawn by."""

    evidence: AttemptEvidence
    verdict: Verdict
    arrivals_s: Sequence[float]
    origin_s: float

    @property
    def number(self) -> int:
        """Of the attempt, from 1."""
        return self.evidence.attempt

    def since(self, at_s: float) -> float:
        """An instant, counted from the request's beginning."""
        return _since(at_s, self.origin_s)


def _rows(drawn: _Drawn) -> Iterator[Row]:
    """The attempt, its hops from the caller inward, its generations."""
    evidence = drawn.evidence
    for layer in evidence.layers:
        yield _row(layer, drawn)
    for generation in (*evidence.earlier, *([evidence.generation] if evidence.generation else ())):
        yield _generation_row(generation, drawn)


def _row(layer: LayerRecord, drawn: _Drawn) -> Row:
    verdict, client = drawn.verdict, layer.position == 0
    cutter = verdict.kind is Kind.CUT and layer.layer in (verdict.tie or (verdict.layer,))
    end_s = max(layer.end_s, layer.start_s)
    first_s = layer.first_byte_s if _streamed(layer, verdict) else None
    turn_s = min(max(first_s, layer.start_s), end_s) if first_s is not None else end_s
    segments = [Segment(Doing.WAITING, layer.start_s, turn_s), Segment(Doing.STREAMING, turn_s, end_s)]
    delivered = client and drawn.evidence.outcome is Outcome.DELIVERED
    arrivals_s = drawn.arrivals_s if client else ()
    events_s = arrivals_s[:-1] if delivered else arrivals_s  # the last one is the delivery itself
    marks = [Mark(MarkKind.EVENT, at_s) for at_s in events_s]
    if cutter and layer.cut is not None:
        marks.append(Mark(MarkKind.CUT, layer.cut.at_s))
    if delivered:
        marks.append(Mark(MarkKind.DELIVERED, end_s))
    return Row(
        kind=layer.kind,
        part=Part.CUTTER if cutter else _part(verdict),
        label=f"attempt {drawn.number} · {layer.layer}" if client else layer.layer,
        depth=1 + layer.position,
        attempt=drawn.number,
        start_s=drawn.since(layer.start_s),
        end_s=drawn.since(end_s),
        segments=_moved(segments, drawn.origin_s),
        marks=tuple(Mark(mark.kind, drawn.since(mark.at_s)) for mark in marks),
        note=_layer_note(layer, drawn, cutter=cutter),
    )


def _streamed(layer: LayerRecord, verdict: Verdict) -> bool:
    """Whether the bytes this layer saw were the model's, and not the page of a layer that had cut."""
    if verdict.kind is not Kind.CUT or verdict.at_s is None or layer.first_byte_s is None:
        return True
    return layer.first_byte_s < verdict.at_s


def _part(verdict: Verdict) -> Part:
    if verdict.kind is Kind.UNATTRIBUTED:
        return Part.UNKNOWN
    return Part.CASCADE if verdict.kind is Kind.CUT else Part.CLEAR


def _layer_note(layer: LayerRecord, drawn: _Drawn, *, cutter: bool) -> str:
    if cutter:
        if layer.cut is None:
            return f"cut {drawn.verdict.reason}"
        return phrases.cut_note(layer.cut.directive, _seconds(layer.cut.limit_s))
    if layer.position == 0:
        return _outcome_note(layer, drawn.evidence.outcome)
    return next((then.fact for then in drawn.verdict.cascade if then.layer == layer.layer), "")


def _outcome_note(layer: LayerRecord, outcome: Outcome | None) -> str:
    if outcome is Outcome.CENSORED:
        return "under way when the run ended"
    words = str(outcome or "").replace("_", " ")
    return f"{words} ({layer.status})" if layer.status not in {None, 200} else words


def _generation_row(made: GenerationRecord, drawn: _Drawn) -> Row:
    end_s = max(made.end_s, made.start_s)
    if not made.settled:
        end_s = max(end_s, drawn.evidence.layers[0].end_s)  # it ran at least as long as it was waited for
    gone_s = made.caller_gone_s if made.orphaned else None
    turn_s = min(max(gone_s, made.start_s), end_s) if gone_s is not None else end_s
    segments = [Segment(Doing.WORKING, made.start_s, turn_s), Segment(Doing.ORPHANED, turn_s, end_s)]
    # The end is an end, and no event.
    marks = [Mark(MarkKind.EVENT, at_s) for at_s in made.sent.events_s if at_s < end_s - 0.001]
    if made.delivered:
        marks.append(Mark(MarkKind.DELIVERED, end_s))
    return Row(
        kind=made.kind,
        part=Part.GENERATION,
        label="refusal" if made.refused else "generation",
        depth=2,
        attempt=drawn.number,
        start_s=drawn.since(made.start_s),
        end_s=drawn.since(end_s),
        segments=_moved(segments, drawn.origin_s),
        marks=tuple(Mark(mark.kind, drawn.since(mark.at_s)) for mark in marks),
        note=_generation_note(made),
    )


def _generation_note(made: GenerationRecord) -> str:
    if made.refused:
        return f"refused ({made.status or made.error_code or 'no status'})"
    if not made.settled:
        return "still running when the run ended"
    money = f"billed {format_dollars(made.billed_usd or 0)}" if made.billed else "not billed"
    if made.orphaned:
        return f"runs on {_seconds(made.orphaned_s or 0)}, {money}"
    return f"delivered, {money}" if made.delivered else money


def _request_row(
    request: str, whole: RequestRecord | None, tries: Sequence[LayerRecord], outcome: str, origin_s: float
) -> Row:
    start_s = whole.start_s if whole else tries[0].start_s
    end_s = max(start_s, whole.end_s if whole else max(span.end_s for span in tries))
    asking = [Segment(Doing.ASKING, span.start_s, min(span.end_s, end_s)) for span in tries]
    return Row(
        kind=SpanKind.REQUEST,
        part=Part.REQUEST,
        label=f"request {request}",
        depth=0,
        attempt=0,
        start_s=_since(start_s, origin_s),
        end_s=_since(end_s, origin_s),
        segments=_moved(asking, origin_s),
        note=f"{outcome.replace('_', ' ')} after {_seconds(end_s - start_s)}",
    )


def _moved(segments: Iterable[Segment], origin_s: float) -> tuple[Segment, ...]:
    return tuple(
        Segment(piece.doing, _since(piece.start_s, origin_s), _since(piece.end_s, origin_s))
        for piece in segments
        if piece.end_s > piece.start_s
    )


def _since(at_s: float, origin_s: float) -> float:
    return round(at_s - origin_s, 6)


def _seconds(duration_s: float) -> str:
    """Seconds as the axis counts them: ``135 s`` and not ``2 min 15 s``."""
    return f"{duration_s:.0f} s" if duration_s >= 10 else f"{duration_s:.3g} s"


def _phrases(verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    """The one phrase of each attempt; the number in front only where there are several."""
    if len(verdicts) == 1:
        return (verdicts[0].phrase,)
    return tuple(f"attempt {verdict.attempt}: {verdict.phrase}" for verdict in verdicts)
