r"""A pasted text without what was put around it.

Taken off: colours, prefixes of log collectors, quotation marks of word processors. Also quoting of strings inside
strings (``\"``, ``\n``), and Node's ``'…' +`` between the pieces of a long string. Objects (JSON, Python's dict,
one inside the other's string) are read apart. Nothing here decides anything, and every step is linear in the text.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from whocut.trace.logs.prefixes import less_prefixes, prefixed
from whocut.verdict.triage.rewrap import rejoined, unframed

_WINDOW: Final = 64 * 1024  # characters that are read of each end of a longer text
_ROUNDS: Final = 3  # strings inside strings inside strings
_TRIES: Final = 60  # objects that are tried
_OBJECT: Final = 32 * 1024  # characters of one
_DEEP: Final = 40  # levels of one

_COLOUR: Final = re.compile(r"\x1b(?:\[[0-?]{0,32}[ -/]{0,4}[@-~]|\][^\x07\x1b\n]{0,256}(?:\x07|\x1b\\)?)")
_TYPESET: Final = str.maketrans(
    {
        "“": '"',
        "”": '"',
        "„": '"',
        "\u2018": "'",
        "\u2019": "'",
        "\u00a0": " ",
        "\u200b": "",
        "\u200e": "",
        "\ufeff": "",
        "\r": "",
    }
)
_ENTITY: Final = re.compile(r"&(?:quot|#34|#39|#x27|#x22|#x2F|apos|lt|gt|amp|nbsp|#32|#35);")
_ENTITIES: Final = {
    "&quot;": '"',
    "&#34;": '"',
    "&#39;": "'",
    "&#x27;": "'",
    "&#x22;": '"',
    "&#x2F;": "/",
    "&apos;": "'",
    "&lt;": "<",
    "&gt;": ">",
    "&amp;": "&",
    "&nbsp;": " ",
    "&#32;": " ",
    "&#35;": "#",
}
_JOINED: Final = re.compile(r"['\"`][ \t]?\+[ \t]?\n[ \t]{0,80}['\"`]")
_ESCAPED: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([ntrbf\"'`/\\]))")
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "", "b": "", "f": ""}

# Source code that a traceback quotes: under a frame, under a row of carets, or with its number in front.
# A handler of errors, too: it names what might have happened.
_FRAME: Final = re.compile(r"^\s{0,12}File \"[^\"\n]{1,400}\", line \d")
_QUOTED_CODE: Final = re.compile(
    r"^(?:-{2,8}> ?|[ \t]{1,8})\d{1,5}[ \t]{1,2}(?!\||\{[\"']error)|^[ \t|]{0,80}[\^~]{2,}[\s\^~]{0,120}$"
    r"|^[ \t]{0,80}(?:except\b[^\n]{0,200}:|rescue [A-Z][\w:, ]{1,200}|\}? ?catch ?\([^\n]{0,200}\) ?\{)$"
)
# What a request was set to, as Node shows it behind an error: settings are not what happened.
_SETTINGS: Final = re.compile(
    r"^(?P<margin>[ \t]{0,40})['\"]?(?:options|config|request|_req|req|agent|socket|dispatcher"
    r"|timings|_options|httpAgent"
    r"|httpsAgent|transport|\[Symbol\([\w .]{1,40}\)\])['\"]?: [^\n]{0,120}[\[{(]$"
)
_FENCE: Final = re.compile(r"^\s{0,8}(?:```|~~~)\w{0,20}\s{0,8}$")


@dataclass(frozen=True)
class Unwrapped:
    """The text in the clear. `levels`: as pasted, and after each round of taking off one quoting."""

    levels: tuple[str, ...]

    @property
    def text(self) -> str:
        """The text with all quoting off."""
        return self.levels[-1]

    @cached_property
    def lower(self) -> str:
        """The same in small letters, to look words up in."""
        return self.text.lower()

    @cached_property
    def objects(self) -> tuple[Any, ...]:
        """Every object that is in the text, or in a string of it, each once and the outer before the inner."""
        found: list[Any] = []
        for level in self.levels:
            for value in _objects_of(level):
                if value not in found:
                    found.append(value)
        return tuple(found)

    @cached_property
    def lines(self) -> tuple[tuple[str, ...], ...]:
        """Each line as it may have been written: as pasted, and less each prefix; the barest last."""
        written = [line for line in self.levels[0].split("\n") if line.strip()]
        written += [line for value in self.objects for line in _strings_of(value) if line.strip()]
        return tuple(dict.fromkeys(less_prefixes(line) for line in written))


def unwrap(text: str) -> Unwrapped:
    """Take it off, layer by layer. A text that is longer than two windows is read at both its ends."""
    if len(text) > 2 * _WINDOW:
        text = text[:_WINDOW] + "\n" + text[-_WINDOW:]
    text = _COLOUR.sub("", text).translate(_TYPESET)
    if not {"<", '"'} & set(text):  # a page that was escaped as a whole, before anything is read of it
        text = _ENTITY.sub(lambda match: _ENTITIES[match[0]], text)
    text = "\n".join(_less_code([line for line in text.split("\n") if not _FENCE.match(line)]))
    text = rejoined(unframed(text))
    bare = "\n".join(less_prefixes(line)[-1] if prefixed(line) else line for line in text.split("\n"))
    levels = [text]
    if bare != text:
        levels.append(bare)
    for _ in range(_ROUNDS):
        further = _ESCAPED.sub(_meant, _JOINED.sub("", levels[-1]))
        further = _ENTITY.sub(lambda match: _ENTITIES[match[0]], further)
        if further == levels[-1]:
            break
        levels.append(further)
    return Unwrapped(tuple(levels))


def _less_code(lines: list[str]) -> list[str]:
    """The lines without the source code that a traceback quotes: its words are the program's, not what happened."""
    kept: list[str] = []
    framed = False
    margin: int | None = None  # of the block of settings that is being left out
    for line in lines:
        if margin is not None:
            if not line.strip() or len(line) - len(line.lstrip()) > margin:
                continue
            margin = None
            continue
        if (settings := _SETTINGS.match(line)) is not None:
            margin = len(settings["margin"])
            continue
        code = framed and line[:1] in {" ", "\t"} and not _FRAME.match(line)
        framed = bool(_FRAME.match(line))
        if not code and not _QUOTED_CODE.match(line):
            kept.append(line)
    return kept


