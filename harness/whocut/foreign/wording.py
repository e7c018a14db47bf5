"""Verdicts of one kind, and lines that gave none, in the words that a terminal shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from whocut.verdict.verdict import Verdict


def in_words(example: Verdict, count: int, of: int, against: Iterable[str]) -> list[str]:
    """Verdicts of one kind: how many there are, one of them, what it rests on, and what speaks against it."""
    words = [f"{count:>6} of {of}: {example.phrase}"]
    words += [f"{'':>10}{fact.witness} {fact.fact}" for fact in example.evidence[:4]]
    words += [f"{'':>10}against it: {found}" for found in list(against)[:2]]
    return words


def unread_in_words(
    unreadable: int, named: list[str], passed: int, passed_named: list[str], unjoined: int, like: list[str]
) -> list[str]:
    """The lines that gave no verdict, and why; the first few of each by name."""
    words = []
    for count, why, examples in (
        (unreadable, "lines could not be read:", named),
        (passed, "lines tell of no request, like", passed_named),
        (unjoined, "lines could not be joined to a request, like", like),
    ):
        if count:
            words += ["", f"{count} {why}", *(f"  {name}" for name in examples)]
    return words
