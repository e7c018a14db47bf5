"""What APIs refuse, by their own code or words: data in ``words/refusals.yaml``, and finding it in a text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from whocut.tables import table
from whocut.verdict.triage.endings import Cause, Retry
from whocut.verdict.triage.lexicon import find
from whocut.verdict.triage.unwrap import pairs_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from whocut.verdict.triage.unwrap import Unwrapped

_CODE_KEYS: Final = frozenset(
    {
        "code",
        "type",
        "status",
        "error_type",
        "reason",
        "finishreason",
        "finish_reason",
        "blockreason",
        "block_reason",
        "errorcode",
        "error_code",
    }
)
_INSPECTED: Final = re.compile(
    r"(?<![\w.])[\"']?(code|type|param|message|status|error_type)[\"']?: {1,2}(?:'((?:[^'\\\n]"
    r"|\\.){0,2000}+)'|\"((?:[^\"\\\n]|\\.){0,2000}+)\")"
)
# A code as a log writes it: `code: Arrearage, message: …`.
_UNQUOTED: Final = re.compile(
    r"(?<![\w.-])(?:error_?)?code[:=] ?([A-Za-z][\w.-]{2,60})(?=[,;) \n]|$)", re.IGNORECASE
)
# A code as a message quotes it: `API error: IMAGE_SAFETY`, `blocked (PROHIBITED_CONTENT)`.
_QUOTED: Final = re.compile(
    r"(?i:\b(?:error|reason|failed|failure|blocked|rejected|refused|stopped|because|code))\b[^\w\n]{1,4}"
    r"([A-Z]{2,24}(?:_[A-Z]{2,24}){1,4})(?![\w-])"
)
_REFUSING: Final = re.compile(r"(?<![\w.:/-])4(?:00|22)(?![\w.-])|bad ?request|invalid_request|unprocessable")
_CODE: Final = re.compile(r"[a-z0-9]{1,40}(?:_[a-z0-9]{1,40}){1,8}")
_STAGES: Final = {
    "input": "Change the prompt or the reference images: they were refused before anything was made.",
    "output": "Change the scene, not just the wording: an image was made, and then filtered.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One kind of refusal; the columns are explained in ``words/refusals.yaml``."""

    cause: Cause
    name: str
    codes: frozenset[str]
    words: tuple[str, ...]
    none: tuple[str, ...]
    field: str | None
    bucket: str | None
    retry: Retry
    do: str
    do_not: str
    in_error: tuple[str, ...] = ()  # words that count only beside an error object or a status that refuses
    wraps: bool = False  # a gateway's words around another's refusal: what is quoted in them tells more


@dataclass(frozen=True, slots=True)
class Refused:
    """A refusal that is in a text: the row, the error object it was read from, and the words that decided."""

    row: Refusal
    error: Mapping[str, Any]
    because: str
    exact: bool  # by the API's own code, or by words within an error object


@cache
def refusals() -> tuple[Refusal, ...]:
    """Every row."""
    return tuple(_row(row) for row in table(Path(__file__).parent / "words" / "refusals.yaml"))


def refused_in(pasted: Unwrapped) -> Refused | None:
    """The refusal that a text tells of: by wording that is more exact than the code, then by its code."""
    error = error_of(pasted)
    codes = codes_of(pasted, error)
    message = str(error.get("message") or "").lower()
    refusing = _REFUSING.search(pasted.lower) is not None
    in_message = _by_words(message, pasted.lower, refusing=True)
    anywhere = _by_words(pasted.lower, pasted.lower, refusing=refusing)
    by_words = anywhere if in_message is None or in_message.wraps else in_message
    by_code = next((row for row in refusals() for code in codes if code in row.codes), None)
    if by_words and by_code and by_words.cause is not by_code.cause:
        # A code that says what kind it is outranks words that may be quoted; a bare type does not.
        first = by_code if refusals().index(by_code) < refusals().index(by_words) else by_words
        return Refused(first, error, _because(first, message, codes, pasted.lower), exact=True)
    row = by_words or by_code
    if row is None:
        return None
    exact = by_code is not None or in_message is not None
    return Refused(row, error, _because(row, message, codes, pasted.lower), exact=exact)


# A reason that is only guessed at is no refusal: `也可能是账号被限流`, `it may be that you are rate limited`.
_GUESSED: Final = re.compile(
    r"(?:也?可能[是为]?|或许|大概|かもしれ|\b(?:may|might|could|can) (?:also )?(?:be|have been|mean)"
    r"|\b(?:possibly|perhaps|probably|maybe|either)\b|\b(?:peut-être|quizás|vielleicht|возможно))[^\n.。;]{0,60}$"
)
_BEFORE: Final = 90  # letters of a line in front of a word, as far as a guess reaches


def _only_guessed(lower: str, words: str) -> bool:
    """Whether each place of the words comes after a `perhaps` in its sentence."""
    if "*" in words or "{" in words:
        return False
    places = _places(lower, words)
    return bool(places) and all(_GUESSED.search(lower[max(0, at - _BEFORE) : at]) for at in places)


def _places(lower: str, words: str) -> list[int]:
    places: list[int] = []
    at = lower.find(words)
    while at >= 0 and len(places) < 20:
        places.append(at)
        at = lower.find(words, at + 1)
    return places


def _by_words(lower: str, whole: str, *, refusing: bool) -> Refusal | None:
    """The first row whose words are in a part of a text, and whose `without` is nowhere in the whole."""
    if not lower:
        return None
    for row in refusals():
        said = (*row.words, *row.in_error) if refusing else row.words
        limit = row.cause is Cause.RATE_LIMIT
        if any(
            _stands(lower, words) and not (limit and _only_guessed(lower, words)) for words in said
        ) and not any(find(whole, no) >= 0 for no in row.none):
            return row
    return None


