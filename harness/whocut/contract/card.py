"""The score card: every check with what came of it, for a terminal, a page, a CI server and a program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from rich.text import Text

from whocut.contract.judgement import Ruling
from whocut.trace.junit import Case, junit

if TYPE_CHECKING:
    from rich.console import Console

    from whocut.contract.check import Check


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One check and what came of it.

    `at_least`: its attempts are so many or more, for the client had not ended when the watch was over; `watched_s`
    is how long it was watched from its first attempt on, in the client's seconds; `shortened`: its waits passed in
    less than that. `attempts`, the `waits_s` between them and what all of it cost are as they were seen; None where
    nothing was played. `unreached`: it was played, and no request for an image reached the upstream.
    """

    id: str
    sentence: str
    obligatory: bool
    reason: str
    source: str
    ruling: Ruling
    why: str
    evidence: tuple[str, ...] = ()
    at_least: int | None = None
    attempts: int | None = None
    waits_s: tuple[float, ...] | None = None
    billed_usd: float | None = None
    watched_s: float | None = None
    shortened: bool = False
    unreached: bool = False
    allowed: str | None = None

    @classmethod
    def of(cls, check: Check, **came: Any) -> Self:
        """A check with what came of it."""
        return cls(
            id=check.id,
            sentence=check.sentence,
            obligatory=check.obligatory,
            reason=check.reason,
            source=check.source,
            **came,
        )

    @property
    def counts(self) -> bool:
        """Whether it breaks the contract: obligatory, broken, and not allowed."""
        return self.ruling is Ruling.BROKEN and self.obligatory and self.allowed is None

    @property
    def mark(self) -> str:
        """What came of it, in a word."""
        if self.ruling is not Ruling.BROKEN:
            return "kept" if self.ruling is Ruling.KEPT else "not tried"
        return "allowed" if self.allowed is not None else "broken" if self.obligatory else "missing"


_STYLES = {
    "kept": "green",
    "broken": "bold red",
    "missing": "yellow",
    "allowed": "yellow",
    "not tried": "bright_black",
}


@dataclass(frozen=True, slots=True)
class Card:
    """All results of one client."""

    target: str
    results: tuple[Result, ...]

    @property
    def broken(self) -> list[Result]:
        """The obligatory checks that are broken and not allowed."""
        return [result for result in self.results if result.counts]

    @property
    def unreached(self) -> str | None:
        """Why there is nothing to say of this client: no request of it ever reached the upstream; else None."""
        played = [result for result in self.results if result.unreached or result.watched_s is not None]
        return played[0].why if played and all(result.unreached for result in played) else None

    def count(self, mark: str) -> int:
        """How many came out so."""
        return sum(result.mark == mark for result in self.results)

    @property
    def line(self) -> str:
        """The card in one line."""
        parts = [f"{self.count(mark)} {mark}" for mark in _STYLES if self.count(mark)]
        return f"{self.target}: {', '.join(parts)}"

    def as_json(self) -> dict[str, Any]:
        """For a program."""
        return {
            "target": self.target,
            "checks": [
                {
                    "id": result.id,
                    "sentence": result.sentence,
                    "obligatory": result.obligatory,
                    "result": str(result.ruling),
                    "why": result.why,
                    **({"at_least": result.at_least} if result.at_least is not None else {}),
                    "attempts": result.attempts,
                    "waits_s": None if result.waits_s is None else list(result.waits_s),
                    "billed_usd": result.billed_usd,
                    "watched_s": result.watched_s,
                    "shortened": result.shortened,
                    "evidence": list(result.evidence),
                    "reason": result.reason,
                    "source": result.source,
                    "allowed": result.allowed,
                }
                for result in self.results
            ],
            **{
                str(ruling): [result.id for result in self.results if result.ruling is ruling]
                for ruling in Ruling
            },
            "failing": [result.id for result in self.broken],
            "sentence": self.line,
        }

    def markdown(self) -> str:
        """For a page: one row a check."""
        rows = ["| check | | what it did |", "|---|---|---|"]
        for result in self.results:
            sentence = result.sentence + ("" if result.obligatory else " *(advice)*")
            why = f"{result.why} (allowed: {result.allowed})" if result.allowed else result.why
            rows.append(f"| `{result.id}` {_cell(sentence)} | **{result.mark}** | {_cell(why)} |")
        return "\n".join([f"## {self.target}", "", self.line.partition(": ")[2] + ".", "", *rows, ""])

    def junit(self) -> bytes:
        """For a CI server: a broken check of advice is skipped there, with its reason."""
        return junit(
            f"whocut policy {self.target}", "whocut.policy", [_case(result) for result in self.results]
        )


def _case(result: Result) -> Case:
    if result.counts:
        return Case(
            result.id,
            failure=f"{result.sentence}: {result.why}",
            details=(*result.evidence, f"because {result.reason}", f"source: {result.source}"),
        )
    skipped = None if result.ruling is Ruling.KEPT else f"{result.mark}: {result.allowed or result.why}"
    return Case(result.id, skipped=skipped)


def print_result(console: Console, result: Result) -> None:
    """One check in a terminal: a line, and for a broken one what it did and why that matters."""
    mark = Text(result.mark.ljust(10), style=_STYLES[result.mark])
    console.print(mark + Text(result.sentence) + Text(f"  {result.id}", style="bright_black"), soft_wrap=True)
    if result.ruling is Ruling.BROKEN:
        console.print(Text(f"          {result.why}; {result.reason}", style=""), soft_wrap=True)
        for line in result.evidence[:4]:
            console.print(Text(f"          · {line}", style="bright_black"), soft_wrap=True)
        if result.allowed:
            console.print(Text(f"          allowed: {result.allowed}", style="yellow"), soft_wrap=True)
    elif result.ruling is Ruling.NOT_TRIED:
        console.print(Text(f"          {result.why}", style="bright_black"), soft_wrap=True)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
