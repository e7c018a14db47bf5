"""Docstrings and messages are plain English for an international reader.

The rules: the subject is a noun of the glossary, so no "nobody", "somebody", "whoever"; a thing is invalid, missing
or unknown, never "none"; plain verbs for "stands", "told", "goes on", "lets go", "in person"; short sentences.
`STILL_THERE` holds files that break a rule; it may only shrink.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[1]
PRODUCT: Final = ("harness", "mock_upstream", "reports", "scenarios")
# `User nobody` is a line of a product's configuration, `--stand` an option's name, `None` a value.
HARD: Final = re.compile(
    r"\b(?:(?<!User )nobody|somebody|anybody|whoever|whomever|whom|(?:is|are|was|were) (?-i:none)|none to be"
    r"|lets go|goes on|(?:is|was|are|were|been|be) told|(?<!--)stands?|stood|in person)\b",
    re.IGNORECASE,
)
MOST_WORDS: Final = 25
STILL_THERE: Final[frozenset[str]] = frozenset(
    [
        "harness/whocut/foreign/between.py",
        "harness/whocut/verdict/attribute.py",
        "harness/whocut/verdict/testimony.py",
    ]
)
FILES: Final = tuple(
    sorted(str(path.relative_to(ROOT)) for root in PRODUCT for path in (ROOT / root).rglob("*.py"))
)


def texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every piece of prose with its line: docstrings, and strings of four words or more."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value.split()) >= 4:
            yield node.lineno, node.value


def docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Docstrings with the lines of what they describe."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield getattr(node, "lineno", 1), text


def sentences(text: str) -> Iterator[str]:
    """The sentences of a docstring; a table, a code block or a list item ends one."""
    for paragraph in re.split(r"\n\s*\n", text):
        if not re.search(r"^(?:    |::|[=|+*-])|::$", paragraph, re.MULTILINE):
            yield from re.split(r"(?<=[.:;!?])\s+", paragraph.replace("\n", " "))


@pytest.mark.parametrize("file", FILES)
def test_file_is_plain_english(file: str) -> None:
    """No hard word in prose, and no sentence of a docstring that a reader loses."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))

    hard = [
        f"{file}:{line}: {found.group()!r}" for line, text in texts(tree) for found in HARD.finditer(text)
    ]
    long = [
        f"{file}:{line}: {len(sentence.split())} words: {sentence[:60]}…"
        for line, text in docstrings(tree)
        for sentence in sentences(text)
        if len(sentence.split()) > MOST_WORDS
    ]

    if file in STILL_THERE:
        assert hard or long, f"{file} is plain now: take it out of STILL_THERE"
        return
    assert not hard + long, "\n".join(hard + long)
