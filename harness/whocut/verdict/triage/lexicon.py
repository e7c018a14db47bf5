"""The words by which clients and layers are known: data in ``words/*.yaml``, and looking them up in a text.

A phrase is plain text, compared without case at whole words; `*` in it is anything on the same line, and `*` in
front the beginning of a longer word. A name of a program's (`ReadTimeout`, `IDLE_TIMEOUT`) is met in its own case
only, and no phrase about a timeout where a number follows: `readTimeout: 60` is a setting. That is all: no pattern
here can be slow.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final

from whocut.chain.timers import Phase, TimerKind
from whocut.tables import table
from whocut.verdict.triage.endings import ENDINGS, Ending

_FOLDER: Final = Path(__file__).parent / "words"
_REACH: Final = 240  # characters that a `*` may match
_WORD: Final = re.compile(r"[A-Za-z0-9]+")
_SEEN: Final = 40  # places of a phrase's beginning that are tried
_CAMEL: Final = re.compile(r"[A-Z]\w{0,60}[a-z]\w{0,60}[A-Z]\w{0,60}")
_SHOUTED: Final = re.compile(r"[A-Z]{1,60}(?:_[A-Z0-9]{1,60})+")
_SNAKE: Final = re.compile(r"[a-z]{1,60}(?:_[a-z0-9]{1,60})+")
_SET_TO: Final = re.compile(r"[\"']?[ \t]{0,2}[:=]?[ \t]{0,2}[\"']?\d")
# A unit in brackets is a label of a setting: `Request timeout (s)`.
_LABEL: Final = re.compile(
    r"[ ]?[(\uff08](?:s|ms|secs?|seconds|milliseconds|min|minutes|秒|毫秒|分钟|ミリ秒)[)\uff09]"
)


class Role(StrEnum):
    """On which side of the request a speaker is."""

    CLIENT = "client"
    LAYER = "layer"


@dataclass(frozen=True, slots=True)
class Row:
    """One ending in a speaker's words."""

    ending: Ending
    kind: str
    words: tuple[str, ...]
    names: frozenset[str] = frozenset()  # those of the words that are a program's names, as they are written
    every: tuple[str, ...] = ()
    none: tuple[str, ...] = ()
    directive: str | None = None
    timer: TimerKind | None = None
    phase: Phase | None = None
    status: int | None = None
    log: bool = False
    sure: bool = True
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Speaker:
    """A client or a layer that speaks in a text; the columns are explained in ``words/clients.yaml``."""

    name: str
    title: str
    role: Role
    out: int
    sets: frozenset[str]
    marks: tuple[str, ...]
    knobs: dict[str, str]
    rows: tuple[Row, ...]
    source: str
    fakes: frozenset[int] = frozenset()  # statuses that it makes up where no response came


@dataclass(frozen=True, slots=True)
class Said:
    """A row whose words are in the text, and where."""

    speaker: Speaker
    row: Row
    at: int
    words: str

    @property
    def tells(self) -> int:
        """How much it says, against what else is in the text."""
        return self.row.ending.tells - (0 if self.row.sure else 3)


@cache
def speakers() -> tuple[Speaker, ...]:
    """Every client and every layer that is known by its words."""
    clients = [one for name in ("clients", "languages", "tongues") for one in _read(name, Role.CLIENT)]
    return (*clients, *_read("layers", Role.LAYER))


def said_in(text: str) -> list[Said]:
    """Every row whose words are in a text."""
    found = []
    lower = text.lower()
    cased = text if len(text) == len(lower) else lower  # a few letters have no small one of their own length
    for speaker in speakers():
        for row in speaker.rows:
            hit = next(
                ((at, words) for words in row.words if (at := _said(lower, words, row, cased)) >= 0), None
            )
            if hit is None or not all(find(lower, words) >= 0 for words in row.every):
                continue
            if any(find(lower, words) >= 0 for words in row.none):
                continue
            found.append(Said(speaker, row, *hit))
    return found


def _said(lower: str, words: str, row: Row, cased: str) -> int:
    """Where a row's words are said, and are neither a setting nor another's name in other letters; or -1."""
    start = at = find(lower, words)
    for _ in range(_SEEN):
        if at < 0 or "*" in words or _is_said(words, at, row, cased):
            return at
        start = at + 1
        at = _whole_word(lower, words, start)
    return -1


def _is_said(words: str, at: int, row: Row, cased: str) -> bool:
    end = at + len(words)
    if _LABEL.match(cased, end):
        return False
    name = next((name for name in row.names if name.lower() == words), None)
    if name is not None:
        joined = cased[max(0, at - 1) : at] in {"_", "-"} or re.match(r"[_-]\w", cased[end : end + 2])
        other = _SHOUTED.fullmatch(name) and cased[at:end] != name
        small = _CAMEL.fullmatch(name) and cased[at : at + 1].islower() and not cased.islower()
        if joined or other or small:
            return False
    sets = words.endswith("timeout") or (name is not None and "timeout" in words)
    return not (sets and _SET_TO.match(cased, end))


