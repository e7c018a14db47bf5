"""Every request of a run for the page's own table: an index of columns, and waterfalls in blocks, each compressed.

The index is what the table sorts and filters by: one list a column. A block holds what a request is when it is
opened: its rows, its verdicts' phrases, and their evidence. The page unpacks one block when one of its requests is
opened. So a hundred thousand requests are a few megabytes on the disk and little in memory.
"""

from __future__ import annotations

import base64
import gzip
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from whocut.redact import json_bytes
from whocut.trace.records import RequestRecord
from whocut.trace.requests import by_request, due_s
from whocut.verdict.attribution import Attribution
from whocut.verdict.phrases import cut_name
from whocut.verdict.verdict import Kind
from whocut.waterfall.rows import waterfall
from whocut.words import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from whocut.trace.records import Attempt, Span
    from whocut.verdict.evidence import AttemptEvidence
    from whocut.verdict.verdict import Verdict
    from whocut.waterfall.rows import Row

BLOCK: Final = 250
"""Requests in a block: unpacked at once, when one of them is opened."""
MOST_DRAWN: Final = 20_000
"""Requests whose waterfalls are in the page; of more, the table has all and the terminal draws the rest."""


@dataclass(frozen=True, slots=True)
class Packed:
    """What goes into the page, as text that it can hold: the index, then the blocks in the order of requests."""

    requests: int
    index: str
    blocks: tuple[str, ...]


def pack(judged: Attribution, attempts: Sequence[Attempt]) -> Packed:
    """All requests that were asked, in the order of their first attempts."""
    requests = by_request(attempts)
    told = _told(judged)
    index = _Index()
    blocks: list[bytes] = []
    block: list[dict[str, Any]] = []
    for number, (name, tries) in enumerate(requests.items()):
        mine = told.get(name, Attribution())
        index.add(name, tries, mine.verdicts)
        if number < MOST_DRAWN:
            block.append(_drawn(name, mine, tries))
            if len(block) == BLOCK:
                blocks.append(_squeezed(block))
                block = []
    if block:
        blocks.append(_squeezed(block))
    return Packed(len(requests), _text(_squeezed(index.as_json())), tuple(map(_text, blocks)))


def _told(judged: Attribution) -> dict[str, Attribution]:
    """What is known of each request alone, attempts by their number."""
    both: defaultdict[str, list[tuple[AttemptEvidence, Verdict]]] = defaultdict(list)
    for evidence, verdict in zip(judged.evidence, judged.verdicts, strict=True):
        both[evidence.request].append((evidence, verdict))
    wholes: dict[str, Span] = {}
    for span in judged.spans:
        if isinstance(span, RequestRecord):
            wholes.setdefault(span.request, span)
    found = {}
    for name, mine in both.items():
        mine.sort(key=lambda one: one[0].attempt)
        spans = (wholes[name],) if name in wholes else ()
        found[name] = Attribution(tuple(one for one, _ in mine), tuple(one for _, one in mine), spans)
    return found


