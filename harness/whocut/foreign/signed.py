"""Traces of foreign spans to verdicts: each signature is judged once, on a trace that has it.

A signature is the faces of a trace's spans in the order of their starts, and which of them is whose parent. Of all
else that a trace has, a verdict only tells: its ids, and its instants. How long layers took decides where two of
them say that they cut; a trace in which one of these contradicts the other is judged by itself. So is one that is
singular: its rows do not give again what the judge said of the first trace of its kind.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from whocut.foreign.material import join_material
from whocut.foreign.spans import own_request_id, place_of
from whocut.trace.lean import as_span
from whocut.verdict.attribute import attribute
from whocut.verdict.testimony import cut_earlier, rivals, told_by
from whocut.verdict.verdict import Evidence, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whocut.chain.layers import Between, Topology
    from whocut.trace.lean import Row
    from whocut.verdict.evidence import AttemptEvidence, Statement
    from whocut.verdict.verdict import Grade, Verdict

# Where a row has what is read here; a name for each would cost more than all that is done with a row.
_ID: Final = 0
_PARENT: Final = 1
_START_S: Final = 2
_END_S: Final = 3
_FACE: Final = 4
_OWN: Final = 5
_BY_START: Final = itemgetter(_START_S)
_MOST_SPANS: Final = 64  # a trace with more of them is like no other
_MOST_KINDS: Final = 5_000  # a watch that is on for ever forgets and learns again


@dataclass(frozen=True, slots=True)
class _Fact:
    """A fact that a verdict rests on, but for the span that says it."""

    witness: str
    before: str
    behind: str
    grade: Grade
    row: int

    def of(self, rows: Sequence[Row]) -> Evidence:
        row = rows[self.row]
        return Evidence(self.witness, f"{self.before}{row[_ID]}{self.behind}", self.grade, row[_END_S])


@dataclass(frozen=True, slots=True, eq=False)
class AttemptKind:
    """The verdict on one attempt of a signature, but for ids and instants; the row `dated` has its instants."""

    example: Verdict
    named: int  # the row that may name the request
    facts: tuple[_Fact, ...]
    dated: int | None

    @property
    def timeless(self) -> bool:
        """Whether its words are the same whatever the instants: but for those of its facts, it has none."""
        return self.example.kind is not Kind.CUT and self.dated is None

    def request(self, trace_id: str, rows: Sequence[Row]) -> str:
        """The request's name."""
        return own_request_id(rows[self.named][_OWN]) or trace_id

    def verdict(self, trace_id: str, rows: Sequence[Row]) -> Verdict:
        """The verdict on a trace with these rows, in the order of their starts."""
        end_s = duration_s = None
        if self.dated is not None:
            row = rows[self.dated]
            end_s, duration_s = row[_END_S], row[_END_S] - row[_START_S]
        return replace(
            self.example,
            request=self.request(trace_id, rows),
            trace_id=trace_id,
            evidence=tuple(fact.of(rows) for fact in self.facts),
            after_s=duration_s,
            at_s=end_s,
        )


@dataclass(frozen=True, slots=True)
class _TraceKind:
    attempts: tuple[AttemptKind, ...]
    rivals: tuple[
        tuple[int, int], ...
    ]  # rows of layers that say that they cut: one further in, one that decides

    def contradicts(self, rows: Sequence[Row]) -> bool:
        return any(
            cut_earlier(_duration_s(rows[inner]), _duration_s(rows[outer])) for inner, outer in self.rivals
        )


@dataclass(frozen=True, slots=True)
class Told:
    """A trace of a known signature: its verdicts, when they are asked for."""

    trace_id: str
    rows: Sequence[Row]
    kinds: tuple[AttemptKind, ...]

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """A verdict an attempt."""
        return tuple(kind.verdict(self.trace_id, self.rows) for kind in self.kinds)


