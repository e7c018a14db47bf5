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

from whocut.chain.dollars import format_dollars
from whocut.trace import names
from whocut.trace.records import DownstreamEnd, Outcome, SpanKind, UpstreamEnd
from whocut.verdict.verdict import Kind, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from whocut.trace.records import Attempt, Span
    from whocut.verdict.attribution import Attribution


class Part(StrEnum):
    """What a row has to do with the cut."""

    REQUEST = "request"
    CUTTER = "cutter"  # this layer cut first
    CASCADE = "cascade"  # it ended because another had cut
    CLEAR = "clear"  # nobody cut
    UNKNOWN = "unknown"  # somebody ended it, and the evidence does not say who
    GENERATION = "generation"


class Doing(StrEnum):
    """What happens during a piece of a row."""

    ASKING = "asking"  # the request as a whole, while an attempt of it is under way
    WAITING = "waiting"  # no byte of the response yet
    STREAMING = "streaming"
    WORKING = "working"  # the model works, and somebody waits for it
    ORPHANED = "orphaned"  # the model works on for nobody


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
    """The rows of one request; none where nobody wrote of it.

    Which spans are an attempt's, its evidence says. `attempts` are the client's own records: they know when each
    event of a stream arrived.
    """
    mine = list(told.of_request(request))
    arrivals = {attempt.span_id: attempt.arrivals_s for attempt in attempts if attempt.request == request}
    wanted = {span_id for evidence, _ in mine for span_id in evidence.span_ids}
    by_id = {span.span_id: span for span in told.spans if span.span_id in wanted}
    tries = [by_id[evidence.span_ids[0]] for evidence, _ in mine]
    whole = next((span for span in told.spans if _is_request(span, request)), None)
    origin_s = whole.start_s if whole else min((span.start_s for span in tries), default=0.0)
    rows = [
        _row(span, attempt, verdict, arrivals.get(span.span_id, ()), origin_s)
        for attempt, (evidence, verdict) in zip(tries, mine, strict=True)
        for span in (by_id[span_id] for span_id in evidence.span_ids)
    ]
    outcome = mine[-1][0].outcome if mine else ""
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


_STEPS = [base * 10.0**power for power in range(-4, 9) for base in (1, 2, 3, 6)]


# --- from spans to rows ---------------------------------------------------------------------------


def _is_request(span: Span, request: str) -> bool:
    return span.kind is SpanKind.REQUEST and span.attributes.get(names.REQUEST) == request


def _number(attempt: Span) -> int:
    return int(attempt.attributes.get(names.ATTEMPT, 1))


def _row(
    span: Span, attempt: Span, verdict: Verdict | None, arrivals_s: Sequence[float], origin_s: float
) -> Row:
    if span.kind is SpanKind.GENERATION:
        return _generation_row(span, attempt, verdict, origin_s)
    cutter = verdict is not None and _cut_by(verdict, span)
    end_s = max(span.end_s, span.start_s)
    first = span.attributes.get(names.FIRST_BYTE_S)
    streamed = first is not None and _streamed(span, verdict)
    turn_s = min(max(float(first), span.start_s), end_s) if first is not None and streamed else end_s
    segments = [Segment(Doing.WAITING, span.start_s, turn_s), Segment(Doing.STREAMING, turn_s, end_s)]
    delivered = span.kind is SpanKind.ATTEMPT and span.attributes.get(names.OUTCOME) == Outcome.DELIVERED
    events_s = arrivals_s[:-1] if delivered else arrivals_s  # the last one is the delivery itself
    marks = [Mark(MarkKind.EVENT, at_s) for at_s in events_s]
    at_s = span.attributes.get(names.CUT_AT_S)
    if cutter and at_s is not None:
        marks.append(Mark(MarkKind.CUT, float(at_s)))
    if delivered:
        marks.append(Mark(MarkKind.DELIVERED, end_s))
    return Row(
        kind=span.kind,
        part=Part.CUTTER if cutter else _part(verdict),
        label=f"attempt {_number(attempt)} · {span.layer}" if span.kind is SpanKind.ATTEMPT else span.layer,
        depth=1 + int(span.attributes.get(names.POSITION, 0)),
        attempt=_number(attempt),
        start_s=_since(span.start_s, origin_s),
        end_s=_since(end_s, origin_s),
        segments=_moved(segments, origin_s),
        marks=tuple(Mark(mark.kind, _since(mark.at_s, origin_s)) for mark in marks),
        note=_layer_note(span, verdict, cutter=cutter),
    )


def _cut_by(verdict: Verdict, span: Span) -> bool:
    return verdict.kind is Kind.CUT and span.layer in (verdict.tie or (verdict.layer,))