def _stands(lower: str, words: str) -> bool:
    if "{field}" in words:
        # A plain look first: the pattern tries each place of a long text, and takes some forty times as long.
        plain = all(part in lower for part in words.split("{field}"))
        return plain and _field_pattern(words).search(lower) is not None
    if _CODE.fullmatch(words):
        return words in lower and _code_pattern(words).search(lower) is not None
    return find(lower, words) >= 0


@cache
def _code_pattern(words: str) -> re.Pattern[str]:
    """A code as a word of its own: `access_denied` is not in `err_access_denied`."""
    return re.compile(rf"(?<![\w-]){re.escape(words)}(?![\w-])")


@cache
def _field_pattern(words: str) -> re.Pattern[str]:
    before, _, after = words.partition("{field}")
    return re.compile(rf"{re.escape(before)}(?P<field>[\w.\[\]-]{{1,60}}){re.escape(after)}", re.IGNORECASE)


def _because(row: Refusal, message: str, codes: Iterable[str], lower: str) -> str:
    code = next((code for code in codes if code in row.codes), None)
    said = (*row.words, *row.in_error)
    words = next((words for words in said if _stands(message or lower, words)), None)
    return code or words or row.name


def field_of(row: Refusal, error: Mapping[str, Any], text: str) -> str | None:
    """The parameter that is meant: as the API names it, as its message does, or as the row knows it."""
    param = error.get("param")
    if isinstance(param, str) and param and not param.isdigit() and row.field != "image_url":
        return param
    location = error.get("loc")
    if isinstance(location, list) and location:
        return str(location[-1])
    for words in (*row.words, *row.in_error):
        if "{field}" in words and (match := _field_pattern(words).search(text)):
            return match["field"]
    return row.field


def stage_of(error: Mapping[str, Any], lower: str) -> tuple[str, str | None]:
    """At which stage moderation refused, and what to change then."""
    details = error.get("moderation_details")
    stage = str(details.get("moderation_stage")) if isinstance(details, dict) else None
    if stage is None and re.search(
        r"generated image was filtered|content moderated|output.{0,20}flagged", lower
    ):
        stage = "output"
    if stage is None and re.search(
        r"request moderated|prompt triggering|inputtextsensitive|inputimagesensitive"
        r"|prompt.{0,12}(?:was )?(?:blocked|flagged)",
        lower,
    ):
        stage = "input"
    stage = stage if stage in _STAGES else "unknown"
    return stage, _STAGES.get(stage)


# --- the error object ---------------------------------------------------------------------------------------


def error_of(pasted: Unwrapped) -> dict[str, Any]:
    """The API's own error: in its envelope, in a list, bare as an SDK hands it on, or as Node shows an object."""
    best: dict[str, Any] = {}
    for value in pasted.objects:
        for error in _errors_in(value, 0):
            if len(error) > len(best) or (not best.get("message") and error.get("message")):
                best = error
    if best:
        return best
    found = {match[1]: match[2] or match[3] for match in _INSPECTED.finditer(pasted.text)}
    return found if {"code", "type", "param"} & set(found) else {}


def _errors_in(value: Any, depth: int) -> list[dict[str, Any]]:
    if depth > 8:
        return []
    if isinstance(value, list):
        return [error for one in value[:20] for error in _errors_in(one, depth + 1)]
    if not isinstance(value, dict):
        return []
    found = []
    inner = value.get("error")
    if isinstance(inner, dict) and "message" in inner:
        found.append(inner)
    elif isinstance(inner, str) and (
        "code" in value
        or value.get("type", "error") != "error"  # a rule's or an event's own kind says nothing of an API
        or "error_type" in value
        or "status" in value
    ):
        found.append({**value, "message": inner})
    elif ("message" in value or "msg" in value) and {"type", "code", "param", "loc"} & set(value):
        found.append({"message": value.get("msg"), **value})
    elif isinstance(value.get("detail"), str):
        found.append({**value, "message": value["detail"]})
    for key in (
        "error",
        "detail",
        "errors",
        "body",
        "response",
        "data",
        "err",
        "inner_error",
        "innererror",
        "metadata",
    ):
        if key in value:
            found += _errors_in(value[key], depth + 1)
    return found


def codes_of(pasted: Unwrapped, error: Mapping[str, Any]) -> list[str]:
    """Every code of the API's that is in the text, in small letters, the error's own first."""
    own = [error.get(key) for key in ("code", "type", "status", "error_type")]
    inner = [
        value
        for one in pasted.objects
        for path, value in pairs_of(one)
        if path.rpartition(".")[2].lower() in _CODE_KEYS and isinstance(value, str)
    ]
    shown = [
        match[2] or match[3] for match in _INSPECTED.finditer(pasted.text) if match[1] in {"code", "type"}
    ]
    shown += [match[1] for pattern in (_UNQUOTED, _QUOTED) for match in pattern.finditer(pasted.text)]
    codes = [str(code).lower() for code in (*own, *inner, *shown) if isinstance(code, str) and code]
    return list(dict.fromkeys(codes))


def _row(row: dict[str, Any]) -> Refusal:
    return Refusal(
        cause=Cause(row["cause"]),
        name=row["name"],
        codes=frozenset(str(code).lower() for code in row.get("codes", ())),
        words=tuple(str(words).lower() for words in row.get("words", ())),
        none=tuple(str(words).lower() for words in row.get("without", ())),
        in_error=tuple(str(words).lower() for words in row.get("in_error", ())),
        field=row.get("field"),
        bucket=row.get("bucket"),
        retry=Retry(row["retry"]),
        do=row["do"],
        do_not=row["do_not"],
        wraps=row.get("wraps", False),
    )