class Signatures:
    """A judge of traces that have foreign spans alone; `chain` and `between` are as in `judge_material`."""

    def __init__(self, chain: Topology | None = None, between: Sequence[Between] = ()) -> None:
        self._chain, self._between = chain, between
        self._kinds: dict[tuple[object, ...], _TraceKind | None] = {}

    def judge(self, trace_id: str, rows: Sequence[Row]) -> Told | tuple[Verdict, ...]:
        """The verdicts on a trace whose spans came in this order.

        Raises:
            BadInput: as `judge_material`.
        """
        ordered = sorted(rows, key=_BY_START)
        place = {row[_ID]: at for at, row in enumerate(ordered)}
        if len(place) < len(rows):  # a span that was sent twice is one
            rows = list({row[_ID]: row for row in rows}.values())
            ordered = sorted(rows, key=_BY_START)
            place = {row[_ID]: at for at, row in enumerate(ordered)}
        if len(ordered) > _MOST_SPANS:
            return self._judged(trace_id, rows)[0]
        if len({row[_START_S] for row in ordered}) < len(ordered):
            ordered = _from_the_caller_inward(ordered)
            place = {row[_ID]: at for at, row in enumerate(ordered)}
        signature = tuple([one for row in ordered for one in (row[_FACE], place.get(row[_PARENT], -1))])  # type: ignore[arg-type]  # no row's id is None
        kind = self._kinds.get(signature)
        if kind is not None and not kind.contradicts(ordered):
            return Told(trace_id, ordered, kind.attempts)
        verdicts, found = self._judged(trace_id, rows)
        if signature not in self._kinds:
            kind = _kind_of(trace_id, ordered, found, verdicts)
            if kind is None or not kind.contradicts(ordered):
                if len(self._kinds) >= _MOST_KINDS:
                    self._kinds.clear()
                self._kinds[signature] = kind
        return verdicts

    def _judged(
        self, trace_id: str, rows: Sequence[Row]
    ) -> tuple[tuple[Verdict, ...], list[tuple[AttemptEvidence, Statement | None]]]:
        spans = [as_span(trace_id, row) for row in rows]
        joined, topology, _ = join_material(spans, (), (), self._chain, self._between, all_there=False)
        verdicts = tuple(attribute(evidence, topology) for evidence in joined)
        return verdicts, [(evidence, told_by(evidence, topology)) for evidence in joined]


def _from_the_caller_inward(ordered: list[Row]) -> list[Row]:
    """Of spans that start at one instant, where each is the parent of the next, it does not count which came first.

    Where two of them may be neighbours it decides, and is kept.
    """
    found: list[Row] = []
    for _, together in groupby(ordered, key=_BY_START):
        group = list(together)
        ids = {row[_ID] for row in group}
        below = {row[_PARENT]: row for row in group}
        chain = [row for row in group if row[_PARENT] not in ids]
        if len(chain) == 1 and len(below) == len(group):
            while (inner := below.get(chain[-1][_ID])) is not None:
                chain.append(inner)
        found += chain if len(chain) == len(group) else group
    return found


def _kind_of(
    trace_id: str,
    rows: Sequence[Row],
    found: Sequence[tuple[AttemptEvidence, Statement | None]],
    verdicts: Sequence[Verdict],
) -> _TraceKind | None:
    """The kind that a trace shows; None where the judge says something that its rows do not tell again."""
    row_of = {place_of(row[_ID]): at for at, row in enumerate(rows)}
    attempts = []
    compared: list[tuple[int, int]] = []
    for (evidence, source), verdict in zip(found, verdicts, strict=True):
        facts = []
        for said in evidence.testimony:
            fact, at = said.evidence, row_of[said.account.place]
            before, _, behind = fact.fact.rpartition(rows[at][_ID])
            facts.append(_Fact(fact.witness, before, behind, fact.grade, at))
        dated = row_of[source.account.place] if source is not None and verdict.at_s is not None else None
        named = row_of[place_of(evidence.span_ids[0])]
        attempts.append(AttemptKind(verdict, named, tuple(facts), dated))
        compared += [
            (row_of[inner.account.place], row_of[outer.account.place])
            for inner, outer in rivals(evidence.testimony)
        ]
    kind = _TraceKind(tuple(attempts), tuple(compared))
    told = tuple(one.verdict(trace_id, rows) for one in kind.attempts)
    # What contradicts goes by how long it took, and is told by the judge alone.
    return kind if kind.contradicts(rows) or told == tuple(verdicts) else None


def _duration_s(row: Row) -> float:
    return row[_END_S] - row[_START_S]
