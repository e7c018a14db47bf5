"""What the retries of a run did: paid twice, waited or not, came all at once. Pure: attempts in, findings out.

A retry after an unknown outcome is a finding whatever came of it: the work behind the first attempt may still be
going on, and is billed with or without a caller to take it. Waits are counted from the end of one attempt to the
beginning of the next, on the client's own account.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from whocut.chain.money import format_dollars
from whocut.chain.refusals import NEVER_AGAIN, NEVER_STATUS, unknown_page
from whocut.trace.records import NO_IMAGE, Attempt, Outcome, Part
from whocut.trace.requests import by_request
from whocut.verdict.figures import RetryFigures
from whocut.words import rounded_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from whocut.verdict.verdict import Verdict

# A wait that is short by less than this was kept: clocks and event loops are not better.
WAIT_TOLERANCE_S: Final = 0.01
# So many retries of different requests within so short a time are a storm: nothing spread them.
STORM_RETRIES: Final = 5
STORM_WITHIN_S: Final = 1.0


_EXAMPLES = 20  # of each kind in a summary: a large run has tens of thousands of one and the same


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedRetry:
    """An attempt that followed another one of the same request, and what it followed."""

    request: str
    attempt: int
    after: str  # the former attempt's end in words: ``gateway error 504``
    unknown: bool  # whether the former attempt's work may have been going on
    useless: bool  # whether the API had said that asking again is of no use
    waited_s: float
    asked_s: float | None  # what Retry-After asked for
    billed_usd: float  # what the former attempt cost, or will

    @property
    def short_by_s(self) -> float:
        """By how much Retry-After was broken; 0 where it was kept, or not asked for."""
        short_s = (self.asked_s or 0.0) - self.waited_s
        return short_s if short_s > WAIT_TOLERANCE_S else 0.0

    @property
    def sentence(self) -> str:
        """The finding in one sentence; empty where there is nothing to be found fault with."""
        waited = rounded_duration(self.waited_s, 2)
        who = f"{self.request} was asked again (attempt {self.attempt}) {waited} after {self.after}"
        if self.unknown:
            price = f" and costs {format_dollars(self.billed_usd)}" if self.billed_usd else ""
            return f"{who}: the generation behind it may still be running{price}"
        if self.useless:
            return f"{who}: the same request gets the same answer"
        if self.short_by_s:
            asked, early = rounded_duration(self.asked_s or 0.0, 2), rounded_duration(self.short_by_s, 2)
            return f"{who}: it was asked to wait {asked}, and came {early} early"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """Retries of many requests that came at once."""

    at_s: float
    within_s: float
    requests: int

    @property
    def sentence(self) -> str:
        """The finding in one sentence."""
        within = rounded_duration(self.within_s, 2)
        return f"{self.requests} requests were asked again within {within}: nothing spread them"


@dataclass(frozen=True, slots=True)
class Audit:
    """All retries of a run, and the storms among them."""

    retries: tuple[AuditedRetry, ...]
    storms: tuple[Storm, ...]

    @property
    def blind(self) -> tuple[AuditedRetry, ...]:
        """The retries after an unknown outcome."""
        return tuple(retry for retry in self.retries if retry.unknown)

    @property
    def broken_waits(self) -> tuple[AuditedRetry, ...]:
        """The retries that came before Retry-After allowed them."""
        return tuple(retry for retry in self.retries if retry.short_by_s)

    def figures(self) -> RetryFigures:
        """The audit for machines."""
        waits = sorted(retry.waited_s for retry in self.retries)
        return RetryFigures(
            retries=len(self.retries),
            after_unknown=len(self.blind),
            after_unknown_usd=round(sum(retry.billed_usd for retry in self.blind), 6),
            useless=sum(retry.useless for retry in self.retries),
            retry_after_broken=len(self.broken_waits),
            retry_after_short_by_s=round(max((r.short_by_s for r in self.broken_waits), default=0.0), 3),
            shortest_wait_s=round(waits[0], 3) if waits else None,
            longest_wait_s=round(waits[-1], 3) if waits else None,
            storms=len(self.storms),
            findings=len(self.sentences()),
            sentences=tuple(self.sentences(most=_EXAMPLES)),
        )

    def sentences(self, most: int | None = None) -> list[str]:
        """The findings, storms last; of each kind at most so many (None: all)."""
        found = [sentence for retry in self.retries if (sentence := retry.sentence)]
        return found[:most] + [storm.sentence for storm in self.storms[:most]]


def audit_retries(attempts: Iterable[Attempt], verdicts: Iterable[Verdict] = ()) -> Audit:
    """Audit a run; the verdicts tell what each attempt cost."""
    cost = {
        (verdict.request, verdict.attempt): verdict.behind.billed_usd
        for verdict in verdicts
        if verdict.behind
    }
    retries = []
    starts: list[tuple[float, str]] = []
    for tries in by_request(attempts).values():
        for former, again in itertools.pairwise(tries):
            if former.redirected or again.part not in {None, Part.SUBMIT} or former.part == Part.UPLOAD:
                continue
            retries.append(_retry(former, again, cost.get((former.request, former.number), 0.0)))
            starts.append((again.started_s, again.request))
    return Audit(tuple(retries), tuple(_storms(sorted(starts))))


def unknown(attempt: Attempt) -> bool:
    """Whether the work behind an attempt may have been done, or be going on, although no image came.

    An error inside a stream has a 200 before it, so that work had begun; and a client that left by itself cannot
    know.
    """
    if attempt.outcome is Outcome.REJECTED:
        return attempt.status == 200 and attempt.error not in NEVER_AGAIN
    if attempt.outcome is Outcome.GATEWAY_ERROR:
        return unknown_page(attempt.status)
    return attempt.outcome.unknown or attempt.outcome is Outcome.CENSORED


def useless(attempt: Attempt) -> bool:
    """Whether the API has said no in a way that asking again does not change."""
    if attempt.outcome is not Outcome.REJECTED:
        return False
    return attempt.error in NEVER_AGAIN or attempt.status in NEVER_STATUS


def ending(attempt: Attempt) -> str:
    """How an attempt ended, in words."""
    if attempt.outcome is Outcome.REJECTED:
        if attempt.error == NO_IMAGE:
            return "an answer without an image"
        if attempt.status == 200:
            return f"{attempt.error} in its stream"
        status, error = str(attempt.status), str(attempt.error)
        return error if error.startswith(status) else f"{status} {error}"  # without a code its type says it
    if attempt.outcome is Outcome.GATEWAY_ERROR:
        return f"a gateway's {attempt.status}"
    return _WORDS[attempt.outcome]


_WORDS: Final = {
    Outcome.DELIVERED: "its delivery",
    Outcome.TIMEOUT: "a timeout of its own",
    Outcome.RESET: "a reset",
    Outcome.TRUNCATED: "a response cut short",
    Outcome.REFUSED: "a refused connection",
    Outcome.CENSORED: "it had left by itself",
    Outcome.ACCEPTED: "a submit that was accepted",
}


def _retry(former: Attempt, again: Attempt, billed_usd: float) -> AuditedRetry:
    ended_s = former.ended_s if former.ended_s is not None else again.started_s
    return AuditedRetry(
        request=again.request,
        attempt=again.number,
        after=ending(former),
        unknown=unknown(former),
        useless=useless(former),
        waited_s=max(0.0, again.started_s - ended_s),
        asked_s=former.retry_after_s,
        billed_usd=billed_usd,
    )


def _storms(starts: Sequence[tuple[float, str]]) -> list[Storm]:
    """Windows, none overlapping another, in which retries of many requests begin."""
    storms = []
    first = 0
    while first < len(starts):
        last = first
        while last + 1 < len(starts) and starts[last + 1][0] - starts[first][0] <= STORM_WITHIN_S:
            last += 1
        requests = {request for _, request in starts[first : last + 1]}
        if len(requests) >= STORM_RETRIES:
            at_s = starts[first][0]
            storms.append(Storm(at_s=at_s, within_s=starts[last][0] - at_s, requests=len(requests)))
            first = last
        first += 1
    return storms
