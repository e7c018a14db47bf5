"""The table of a run: a row an attempt, with the verdict on it and what became of the generation behind it.

The columns are `AttemptRow`'s fields, in their order, in every form. `docs/export.schema.json` is made from here by
``python -m whocut.export.table``. Neither prompts, headers nor bodies are in it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import orjson

from whocut.trace.requests import by_request

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from whocut.trace.records import Attempt
    from whocut.verdict.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRow:
    """One attempt. Instants are model seconds since the run began, a name ends in its unit, None is unknown.

    `kind` is ``cut``, ``none`` or ``unattributed``; what follows it is the verdict. What begins with `generation`
    is what became of the work behind it.
    """

    request: str
    attempt: int
    mode: str
    user: int
    part: str | None
    trace_id: str
    span_id: str
    due_s: float | None
    started_s: float
    first_byte_s: float | None
    ended_s: float | None
    took_s: float | None
    status: int | None
    outcome: str
    error: str | None
    retry_after_s: float | None
    bytes: int
    charged_usd: float | None
    kind: str | None
    layer: str | None
    timer: str | None
    directive: str | None
    phase: str | None
    limit_s: float | None
    after_s: float | None
    cut_s: float | None
    needed_s: float | None
    grade: str | None
    reason: str | None
    phrase: str | None
    generation: str | None
    generation_orphaned: bool | None
    generation_ran_on_s: float | None
    generation_billed_usd: float | None


def rows_of(attempts: Iterable[Attempt], verdicts: Iterable[Verdict]) -> Iterator[AttemptRow]:
    """A row an attempt, requests in the order of their first attempts; a verdict finds its attempt by number."""
    found = {(verdict.request, verdict.attempt): verdict for verdict in verdicts}
    for tries in by_request(attempts).values():
        for attempt in tries:
            yield _row(attempt, found.get((attempt.request, attempt.number)))


def _row(attempt: Attempt, verdict: Verdict | None) -> AttemptRow:
    behind = verdict.behind if verdict else None
    layer = None if verdict is None else " and ".join(verdict.tie) or verdict.layer
    return AttemptRow(
        request=attempt.request,
        attempt=attempt.number,
        mode=attempt.mode,
        user=attempt.user,
        part=attempt.part,
        trace_id=attempt.trace_id,
        span_id=attempt.span_id,
        due_s=attempt.due_s,
        started_s=attempt.started_s,
        first_byte_s=attempt.first_byte_s,
        ended_s=attempt.ended_s,
        took_s=None if attempt.ended_s is None else round(attempt.ended_s - attempt.started_s, 6),
        status=attempt.status,
        outcome=str(attempt.outcome),
        error=attempt.error,
        retry_after_s=attempt.retry_after_s,
        bytes=attempt.bytes,
        charged_usd=attempt.charged_usd,
        kind=_text(verdict, "kind"),
        layer=layer,
        timer=_text(verdict, "timer"),
        directive=_text(verdict, "directive"),
        phase=_text(verdict, "phase"),
        limit_s=verdict.limit_s if verdict else None,
        after_s=verdict.after_s if verdict else None,
        cut_s=verdict.at_s if verdict else None,
        needed_s=verdict.needed_s if verdict else None,
        grade=_text(verdict, "grade"),
        reason=_text(verdict, "reason"),
        phrase=_text(verdict, "phrase"),
        generation=behind.generation if behind else None,
        generation_orphaned=behind.orphaned if behind else None,
        generation_ran_on_s=behind.ran_on_s if behind else None,
        generation_billed_usd=behind.billed_usd if behind and behind.billed else None,
    )


def _text(verdict: Verdict | None, name: str) -> str | None:
    value = getattr(verdict, name, None)
    return str(value) if value else None


COLUMNS = tuple(field.name for field in fields(AttemptRow))


def as_mapping(row: AttemptRow) -> dict[str, Any]:
    """A row by its columns' names."""
    return {name: getattr(row, name) for name in COLUMNS}


def schema() -> Mapping[str, Any]:
    """The JSON Schema of one row, as a line of ``--format jsonl``."""
    from pydantic import TypeAdapter  # noqa: PLC0415  # only who asks for the schema needs it

    made = TypeAdapter(AttemptRow).json_schema(mode="serialization")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "a line of `whocut export RUN --format jsonl`",
        **{key: value for key, value in made.items() if key != "title"},
    }


if __name__ == "__main__":
    sys.stdout.buffer.write(orjson.dumps(schema(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
