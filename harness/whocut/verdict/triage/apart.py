"""Several requests in one paste of an application's log: told apart where their ends exclude each other.

A line that says that nothing was sent must not answer for another line whose request was sent and paid for. An
answer never has the status of one request and the time of another. Only then is a text cut: where a line begins
with an instant, with the number of a try, or as a point of a list; or where each line is a request and its answer.
Another text stays whole, as its lines explain each other.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from whocut.verdict.triage.endings import NOTHING_SENT
from whocut.verdict.triage.facts import best_of
from whocut.verdict.triage.lexicon import said_in
from whocut.verdict.triage.rewrap import OF_ITS_OWN

if TYPE_CHECKING:
    from whocut.verdict.triage.lexicon import Said
    from whocut.verdict.triage.unwrap import Unwrapped

_MOST: Final = 40  # requests of one text
# A request and its answer on one line: `09:14:02 POST https://… -> 504 Gateway Timeout (120 s)`.
_ANSWERED: Final = re.compile(
    r".{0,60}?\d\d:\d\d:\d\d.{0,40}?\b(?:GET|POST|PUT|PATCH|DELETE) \S{1,400}[ \t]{1,4}"
    r"(?:[-=]{1,2}>|→|:|-)?[ \t]{0,4}(?P<status>[2-5]\d\d)\b"
)
_TELLING: Final = 3  # what an ending says at least, to be a request's own


def apart(pasted: Unwrapped) -> list[str]:
    """The text of each request, in the order of the text; empty where the text is of one."""
    if answered := _each_answered(pasted):
        return answered
    if not _excluding(said_in(pasted.text)):
        return []
    pieces: list[list[str]] = []
    for line in _in_lines(pasted).split("\n"):
        if not pieces or (len(pieces) < _MOST and OF_ITS_OWN.match(line)):
            pieces.append([])
        pieces[-1].append(line)
    texts = ["\n".join(piece) for piece in pieces]
    bests = [best_of(said_in(text)) for text in texts]
    told = [(text, best) for text, best in zip(texts, bests, strict=True) if best and best.tells >= _TELLING]
    return [text for text, _ in told] if _excluding([best for _, best in told]) else []


def _each_answered(pasted: Unwrapped) -> list[str]:
    """Each failed request with what is below its line, where they were answered differently."""
    pieces: list[tuple[str, list[str]]] = []
    for line in pasted.levels[0].split("\n"):
        if len(pieces) < _MOST and (match := _ANSWERED.match(line)):
            pieces.append((match["status"], []))
        if pieces:
            pieces[-1][1].append(line)
    failed = [(status, "\n".join(lines)) for status, lines in pieces if status >= "400"]
    return [text for _, text in failed] if len({status for status, _ in failed}) > 1 else []


def _in_lines(pasted: Unwrapped) -> str:
    """The text at the first level of quoting at which several of its lines begin with an instant."""
    several = (
        level
        for level in pasted.levels
        if sum(bool(OF_ITS_OWN.match(line)) for line in level.split("\n")) > 1
    )
    return next(several, pasted.levels[0])


def _excluding(said: list[Said]) -> bool:
    """Whether one says that nothing was sent, and another that a request was."""
    ends = {one.row.kind in NOTHING_SENT for one in said if one.tells >= _TELLING}
    return len(ends) > 1
