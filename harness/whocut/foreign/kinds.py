"""What comes of many lines: verdicts by their kind, an example of each, and how the reading went."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from whocut.trace.logs.reading import Read

if TYPE_CHECKING:
    from pathlib import Path

    from whocut.trace.logs.records import Account, LogFormat
    from whocut.verdict.verdict import Verdict


@dataclass(frozen=True, slots=True)
class LogOfLayer:
    """One file, its format, and its layer's name and place in the chain."""

    path: Path
    format: LogFormat
    layer: str
    position: int


@dataclass(slots=True)
class Kinds:
    """All verdicts of one kind: an example, how many there are, and how long their requests had taken."""

    example: Verdict
    count: int
    waited_s: float


@dataclass(slots=True)
class Judged:
    """What came of the logs."""

    kinds: list[Kinds] = field(default_factory=list)
    read: Read = field(default_factory=Read)
    unjoined: list[Account] = field(default_factory=list)
    requests: int = 0
    alone: int = 0  # requests that no signature stood for


class Tally:
    """Verdicts, counted by their kind."""

    def __init__(self) -> None:
        """Begin with none."""
        self.by_kind: dict[tuple[str, ...], Kinds] = {}

    def count(self, verdict: Verdict, count: int, waited_s: float | None) -> None:
        """Count so many verdicts that are like this one."""
        found = self.by_kind.setdefault(sort_of(verdict), Kinds(verdict, 0, 0.0))
        found.count += count
        found.waited_s += waited_s or 0.0

    def into(self, result: Judged) -> Judged:
        """The result with these kinds, the commonest first."""
        result.kinds = sorted(self.by_kind.values(), key=lambda kind: -kind.count)
        result.requests = sum(kind.count for kind in result.kinds)
        return result


def sort_of(verdict: Verdict) -> tuple[str, ...]:
    """What is counted as one kind of verdict."""
    return (verdict.kind, verdict.layer or "", verdict.timer or "", verdict.phase or "", verdict.grade)


def meaning_of(account: Account) -> tuple[object, ...]:
    """What an account means without its instants and names."""
    return (
        account.layer,
        account.ended_by,
        account.phase,
        account.timer,
        account.directive,
        account.says,
        account.caveat,
        account.coarse_s,
        account.product,
        account.at_begin,
        account.anonymous,
    )
