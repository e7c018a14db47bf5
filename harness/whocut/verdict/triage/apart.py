"""Several requests in one paste of an application's log: told apart where their ends exclude each other.

A line that says that nothing was sent must not answer for another line whose request was sent and paid for. Only
then is a text cut at its time stamps; any other text stays whole, as its lines explain each other.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from whocut.verdict.triage.endings import NOTHING_SENT
from whocut.verdict.triage.facts import best_of
from whocut.verdict.triage.lexicon import said_in

if TYPE_CHECKING:
    from whocut.verdict.triage.lexicon import Said
    from whocut.verdict.triage.unwrap import Unwrapped

_STAMP: Final = re.compile(r"^.{0,60}?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d")
_MOST: Final = 40  # requests of one text
_TELLING: Final = 3  # what an ending says at least, to be a request's own


def apart(pasted: Unwrapped) -> list[str]:
    """The text of each request, in the order of the text; empty where the text is of one."""
    if not _excluding(said_in(pasted.text)):
        return []
    pieces: list[list[str]] = []
    for line in pasted.levels[0].split("\n"):
        if not pieces or (len(pieces) < _MOST and _STAMP.match(line)):
            pieces.append([])
        pieces[-1].append(line)
    texts = ["\n".join(piece) for piece in pieces]
    bests = [best_of(said_in(text)) for text in texts]
    told = [(text, best) for text, best in zip(texts, bests, strict=True) if best and best.tells >= _TELLING]
    return [text for text, _ in told] if _excluding([best for _, best in told]) else []


def _excluding(said: list[Said]) -> bool:
    """Whether one says that nothing was sent, and another that a request was."""
    ends = {one.row.kind in NOTHING_SENT for one in said if one.tells >= _TELLING}
    return len(ends) > 1