def _streamed(span: Span, verdict: Verdict | None) -> bool:
    """Whether the bytes this layer saw were the model's, and not the page of a layer that had cut."""
    if verdict is None or verdict.kind is not Kind.CUT or verdict.at_s is None:
        return True
    return float(span.attributes[names.FIRST_BYTE_S]) < verdict.at_s


def _part(verdict: Verdict | None) -> Part:
    if verdict is None or verdict.kind is Kind.UNATTRIBUTED:
        return Part.UNKNOWN
    return Part.CASCADE if verdict.kind is Kind.CUT else Part.CLEAR


def _layer_note(span: Span, verdict: Verdict | None, *, cutter: bool) -> str:
    has = span.attributes
    if cutter:
        if names.CUT_TIMER not in has:
            return f"cut {verdict.reason}" if verdict else "cut"
        directive = has.get(names.CUT_DIRECTIVE, has[names.CUT_TIMER])
        return f"cut: {directive} {_seconds(float(has[names.CUT_LIMIT_S]))}"
    if span.kind is SpanKind.ATTEMPT:
        return _outcome_note(span)
    return _followed(span) if verdict is not None and verdict.kind is Kind.CUT else ""


def _followed(span: Span) -> str:
    """What a hop that did not cut did after the cut."""
    has = span.attributes
    if names.CUT_TIMER in has:
        return f"{has.get(names.CUT_DIRECTIVE, has[names.CUT_TIMER])} fired later, for nobody"
    if has.get(names.DOWNSTREAM_END) == DownstreamEnd.LEFT:
        return "its caller left"
    if has.get(names.UPSTREAM_END) == UpstreamEnd.COMPLETE:
        return f"passed on {has.get(names.STATUS, 'the answer')}"
    return f"its upstream ended: {has.get(names.UPSTREAM_END, UpstreamEnd.NONE)}"


def _outcome_note(span: Span) -> str:
    outcome = str(span.attributes.get(names.OUTCOME, "")).replace("_", " ")
    if outcome == Outcome.CENSORED:
        return "under way when the run ended"
    status = span.attributes.get(names.STATUS)
    return f"{outcome} ({status})" if status not in {None, 200} else outcome


def _generation_row(span: Span, attempt: Span, verdict: Verdict | None, origin_s: float) -> Row:
    has = span.attributes
    end_s = max(span.end_s, span.start_s)
    if not has.get(names.SETTLED, True):
        end_s = max(end_s, attempt.end_s)  # nobody saw its end; it ran at least as long as it was waited for
    gone = has.get(names.CALLER_GONE_S)
    orphaned = bool(has.get(names.ORPHANED)) and gone is not None
    turn_s = min(max(float(gone), span.start_s), end_s) if orphaned and gone is not None else end_s
    segments = [Segment(Doing.WORKING, span.start_s, turn_s), Segment(Doing.ORPHANED, turn_s, end_s)]
    emissions = [float(at_s) for at_s in has.get(names.EMISSIONS_S) or ()]
    marks = [Mark(MarkKind.EVENT, at_s) for at_s in emissions if at_s < end_s - 0.001]  # the end is an end
    if has.get(names.DELIVERED):
        marks.append(Mark(MarkKind.DELIVERED, end_s))
    return Row(
        kind=span.kind,
        part=Part.GENERATION,
        label="refusal" if has.get(names.REFUSED) else "generation",
        depth=2 + max(0, int(has.get(names.POSITION, 0))),
        attempt=_number(attempt),
        start_s=_since(span.start_s, origin_s),
        end_s=_since(end_s, origin_s),
        segments=_moved(segments, origin_s),
        marks=tuple(Mark(mark.kind, _since(mark.at_s, origin_s)) for mark in marks),
        note=_generation_note(span, verdict),
    )


def _generation_note(span: Span, verdict: Verdict | None) -> str:
    has = span.attributes
    if has.get(names.REFUSED):
        return f"refused ({has.get(names.STATUS, has.get(names.ERROR_TYPE, 'no status'))})"
    money = (
        f"billed {format_dollars(float(has.get(names.BILLED_USD) or 0))}"
        if has.get(names.BILLED)
        else "not billed"
    )
    if verdict is not None and verdict.behind and not verdict.behind.settled:
        return "still running when the run ended"
    if has.get(names.ORPHANED):
        return f"runs on {_seconds(float(has.get(names.ORPHANED_S) or 0))}, {money}"
    return f"delivered, {money}" if has.get(names.DELIVERED) else money


def _request_row(
    request: str, whole: Span | None, tries: Sequence[Span], outcome: str, origin_s: float
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