def _meant(match: re.Match[str]) -> str:
    code = match[1] or match[2]
    if code:
        character = chr(int(code, 16))
        return character if character.isprintable() or character in "\n\t" else " "
    return _ESCAPES.get(match[3], match[3])


# --- objects ------------------------------------------------------------------------------------------------


def _objects_of(text: str) -> list[Any]:
    """The objects of a text: the outermost that can be read, and inside of those that cannot, the next."""
    found: list[Any] = []
    past = tries = 0
    for start, end in _braces(text):
        if start < past or tries >= _TRIES:
            continue
        tries += 1
        value, stop = _read(text, start, end)
        if isinstance(value, dict | list) and value:
            found.append(value)
            past = stop
    return found


def _braces(text: str) -> list[tuple[int, int]]:
    """Each pair of braces, by where it opens; one that is never closed ends nowhere (-1)."""
    pairs: dict[int, int] = {}
    opened: list[int] = []
    for match in re.finditer(r"[{}]", text):
        if match[0] == "{":
            opened.append(match.start())
            pairs[match.start()] = -1
        elif opened:
            pairs[opened.pop()] = match.end()
    return sorted(pairs.items())


def _read(text: str, start: int, end: int) -> tuple[Any, int]:
    """The value that begins at a brace, and where it ends: by JSON's own rules, or as Python writes it."""
    piece = text[start : start + _OBJECT]
    if _deep(piece):
        return None, start
    try:
        value, length = json.JSONDecoder(strict=False).raw_decode(piece)
    except (ValueError, RecursionError):
        pass
    else:
        return value, start + length
    if end < 0 or end - start > _OBJECT:
        return None, start
    try:
        with warnings.catch_warnings():  # Python remarks on a literal that it can read and finds odd
            warnings.simplefilter("ignore")
            return ast.literal_eval(text[start:end]), end
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None, start


def _deep(piece: str) -> bool:
    """Whether brackets are nested deeper than anything that is worth reading."""
    return any(bracket * _DEEP in piece for bracket in "[{(") or piece.count("[{") > _DEEP * 25


def _strings_of(value: Any, depth: int = 0) -> list[str]:
    """The lines of every string in an object."""
    if isinstance(value, str):
        return value.split("\n")[:200]
    if depth > _DEEP:
        return []
    inner = (
        list(value.values()) if isinstance(value, dict) else value if isinstance(value, list | tuple) else []
    )
    return [line for one in inner[:500] for line in _strings_of(one, depth + 1)]


def pairs_of(value: Any, path: str = "", depth: int = 0) -> list[tuple[str, Any]]:
    """Every leaf of an object with its path: ``error.code``, ``detail.0.msg``."""
    if depth > _DEEP:
        return []
    if isinstance(value, dict):
        items = [(str(key), one) for key, one in value.items()]
    elif isinstance(value, list | tuple):
        items = [(str(number), one) for number, one in enumerate(value[:200])]
    else:
        return [(path, value)]
    return [pair for key, one in items for pair in pairs_of(one, f"{path}.{key}" if path else key, depth + 1)]