class _Index:
    """The columns, filled request by request; what repeats is a number into a list of names."""

    def __init__(self) -> None:
        self._names: dict[str, dict[str, int]] = {"mode": {}, "outcome": {}, "verdict": {}}
        self._verdicts: list[dict[str, str]] = []
        self._columns: dict[str, list[Any]] = {name: [] for name in _COLUMNS}

    def add(self, name: str, tries: Sequence[Attempt], verdicts: Sequence[Verdict]) -> None:
        """One request; of its verdicts each kind once, the one that decides first."""
        first, last = tries[0], tries[-1]
        began_s = due_s(first)
        came_s = next((one.first_byte_s for one in reversed(tries) if one.first_byte_s is not None), None)
        kinds = dict.fromkeys(self._verdict(one) for one in sorted(verdicts, key=_weight))
        behind = [one.behind for one in verdicts if one.behind is not None]
        row = (
            name,
            self._number("mode", first.mode or "(no mode)"),
            self._number("outcome", str(last.outcome)),
            list(kinds),
            len(tries),
            round(began_s, 3),
            None if last.ended_s is None else round(last.ended_s - began_s, 3),
            None if came_s is None else round(came_s - began_s, 3),
            sum(1 + len(one.earlier) for one in behind),
            round(sum(one.ran_on_s for one in behind if one.orphaned), 1),
            round(sum(one.billed_usd for one in behind if one.billed), 6),
        )
        for column, value in zip(self._columns.values(), row, strict=True):
            column.append(value)

    def _number(self, kind: str, name: str) -> int:
        names = self._names[kind]
        return names.setdefault(name, len(names))

    def _verdict(self, verdict: Verdict) -> int:
        told = {
            "layer": " and ".join(verdict.tie) if verdict.tie else verdict.layer or "",
            "timer": str(verdict.timer or verdict.reason or "without a timer")
            if verdict.kind is Kind.CUT
            else "",
            "knob": verdict.directive or "",
            "limit": format_duration(verdict.limit_s) if verdict.limit_s is not None else "",
            "grade": str(verdict.grade) if verdict.kind is not Kind.NONE else "",
            "says": cut_name(verdict) if verdict.kind is Kind.CUT else str(verdict.kind),
        }
        number = self._number("verdict", orjson.dumps(told).decode())
        if number == len(self._verdicts):
            self._verdicts.append(told)
        return number

    def as_json(self) -> dict[str, Any]:
        """The index as the page reads it."""
        return {
            "version": 1,
            "block": BLOCK,
            "drawn": MOST_DRAWN,
            "modes": list(self._names["mode"]),
            "outcomes": list(self._names["outcome"]),
            "verdicts": self._verdicts,
            "columns": self._columns,
        }


_COLUMNS: Final = (
    "request",
    "mode",
    "outcome",
    "verdicts",
    "attempts",
    "began",
    "took",
    "first",
    "generations",
    "orphaned",
    "usd",
)


def _weight(verdict: Verdict) -> tuple[bool, bool, int]:
    """Cuts before what has no name, before what no layer cut; of equals the last attempt's."""
    return (verdict.kind is not Kind.CUT, verdict.kind is Kind.NONE, -verdict.attempt)


def _drawn(name: str, told: Attribution, tries: Sequence[Attempt]) -> dict[str, Any]:
    """One request as it is opened."""
    fall = waterfall(name, told, tries)
    return {
        "end": round(fall.end_s, 3),
        "rows": [_row(row) for row in fall.rows],
        "tries": [
            {"phrase": phrase, "evidence": list(_evidence(verdict))}
            for phrase, verdict in zip(fall.phrases, fall.verdicts, strict=True)
        ],
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "label": row.label,
        "depth": row.depth,
        "part": str(row.part),
        "kind": str(row.kind),
        "bars": [[str(one.doing), round(one.start_s, 3), round(one.end_s, 3)] for one in row.segments],
        "marks": [[str(one.kind), round(one.at_s, 3)] for one in row.marks],
        "note": row.note,
    }


def _evidence(verdict: Verdict) -> Iterable[str]:
    """Each fact with its witness and grade; then what contradicts it, and what would say more."""
    for fact in verdict.evidence:
        at = f", at {fact.at_s:.2f} s" if fact.at_s is not None else ""
        yield f"{fact.witness}: {fact.fact} ({fact.grade}{at})"
    yield from (f"{then.layer}: {then.fact} (followed from the cut)" for then in verdict.cascade)
    yield from (f"contradicted: {words}" for words in verdict.contradictions)
    yield from (f"missing: {words}" for words in verdict.missing)


def _squeezed(value: object) -> bytes:
    """JSON without the registered secrets: once compressed, no later door finds them."""
    return gzip.compress(json_bytes(orjson.dumps(value)), compresslevel=6, mtime=0)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
