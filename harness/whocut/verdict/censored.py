"""Durations of which some were never seen to their end: counted apart, and estimated after Kaplan and Meier.

An attempt that was cut at 60 s says that its image would have taken longer than 60 s. Left out, only the quick
ones remain; counted as 60 s, the slow ones look quick. The estimate is exact where a limit falls on all alike
(`first_byte`, `total`); a stream's `idle` limit picks the slow ones, and then the true times are longer still.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from whocut.trace.records import Outcome, Part
from whocut.verdict.figures import ImageTime
from whocut.words import format_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whocut.trace.records import Attempt


@dataclass(frozen=True, slots=True)
class Sample:
    """Durations seen to their end, and those of which only a lower bound is known."""

    seen_s: tuple[float, ...]
    censored_s: tuple[float, ...] = ()

    def __len__(self) -> int:
        return len(self.seen_s) + len(self.censored_s)

    def curve(self) -> tuple[list[float], list[float]]:
        """Durations and the share done by then; Kaplan and Meier's estimate where something is censored."""
        every_s = sorted((*self.seen_s, *self.censored_s))
        durations_s, done, going_on = [], [], 1.0
        for duration_s, count in sorted(Counter(self.seen_s).items()):
            # At risk is what was under way just before; what is censored at the same instant was.
            at_risk = len(every_s) - bisect_left(every_s, duration_s)
            going_on *= 1.0 - count / at_risk
            durations_s.append(duration_s)
            done.append(1.0 - going_on)
        return durations_s, done

    def beyond(self, limit_s: float) -> float | None:
        """The share that takes longer than a limit; None where the sample does not reach that far."""
        if not len(self) or (self.censored_s and not self.seen_s):
            return None
        durations_s, done = self.curve()
        before = bisect_right(durations_s, limit_s)
        return 1.0 - (done[before - 1] if before else 0.0)

    def quantile(self, share: float) -> float | None:
        """The duration by which this share is done; None where so many were never seen to finish."""
        if not self.seen_s:
            return None
        durations_s, done = self.curve()
        at = bisect_left(done, share - 1e-9)
        return durations_s[at] if at < len(durations_s) else None


def image_times(attempts: Sequence[Attempt]) -> Sample:
    """How long attempts took to their image; those that were ended before are censored, rejected ones left out.

    An attempt that was under way when the run ended lasted until the last instant that was written down.
    """
    last_s = max((attempt.ended_s or attempt.started_s for attempt in attempts), default=0.0)
    seen, censored = [], []
    # The image of a job takes from its submit on, and not from the poll that brings it.
    submitted_s = {attempt.request: attempt.started_s for attempt in attempts if attempt.part == Part.SUBMIT}
    for attempt in attempts:
        if attempt.part == Part.POLL and attempt.outcome is not Outcome.DELIVERED:
            continue
        began_s = submitted_s.get(attempt.request, attempt.started_s) if attempt.part else attempt.started_s
        took_s = (last_s if attempt.ended_s is None else attempt.ended_s) - began_s
        if attempt.outcome is Outcome.DELIVERED:
            seen.append(took_s)
        elif attempt.outcome.unknown or attempt.outcome is Outcome.CENSORED:
            censored.append(max(0.0, took_s))
    return Sample(tuple(seen), tuple(censored))


def image_time_figures(attempts: Sequence[Attempt]) -> ImageTime:
    """The estimate as the summary holds it; quantiles are None where too few were seen to their end."""
    times = image_times(attempts)
    p50, p95 = times.quantile(0.5), times.quantile(0.95)
    return ImageTime(
        seen=len(times.seen_s),
        censored=len(times.censored_s),
        p50_s=None if p50 is None else round(p50, 3),
        p95_s=None if p95 is None else round(p95, 3),
        sentence=sentence_of(times, p50, streamed=_cut_in_a_stream(attempts)),
    )


def _cut_in_a_stream(attempts: Sequence[Attempt]) -> bool:
    """Whether a limit picked the slow ones: then the estimate is a lower bound."""
    return any(attempt.outcome.unknown and len(attempt.arrivals_s) > 0 for attempt in attempts)


def sentence_of(times: Sample, p50_s: float | None, *, streamed: bool) -> str:
    """Nothing where every image came: then the percentiles of what came are the truth."""
    if not times.censored_s or not times.seen_s:
        return ""
    bound_s = max(times.censored_s) if p50_s is None else p50_s
    # Where no cut came in a stream, an estimate is one, and the longest wait was really exceeded.
    how = "at least " if streamed else "more than " if p50_s is None else ""
    known = f"{how}{format_duration(round(bound_s, 1))}"
    seen = (
        "1 attempt seen to its" if len(times.seen_s) == 1 else f"{len(times.seen_s)} attempts seen to their"
    )
    return (
        f"Without any cut, the median attempt would take {known} to its image (Kaplan–Meier, {seen} image, "
        f"{len(times.censored_s)} cut before)."
    )
