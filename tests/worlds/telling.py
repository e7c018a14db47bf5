"""What a long look at worlds says to its reader: how far it is, and what came of it. One for all kinds."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator

_MOST: Final = 20  # of each kind of mistake


class Seen(Protocol):
    """What was seen in worlds; a mistake is a sentence with its place."""

    grades: dict[str, Counter[str]]
    wrong: list[str]
    misled: list[str]
    wrong_proven: list[str]
    disagreements: list[str]


def told(seen: Seen) -> Iterator[str]:
    """The grades for each way of withholding spans, the mistakes, and how many they are; a line each."""
    for way, counts in seen.grades.items():
        yield f"{way:>14}: {dict(counts.most_common())}"
    for what in (*seen.wrong_proven[:_MOST], *seen.wrong[:_MOST], *seen.disagreements[:_MOST]):
        yield f"wrong: {what}"
    yield (
        f"{len(seen.wrong_proven)} wrong proven, {len(seen.wrong)} wrong where all layers report, "
        f"{len(seen.misled)} misled where some are silent, "
        f"{len(seen.disagreements)} disagreements with the ledger"
    )


def counting(what: str) -> Callable[[int], None]:
    """Says how many of these are done, on one line of a terminal."""

    def said(done: int) -> None:
        sys.stderr.write(f"\r{done} {what}")
        sys.stderr.flush()

    return said
