"""One request explained: `whocut why` reads a run directory, picks a request, and draws it with its verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from whocut.chain.plain import topology_of
from whocut.errors import BadInput, nearest
from whocut.show.run import say_if_invalid
from whocut.trace.rundir import RunDir
from whocut.verdict.figures import doubts_of
from whocut.verdict.of_run import judge_run
from whocut.verdict.pick import RULES, Pick, pick_request
from whocut.waterfall.rows import Waterfall, waterfall
from whocut.waterfall.terminal import render

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console


@dataclass(frozen=True, slots=True)
class Explained:
    """A request, its rows and verdicts, and why it was this one."""

    waterfall: Waterfall
    chosen: str
    warnings: tuple[str, ...] = ()  # of the run: why it is not valid

    def as_json(self) -> dict[str, Any]:
        """The same for machines: one verdict an attempt, with its evidence."""
        return {
            "request": self.waterfall.request,
            "mode": self.waterfall.mode,
            "outcome": self.waterfall.outcome,
            "chosen": self.chosen,
            "warnings": list(self.warnings),
            "verdicts": [verdict.as_json() for verdict in self.waterfall.verdicts],
        }


def explain(path: Path, request: str | None, pick: str) -> Explained:
    """Explain one request of a run: the one named, or the one a rule picks.

    Raises:
        BadInput: no such run, request or rule, or no request fits the rule.
    """
    if pick not in list(Pick):
        raise BadInput(
            f"there is no '{pick}'{nearest(pick, Pick)}; there are {', '.join(Pick)}", field="pick"
        )
    run = RunDir.open(path)
    judged = judge_run(run, topology_of(run.manifest))
    attempts = run.attempts()
    known = {attempt.request for attempt in attempts}
    if request is not None:
        if request not in known:
            raise BadInput(
                f"there is no request '{request}' in {path}{nearest(request, known)}; it has {len(known)}"
            )
        chosen = "asked for by name"
    else:
        picked = pick_request(judged.verdicts, attempts, pick=Pick(pick))
        if picked is None:
            raise BadInput(f"no request in {path} fits --pick {pick}: {RULES[Pick(pick)]}")
        request, chosen = picked.request, picked.rule
    return Explained(waterfall(request, judged.attribution, attempts), chosen, doubts_of(run))


def show_why(explained: Explained, console: Console) -> None:
    """Draw it; above it, that its run is not valid."""
    say_if_invalid(console, explained.warnings)
    render(explained.waterfall, console)
    console.print(f"\nthis request: {explained.chosen}", style="dim", highlight=False)
