"""Generation times and silences out of the ledger: the upstream works on for nobody, so it knows them whole.

A generation that never finished is censored: it took at least as long as the run saw of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from harness.trace.records import Attempt

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
class Sample:
    """Durations seen to their end, and those of which only a lower bound is known."""

    seen_s: tuple[float, ...]
    censored_s: tuple[float, ...] = ()

    def __len__(self) -> int:
        return len(self.seen_s) + len(self.censored_s)

    def curve(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Durations and the share done by then; Kaplan and Meier's estimate where something is censored."""
        if not self.censored_s:
            values, counts = np.unique(np.asarray(self.seen_s, dtype=float), return_counts=True)
            return values, np.cumsum(counts) / max(1, len(self.seen_s))
        # A second of imports that most runs can save; scipy ships no types.
        from scipy.stats import CensoredData, ecdf  # type: ignore[import-untyped]  # noqa: PLC0415

        estimate = ecdf(CensoredData(uncensored=self.seen_s, right=self.censored_s)).cdf
        return np.asarray(estimate.quantiles, dtype=float), np.asarray(estimate.probabilities, dtype=float)

    def beyond(self, limit_s: float) -> float | None:
        """The share that takes longer than a limit; None where the sample does not reach that far."""
        if not len(self) or (self.censored_s and not self.seen_s):
            return None
        durations_s, done = self.curve()
        before = int(np.searchsorted(durations_s, limit_s, side="right"))
        return 1.0 - (float(done[before - 1]) if before else 0.0)

    def quantile(self, share: float) -> float | None:
        """The duration by which this share is done; None where so many were never seen to finish."""
        if not self.seen_s:
            return None
        durations_s, done = self.curve()
        at = int(np.searchsorted(done, share - 1e-9))
        return float(durations_s[at]) if at < len(durations_s) else None


@dataclass(frozen=True, slots=True)
class Silences:
    """How long streams were silent: before their first event, and the longest time between two events."""

    modes: tuple[str, ...]
    waits: Sample
    longest_gaps: Sample


def last_instant_s(ledger: Iterable[dict[str, Any]], attempts: Iterable[Attempt]) -> float:
    """The last instant anybody wrote down: until then a generation that never finished was seen to run."""
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
        emissions = emissions_s(row)
        waits.append(emissions[0] - float(row["started_s"]))
        if len(emissions) > 1:
            gaps.append(max(later - earlier for earlier, later in pairwise(emissions)))
    named = dict.fromkeys(modes.get(str(row.get("trace_id")), "") for row in streamed)
    return Silences(tuple(mode for mode in named if mode), Sample(tuple(waits)), Sample(tuple(gaps)))


def emissions_s(row: dict[str, Any]) -> list[float]:
    """When each event of a stream was, or would have been, sent."""
    emissions = sorted(float(at_s) for at_s in row.get("partials_s") or ())
    first = row.get("first_byte_s")
    if first is not None and emissions and float(first) < emissions[0]:
        emissions.insert(0, float(first))
    finished = row.get("finished_s")
    return [*emissions, float(finished)] if finished is not None else emissions
