"""nginx's configuration syntax: words, strings, blocks and comments, with the line of every directive.

Written for this project because a file of 10 MB has to be read in seconds, from text and without touching the file
system; a test holds it to crossplane's reading of the same files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from whocut.errors import BadFile

_MOST_DEPTH: Final = 40
_FEW: Final = 12  # directives that are looked through sooner than indexed
# A word ends at a blank, a semicolon or a brace; `${name}` is part of it, and a backslash takes the next character.
# Every alternative begins with another character, so that each text is read in one pass.
_WORD: Final = r"(?:[^\s;{}\\$]+|\\.|\$\{[^}\s]*\}|\$)*"
_TOKEN: Final = re.compile(
    rf"""[;{{}}]|\#[^\n]*|"(?:[^"\\]++|\\.)*+"|'(?:[^'\\]++|\\.)*+'|(?:[^\s;{{}}"'\#\\$]|\\.|\$\{{[^}}\s]*\}}|\$){_WORD}|["'\\]""",
    re.DOTALL,
)
_ESCAPED: Final = re.compile(r"\\([\"'\\])")
_CODE: Final = re.compile(r"[{}]|--[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'")
_BARE_BLOCK: Final = re.compile(r"_by_lua_block$|^js_|^perl$")


@dataclass(slots=True)
class Directive:
    """One directive: its name, its arguments, and what is in its block; None: it has no block."""

    name: str
    args: list[str]
    file: str
    line: int
    block: list[Directive] | None = None
    _by_name: dict[str, list[Directive]] | None = field(default=None, repr=False, compare=False)
    _indexed: int = field(default=0, repr=False, compare=False)

    def all(self, name: str) -> list[Directive]:
        """The directives of this name directly in the block; ten thousand servers are looked through once."""
        block = self.block or ()
        if len(block) < _FEW:
            return [inner for inner in block if inner.name == name]
        by_name = self._by_name
        if by_name is None or len(block) != self._indexed:
            by_name = self._by_name = {}
            self._indexed = len(block)
            for inner in block:
                by_name.setdefault(inner.name, []).append(inner)
        return by_name.get(name, [])

    def first(self, name: str) -> Directive | None:
        """The last of this name directly in the block, which is the one that holds."""
        found = self.all(name)
        return found[-1] if found else None

    @property
    def value(self) -> str:
        """The arguments in one text."""
        return " ".join(self.args)


def parse(file: str, text: str) -> list[Directive]:  # noqa: PLR0912  # one pass over tokens, a case each
    """The directives of a file, in their order.

    Raises:
        BadFile: it is not nginx's syntax; with the line.
    """
    top: list[Directive] = []
    open_: list[tuple[Directive, list[Directive]]] = []
    words: list[str] = []
    here, began, past = top, 0, 0
    lines = _Lines(text)
    for found in _TOKEN.finditer(text):
        token = found[0]
        mark = token[0]
        if mark == "#" or found.start() < past:
            continue
        if mark in ";{}" and len(token) == 1:
            if mark == "}":
                if words:
                    raise BadFile(file, f"'{words[0]}' has no semicolon", line=lines.at(began))
                if not open_:
                    raise BadFile(
                        file, "a brace is closed that was never opened", line=lines.at(found.start())
                    )
                _, here = open_.pop()
                continue
            if not words:
                if mark == ";":
                    continue  # nginx refuses it, and it means nothing
                raise BadFile(file, "a block has no name", line=lines.at(found.start()))
            directive = Directive(words[0], words[1:], file, lines.at(began))
            here.append(directive)
            words = []
            if mark == "{":
                if _BARE_BLOCK.search(directive.name):
                    past = _past_code(file, text, found.end(), directive.line)
                    continue
                directive.block = []
                open_.append((directive, here))
                if len(open_) > _MOST_DEPTH:
                    raise BadFile(file, "it is nested too deeply to be a configuration", line=directive.line)
                here = directive.block
            continue
        if not words:
            began = found.start()
        if mark in "\"'":
            if len(token) == 1:
                raise BadFile(file, "a quotation is not closed", line=lines.at(found.start()))
            token = _ESCAPED.sub(r"\1", token[1:-1]) if "\\" in token else token[1:-1]
        words.append(token)
    if words:
        raise BadFile(file, f"'{words[0]}' has no semicolon", line=lines.at(began))
    if open_:
        directive, _ = open_[-1]
        raise BadFile(file, f"the block of '{directive.name}' is not closed", line=directive.line)
    return top


class _Lines:
    """The line of an offset; asked in their order."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1

    def at(self, offset: int) -> int:
        """The line of this character."""
        if offset < self._at:
            return self._text.count("\n", 0, offset) + 1
        self._line += self._text.count("\n", self._at, offset)
        self._at = offset
        return self._line


def _past_code(file: str, text: str, at: int, line: int) -> int:
    """Behind a block of another language, whose braces balance."""
    depth = 1
    for found in _CODE.finditer(text, at):
        depth += {"{": 1, "}": -1}.get(found[0], 0)
        if not depth:
            return found.end()
    raise BadFile(file, "a block of code is not closed", line=line)


def inserted(text: str, line: int, written: str) -> str | None:
    """The text with a directive more in the block that opens on a line; None where none opens there."""
    lines = text.splitlines(keepends=True)
    if not 0 < line <= len(lines) or "{" not in lines[line - 1]:
        return None
    head, brace, rest = lines[line - 1].partition("{")
    if rest.strip() and not rest.strip().startswith("#"):
        return "".join([*lines[: line - 1], f"{head}{brace} {written}{rest}", *lines[line:]])
    follows = lines[line] if line < len(lines) else ""
    outer = len(head) - len(head.lstrip())
    indent = (
        follows[: len(follows) - len(follows.lstrip())]
        if follows.strip() not in {"", "}"}
        else " " * (outer + 4)
    )
    ending = "\r\n" if rest.endswith("\r\n") else "\n"
    return "".join([*lines[:line], f"{indent}{written}{ending}", *lines[line:]])
