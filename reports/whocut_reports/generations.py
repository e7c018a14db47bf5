"""Generation times and silences out of the ledger: the upstream works on after a cut, so it knows them whole.

A generation that never finished is censored: it took at least as long as the run saw of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from whocut.trace.emissions import Emissions
from whocut.verdict.censored import Sample

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from whocut.trace.records import Attempt

_INSTANTS = (
    "accepted_s",
    "started_s",
    "first_byte_s",
    "finished_s",
    "sent_s",
    "delivered_s",
    "caller_gone_s",
)


@dataclass(frozen=True, slots=True)
class Silences:
    """How long streams were silent: before their first event, and the longest time between two events."""

    modes: tuple[str, ...]
    waits: Sample
    longest_gaps: Sample


def last_instant_s(ledger: Iterable[dict[str, Any]], attempts: Iterable[Attempt]) -> float:
    """The last instant that was written down: until then a generation that never finished was seen to run."""
    instants = [float(row[name]) for row in ledger for name in _INSTANTS if row.get(name) is not None]
    for attempt in attempts:
        instants += [attempt.started_s, attempt.ended_s or attempt.started_s]
    return max(instants, default=0.0)


def durations(ledger: Sequence[dict[str, Any]], end_s: float) -> Sample:
    """How long every generation took, orphaned ones as well; refusals never began."""
    seen, censored = [], []
    for row in ledger:
        if row.get("started_s") is None or row.get("state") == "refused":
            continue
        started_s, finished_s = float(row["started_s"]), row.get("finished_s")
        if finished_s is not None:
            seen.append(float(finished_s) - started_s)
        else:
            censored.append(max(0.0, end_s - started_s))
    return Sample(tuple(seen), tuple(censored))


def silences(ledger: Sequence[dict[str, Any]], attempts: Iterable[Attempt]) -> Silences | None:
    """The silences of every generation that was streamed; None where none was."""
    modes = {attempt.trace_id: attempt.mode for attempt in attempts}
    streamed = [row for row in ledger if row.get("partials_s") and row.get("started_s") is not None]
    if not streamed:
        return None
    waits, gaps = [], []
    for row in streamed:
        sent = Emissions.of_row(row)
        if sent.wait_s is not None:
            waits.append(sent.wait_s)
        if sent.longest_gap_s is not None:
            gaps.append(sent.longest_gap_s)
    named = dict.fromkeys(modes.get(str(row.get("trace_id")), "") for row in streamed)
    return Silences(tuple(mode for mode in named if mode), Sample(tuple(waits)), Sample(tuple(gaps)))
