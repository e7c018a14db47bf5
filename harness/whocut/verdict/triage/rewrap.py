"""Lines that a terminal, a mail or the reader of a screenshot broke: put together again, so that phrases are whole.

A frame that a terminal's program or a table drew around the lines is taken off first. A break is due to the width
where the next word had no room left on its line. A line that begins as a record, a frame of a traceback, a header
or a tag does stays a line of its own.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final

_WIDTHS: Final = range(40, 133)  # of terminals, mails and windows
_TERMINALS: Final = frozenset({80, 100, 120, 132})
_MOST: Final = 400  # lines of a text that is looked at
_SHARE: Final = 0.75  # of the breaks that are due to the width
_BEGINS: Final = re.compile(
    r"^(?:[ \t]{2}|\t|[\[{}<>*#|•^~⎿-]|\d{4}[-/]|\d\d:\d\d|\d{1,2}/\w{3}/|at |in |File |Traceback|Caused|HTTP/\d"
    r"|[\w.$]{0,80}(?:Error|Exception)\b|(?:[A-Z][\w .-]{0,40}|[a-z]{1,20}-[\w-]{1,40}|server|via|date|host|error"
    r"|cause|code|status|details?|message|level|msg|age|vary|allow):(?:[ ]|$)|[A-Z][a-z]{2} {1,2}\d{1,2}[ ,]"
    r"|[\w-]{1,40}=|\w{1,40}::\w|\d{1,3}[.)] |\w+\(|#\d"
    r"|(?:INFO|ERROR|WARN|WARNING|DEBUG|TRACE|FATAL|CRITICAL|E|W|I)\b)"
)
_FRAMED: Final = re.compile(r"^[ \t]{0,8}[│┃║|][ \t]?(.*?)[ \t]{0,200}[│┃║|]?[ \t]{0,8}$")
_DRAWN: Final = frozenset("│┃║")
_RULE: Final = re.compile(r"^[ \t]{0,8}[+|╭╰┌└├╔╚╠]?[-─━═ +|:┬┴┼╮╯┐┘┤╗╝╣]{3,400}$")
# What begins a record: an instant, the number of a try, a point of a list.
OF_ITS_OWN: Final = re.compile(
    r"^.{0,60}?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d|^\W{0,3}\d\d:\d\d:\d\d\b"
    r"|^[ \t]{0,8}(?:\d{1,3}[.)]|[-*\u2022]) \S"
    r"|^(?i:.{0,40}?\b(?:attempt|try|retry|request|job|run|task|worker)[ #=:-]{1,3}\d)"
)
_WORD: Final = re.compile(r"\S{1,200}")


def rejoined(text: str) -> str:
    """The text with the breaks out that only its width made; the same text where it was not filled up."""
    lines = text.split("\n", _MOST + 1)
    if not 1 < len(lines) <= _MOST:
        return text
    width = max(len(line.rstrip()) for line in lines)
    if width not in _WIDTHS:
        return text
    pairs = list(pairwise(lines))
    could = [number for number, (line, following) in enumerate(pairs) if _may_go_on(line, following)]
    due = {number for number in could if _had_no_room(*pairs[number], width)}
    if not due or len(due) < _SHARE * len(could):
        return text
    cut = all(len(lines[number]) == width for number in due)
    hard = cut and len(due) > (1 if width in _TERMINALS else 2)  # a word may end at the edge by chance
    parts = [lines[0]]
    for number, (_, following) in enumerate(pairs):
        parts.append(("" if hard else " ") if number in due else "\n")
        parts.append(following.lstrip() if number in due and not hard else following)
    return "".join(parts)


def unframed(text: str) -> str:
    """The text without a frame, if each of its lines has one."""
    lines = [line for line in text.split("\n") if line.strip() and not _RULE.match(line)]
    framed = [_FRAMED.match(line) for line in lines[:_MOST]]
    drawn = len(lines) == 1 and lines[0].strip()[:1] in _DRAWN and lines[0].strip()[-1:] in _DRAWN
    if len(lines) > _MOST or (len(framed) < 2 and not drawn) or not all(framed):
        return text
    return "\n".join(match[1] for match in framed if match)


def _may_go_on(line: str, following: str) -> bool:
    if not line.strip() or not following.strip() or _BEGINS.match(following) or OF_ITS_OWN.match(following):
        return False
    return _first(line) != _first(following)  # lines that begin alike are of a list


def _first(line: str) -> str:
    """The first word of a line, less its digits."""
    word = _WORD.match(line.strip())
    return "".join(letter for letter in word[0] if not letter.isdigit()) if word else ""


def _had_no_room(line: str, following: str, width: int) -> bool:
    word = _WORD.match(following)
    return word is not None and len(line.rstrip()) + 1 + len(word[0]) > width
