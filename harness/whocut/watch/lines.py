"""The verdicts on one trace as lines of the file of verdicts.

Some signatures have the same words in every trace. The line of such a one is written once, with marks in the places
of ids and instants, and each trace fills these places in. Every other verdict is written from its fields.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

import orjson

from whocut.foreign.signed import Told
from whocut.redact import exact_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whocut.foreign.signed import AttemptKind
    from whocut.trace.lean import Row
    from whocut.verdict.verdict import Verdict
    from whocut.watch.desk import Decided

_MOST_TEMPLATES: Final = 5_000
# What marks a place is in no verdict: it is another one in each process.
_REQUEST, _TRACE, _SPAN = (f"{name} {secrets.token_hex(16)} " for name in ("request", "trace", "span"))


class VerdictLines:
    """Writes decided traces as lines; keeps the templates."""

    def __init__(self) -> None:
        self._templates: dict[AttemptKind, _Template] = {}

    def of(self, decided: Decided) -> Iterator[bytes]:
        """A line for each verdict on one trace."""
        told = decided.told
        if not isinstance(told, Told) or not all(kind.timeless for kind in told.kinds):
            yield from _written(decided)
            return
        for kind in told.kinds:
            template = self._templates.get(kind)
            if template is None:
                if len(self._templates) >= _MOST_TEMPLATES:
                    self._templates.clear()
                template = self._templates[kind] = _Template(kind, told)
            yield exact_bytes(template.line(told))


class _Template:
    """The line of one kind of attempt in one kind of trace, with places for ids and instants."""

    def __init__(self, kind: AttemptKind, told: Told) -> None:
        rows: list[Row] = [
            (f"{_SPAN}{at}", None, 0.0, -float(at + 1), row[4], ()) for at, row in enumerate(told.rows)
        ]
        self._kind = kind
        self._rows = tuple(fact.row for fact in kind.facts)
        # The sample's own name would be that of its trace.
        verdict = kind.verdict(_TRACE, rows)
        text = _line_of(verdict, _TRACE, len(told.kinds), 0).replace(b"%", b"%%")
        text = text.replace(_as_json(_TRACE), _as_json(_REQUEST), 1)
        marks = [_as_json(_REQUEST), _as_json(_TRACE)]
        for at in self._rows:
            marks += [_in_json(f"{_SPAN}{at}"), orjson.dumps(-float(at + 1))]
        places = []
        for mark in (*marks, _as_json(_TRACE)):
            before, found, text = text.partition(mark)
            assert found, mark
            places.append(before)
        self._text = b"%b".join([*places, text])

    def line(self, told: Told) -> bytes:
        """The line of one trace."""
        rows, name = told.rows, told.trace_id
        trace = _as_json(name)
        request = self._kind.request(name, rows)
        values = [trace if request is name else _as_json(request), trace]
        for at in self._rows:
            span_id, _, _, end_s, _, _ = rows[at]
            values += [span_id.encode(), orjson.dumps(end_s)]
        return self._text % (*values, trace)


def _as_json(text: str) -> bytes:
    return orjson.dumps(text)


def _in_json(text: str) -> bytes:
    return orjson.dumps(text)[1:-1]


def _written(decided: Decided) -> Iterator[bytes]:
    verdicts = decided.verdicts
    for at, verdict in enumerate(verdicts):
        after_unknown = 0 if at else decided.after_unknown
        yield exact_bytes(_line_of(verdict, decided.trace.trace_id, len(verdicts), after_unknown))


def _line_of(verdict: Verdict, trace_id: str, together: int, after_unknown: int) -> bytes:
    row: dict[str, Any] = verdict.as_json()
    row |= {"trace": trace_id, "of": together, "after_unknown": after_unknown}
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