def speaking_in(lower: str) -> list[Speaker]:
    """Every speaker that names itself in a text of small letters."""
    return [speaker for speaker in speakers() if any(find(lower, mark) >= 0 for mark in speaker.marks)]


def find(lower: str, phrase: str) -> int:
    """Where a phrase begins, or -1; one that begins with `*` may be the end of a longer word."""
    if not _whole_in(phrase) <= _words_of(lower):
        return -1
    if "*" not in phrase:
        return _whole_word(lower, phrase, 0) if phrase in lower else -1
    begins = not phrase.startswith("*")
    phrase = phrase.removeprefix("*")
    if "*" not in phrase:
        return _whole_word(lower, phrase, 0, begins=begins)
    first, *rest = phrase.split("*")
    at = -1
    for _ in range(_SEEN):
        at = _whole_word(lower, first, at + 1, begins=begins, ends=False)
        if at < 0:
            return -1
        if _follows(lower, at + len(first), rest):
            return at
    return -1


@lru_cache(maxsize=4)
def _words_of(lower: str) -> frozenset[str]:
    """The words of a text. Thousands of phrases are looked for in one, and nearly all lack a word in it."""
    return frozenset(_WORD.findall(lower))


@cache
def _whole_in(phrase: str) -> frozenset[str]:
    """The words that a text with this phrase has as whole words: they end within it, or at its own edge."""
    first, star, rest = phrase.removeprefix("*").partition("*")
    begins, ends = not phrase.startswith("*"), not star
    sure = {
        match[0]
        for match in _WORD.finditer(first)
        if (match.start() or begins) and (match.end() < len(first) or ends)
    }
    for chunk in rest.split("*"):
        sure |= {match[0] for match in _WORD.finditer(chunk) if match.start() and match.end() < len(chunk)}
    return frozenset(sure)


def _follows(lower: str, start: int, rest: list[str]) -> bool:
    end = lower.find("\n", start, start + _REACH)
    end = start + _REACH if end < 0 else end
    for chunk in rest:
        at = lower.find(chunk, start, end)
        if at < 0:
            return False
        start = at + len(chunk)
    return True


def _whole_word(lower: str, phrase: str, start: int, *, begins: bool = True, ends: bool = True) -> int:
    """Where a phrase begins as whole words: no letter or digit touches it where it begins and ends with one."""
    at = lower.find(phrase, start)
    if at < 0:
        return -1
    before, after = begins and _is_word(phrase[:1]), ends and _is_word(phrase[-1:])
    spaced = " " in phrase
    for _ in range(_SEEN):
        if at < 0:
            return -1
        end = at + len(phrase)
        touched = (at > 0 and _joins(lower[at - 1], phrase[0], word=before, spaced=spaced)) or (
            end < len(lower) and _joins(lower[end], phrase[-1], word=after, spaced=spaced)
        )
        if not touched:
            return at
        at = lower.find(phrase, at + 1)
    return -1


def _joins(neighbour: str, edge: str, *, word: bool, spaced: bool) -> bool:
    """Whether a neighbour makes what it touches a part of something longer: a word, or a name with `::` in it.

    Words with a space between them are no part of a name: `connect_timeout error_log` is not "timeout error".
    """
    if word and (_is_word(neighbour) or (spaced and neighbour == "_")):
        return True
    return edge == ":" and neighbour == ":"


def _is_word(character: str) -> bool:
    """Whether a character joins others into a word; those of scripts without spaces do not."""
    return character.isascii() and character.isalnum()


def _read(name: str, role: Role) -> tuple[Speaker, ...]:
    return tuple(_speaker(entry, role) for entry in table(_FOLDER / f"{name}.yaml"))


def _speaker(entry: dict[str, Any], role: Role) -> Speaker:
    return Speaker(
        name=entry["name"],
        title=entry["title"],
        role=role,
        out=entry.get("out", 1),
        sets=frozenset(entry.get("sets", ())),
        marks=tuple(str(mark).lower() for mark in entry.get("marks", ())),
        knobs=dict(entry.get("knobs", {})),
        rows=tuple(_row(row) for row in entry.get("rows", ())),
        source=entry["source"],
        fakes=frozenset(entry.get("fakes", ())),
    )


def _row(row: dict[str, Any]) -> Row:
    ending = ENDINGS[row["ending"]]
    phase = row.get("phase")
    return Row(
        ending=ending,
        kind=row["ending"],
        words=_phrases(row["words"]),
        names=frozenset(str(words) for words in row["words"] if _is_name(str(words))),
        every=_phrases(row.get("with", ())),
        none=_phrases(row.get("without", ())),
        directive=row.get("directive"),
        timer=TimerKind(row["timer"]) if "timer" in row else ending.timer,
        phase=None if phase == "none" else Phase(phase) if phase else ending.phase,
        status=row.get("status"),
        log=row.get("log", False),
        sure=row.get("sure", True),
        shared=row.get("shared", False),
    )


def _is_name(words: str) -> bool:
    return any(kind.fullmatch(words) for kind in (_CAMEL, _SHOUTED, _SNAKE))


def _phrases(written: Any) -> tuple[str, ...]:
    return tuple(str(words).lower() for words in written)
