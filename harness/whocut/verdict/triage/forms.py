"""Refusals that a short message tells in words of its own: a sentence that has one word of each list.

`refusals` knows what APIs write; programs around them put it into other words. Data in ``words/forms.yaml``. Only
short texts are read so: a longer one has each of these words somewhere. It is a guess by the wording, and no more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from whocut.tables import table
from whocut.verdict.triage.answer import Triage
from whocut.verdict.triage.code import has_code
from whocut.verdict.triage.endings import Cause, EndedBy, Retry
from whocut.verdict.triage.lexicon import find
from whocut.verdict.triage.numbers import wait_asked
from whocut.verdict.triage.refusals import error_of, stage_of
from whocut.verdict.verdict import Grade

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whocut.verdict.triage.facts import Facts

_LINES: Final = 8  # of a message
_LETTERS: Final = 1200
_SENTENCE: Final = re.compile(r"[.!?;](?=\s|$)|\n|[\u3002\uff01\uff1f\uff1b]")
# Statuses whose answer may refuse for one of these reasons.
_REFUSING: Final = frozenset({400, 401, 402, 403, 404, 413, 415, 422, 429, 451, 503, 529})


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One kind of sentence; the columns are explained in ``words/forms.yaml``."""

    cause: Cause
    name: str
    retry: Retry
    words: tuple[tuple[str, ...], ...]
    none: tuple[str, ...]
    code: tuple[tuple[str, ...], ...]
    code_none: tuple[str, ...]
    field: str | bool | None
    bucket: str | None
    do: str
    do_not: str


@cache
def forms() -> tuple[Form, ...]:
    """Every form."""
    return tuple(_form(row) for row in table(Path(__file__).parent / "words" / "forms.yaml"))


def a_status_and_words_say(facts: Facts) -> Triage | None:
    """A refusal in words of its own beside the status that belongs to it."""
    return _told(facts) if facts.code in _REFUSING and facts.page is None else None


def a_message_says(facts: Facts) -> Triage | None:
    """A refusal, or a failure, in words of its own, where nothing else in the text says more."""
    return _told(facts) if facts.code is None else None


def _told(facts: Facts) -> Triage | None:
    return _by_code(facts) or _by_sentence(facts)


def _by_code(facts: Facts) -> Triage | None:
    """What the code of an error object says by its stems, whatever program made it up."""
    error = error_of(facts.pasted)
    codes = [
        str(error[key]).lower() for key in ("code", "type", "error_type") if isinstance(error.get(key), str)
    ]
    for form in forms():
        for code in codes:
            hits = [next((stem for stem in stems if stem in code), None) for stems in form.code]
            if hits and None not in hits and not any(stem in code for stem in form.code_none):
                said = str(error.get("message") or code)
                return _as_triage(form, [code], f"{code}: {said}", facts)
    return None


def _by_sentence(facts: Facts) -> Triage | None:
    text = facts.pasted.text
    lines = [line for line in text.split("\n", 2 * _LINES) if line.strip()]
    if len(lines) > _LINES or len(text) > _LETTERS or has_code(facts.pasted):
        return None
    for form in forms():
        for sentence in _sentences(facts.lower):
            hits = _hits(form, sentence)
            if hits is not None:
                return _as_triage(form, hits, sentence, facts)
    return None


def _sentences(lower: str) -> Iterator[str]:
    yield from (part for part in _SENTENCE.split(lower) if part.strip())


def _hits(form: Form, sentence: str) -> list[str] | None:
    """The word of each list that a sentence has; None where one is missing, or a word is there that excludes it."""
    hits = [next((word for word in words if find(sentence, word) >= 0), None) for words in form.words]
    if not hits or any(hit is None for hit in hits) or any(find(sentence, no) >= 0 for no in form.none):
        return None
    return [hit for hit in hits if hit is not None]


def _as_triage(form: Form, hits: list[str], sentence: str, facts: Facts) -> Triage:
    moderated = form.cause is Cause.MODERATION
    stage, change = stage_of({}, facts.lower) if moderated else (None, None)
    limited = form.cause is Cause.RATE_LIMIT and form.retry is Retry.AFTER_WAIT
    return Triage(
        cause=form.cause,
        name=form.name,
        grade=Grade.INFERRED if facts.code else Grade.UNATTRIBUTED,
        status=facts.code,
        ended_by=EndedBy.UNKNOWN if form.cause is Cause.TIMEOUT_CHAIN else EndedBy.UPSTREAM,
        retry=form.retry,
        stage=stage,
        field=_param(facts) or (hits[0].replace(" ", "_") if form.field is True else form.field or None),
        bucket=form.bucket,
        retry_after_s=wait_asked(facts.pasted.text) if limited else None,
        do=change or form.do,
        do_not=form.do_not,
        why=(f"the text says: {' '.join(sentence.split())}",),
    )


def _param(facts: Facts) -> str | None:
    """The parameter as the API's own error names it."""
    param = error_of(facts.pasted).get("param")
    return param if isinstance(param, str) and param and not param.isdigit() else None


def _form(row: dict[str, Any]) -> Form:
    return Form(
        cause=Cause(row["cause"]),
        name=row["name"],
        retry=Retry(row["retry"]),
        words=tuple(tuple(str(word).lower() for word in words) for words in row["words"]),
        none=tuple(str(word).lower() for word in row.get("without", ())),
        code=tuple(tuple(str(stem) for stem in stems) for stems in row.get("code", ())),
        code_none=tuple(str(stem) for stem in row.get("code_not", ())),
        field=row.get("field"),
        bucket=row.get("bucket"),
        do=row["do"],
        do_not=row["do_not"],
    )
