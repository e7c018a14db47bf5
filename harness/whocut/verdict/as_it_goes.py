"""The verdicts of a run while it lasts: each request is judged once, when it has ended, by the final judgement.

A request has ended when its caller has, no generation behind it runs any more, and every layer has written its
span. It has also ended when nothing was written of it for a while. What comes later still is judged anew, as long
as the request is among the last ones; so memory stays that of what is under way. Pure: records in, figures out.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from whocut.trace.records import (
    AttemptRecord,
    DeathRecord,
    GenerationRecord,
    LayerRecord,
    RequestRecord,
    TapSide,
)
from whocut.verdict.agreement import hold_against_ledger
from whocut.verdict.attribution import Attribution, attribute_all
from whocut.verdict.ledger_totals import LedgerTotals, charged
from whocut.verdict.retry_audit import audit_retries
from whocut.verdict.summary import counts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from whocut.chain.layers import Topology
    from whocut.trace.records import Attempt, Span
    from whocut.verdict.figures import Books, Counts, CutFigures

# How long nothing may have been written of a request before a layer that never will is waited for no longer.
QUIET_REAL_S: Final = 1.5
# So many requests that were judged stay open to a late word; and so many traces that no caller has claimed yet.
_KEPT: Final = 256
_UNCLAIMED: Final = 10_000


@dataclass(slots=True)
class SeenRequest:
    """All that was written of one request, what was last said of it, and what of that was counted."""

    heard_s: float = 0.0
    attempts: dict[str, Attempt] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)
    ledger: dict[str, dict[str, Any]] = field(default_factory=dict)
    attribution: Attribution = field(default_factory=Attribution)
    counted: _Counted | None = None

    def over(self, layers: int) -> bool | None:
        """Whether it has ended; None where only time can tell."""
        # A real gateway is seen by two taps; the outer one represents it.
        kinds = Counter(
            type(span)
            for span in self.spans
            if not (isinstance(span, LayerRecord) and span.tap is TapSide.INSIDE)
        )
        tries = len(self.attempts)
        if not tries or any(attempt.ended_s is None for attempt in self.attempts.values()):
            return False
        begun = [row for row in self.ledger.values() if row.get("started_s") is not None]
        if any(row["state"] == "running" for row in begun):
            return False
        whole = kinds[RequestRecord] and kinds[AttemptRecord] >= tries
        if whole and kinds[LayerRecord] >= tries * layers and kinds[GenerationRecord] >= len(begun):
            return True
        return None

    def judge(self, topology: Topology, deaths: Sequence[Span], *, has_ledger: bool) -> None:
        """Say who cut, by the very functions that judge a whole run; `deaths` are those of layers."""
        attempts, ledger = list(self.attempts.values()), list(self.ledger.values())
        self.attribution = attribute_all(attempts, [*self.spans, *deaths], topology)
        verdicts = self.attribution.verdicts
        audit = audit_retries(attempts, verdicts)
        self.counted = _Counted(
            counts=counts(attempts, verdicts),
            disagree=len(hold_against_ledger(verdicts, ledger).disagree) if has_ledger else 0,
            charged_usd=sum(attempt.charged_usd or 0 for attempt in attempts),
            started=sum(row.get("started_s") is not None for row in ledger),
            retries=len(audit.retries),
            after_unknown=len(audit.blind),
            after_unknown_usd=sum(retry.billed_usd for retry in audit.blind),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counted:
    """What was counted of one request."""

    counts: Counts
    disagree: int
    charged_usd: float
    started: int
    retries: int
    after_unknown: int
    after_unknown_usd: float


class AsItGoes:
    """Takes what is written of a run, in any order, and tells its state so far. Instants are real seconds."""

    def __init__(self, topology: Topology, *, has_ledger: bool = True) -> None:
        self._topology = topology
        self._has_ledger = has_ledger
        self._open: OrderedDict[str, SeenRequest] = OrderedDict()
        self._kept: OrderedDict[str, SeenRequest] = OrderedDict()
        self._begun = 0
        self._tally = _Tally()
        self._ledger = LedgerTotals()
        self._running: dict[str, dict[str, Any]] = {}
        self._deaths: list[Span] = []
        self._late = 0
        self.last: SeenRequest | None = None

    def take(
        self,
        attempts: Iterable[Attempt],
        spans: Iterable[Span],
        ledger: Iterable[Mapping[str, Any]],
        now_s: float,
    ) -> None:
        """Take in what is new, and judge what has ended."""
        touched: dict[str, SeenRequest] = {}
        for attempt in attempts:
            request = touched[attempt.trace_id] = self._of(attempt.trace_id, now_s)
            self._begun += not request.attempts
            request.attempts[attempt.span_id] = attempt
        for span in spans:
            if isinstance(span, DeathRecord):
                self._deaths.append(span)
                touched |= (
                    self._kept
                )  # a request that it took down may have been judged before it was noticed
                continue
            request = touched[span.trace_id] = self._of(span.trace_id, now_s)
            request.spans.append(span)
        for row in ledger:
            self._enter(row)
            if row.get("trace_id"):
                request = touched[row["trace_id"]] = self._of(row["trace_id"], now_s)
                request.ledger[row["generation"]] = dict(row)
        layers = len(self._topology.standing) + len(self._topology.taps)
        for trace_id, request in touched.items():
            if request.counted or request.over(layers):
                self._judge(trace_id, request)
        self._judge_the_quiet(now_s - QUIET_REAL_S, layers)

    def finish(self) -> None:
        """Nothing more will come: judge all that is left."""
        for trace_id, request in list(self._open.items()):
            if request.attempts:
                self._judge(trace_id, request)

    def _of(self, trace_id: str, now_s: float) -> SeenRequest:
        """The request of this trace, moved behind all that were heard of before."""
        request = self._open.pop(trace_id, None) or self._kept.get(trace_id)
        if request is None:
            request = SeenRequest()
            if len(self._open) >= _UNCLAIMED:
                self._forget_an_unclaimed()
        request.heard_s = now_s
        if not request.counted:
            self._open[trace_id] = request
        return request

    def _forget_an_unclaimed(self) -> None:
        oldest = next((trace for trace, request in self._open.items() if not request.attempts), None)
        if oldest is not None:
            del self._open[oldest]
            self._late += 1

    def _enter(self, row: Mapping[str, Any]) -> None:
        if row["state"] == "running":
            self._running[row["generation"]] = dict(row)
        else:
            self._running.pop(row["generation"], None)
            self._ledger.add(row)

    def _judge_the_quiet(self, until_s: float, layers: int) -> None:
        for trace_id, request in list(self._open.items()):
            if request.heard_s > until_s:
                return
            if request.over(layers) is None:
                self._judge(trace_id, request)

    def _judge(self, trace_id: str, request: SeenRequest) -> None:
        if request.counted is not None:
            self._tally.count(request.counted, -1)
        request.judge(self._topology, self._deaths, has_ledger=self._has_ledger)
        if request.counted is not None:
            self._tally.count(request.counted, 1)
        self._open.pop(trace_id, None)
        self._kept[trace_id] = request
        self._kept.move_to_end(trace_id)
        self.last = request
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)

    def figures(self) -> dict[str, Any]:
        """The state so far: what was judged, under the names of ``summary.json``, and what is still under way.

        Without a ledger the bill is the spend guard's.
        """
        tally = self._tally
        return {
            "begun": self._begun,
            "under_way": self._begun - tally.requests,
            "generations_running": len(self._running),
            "late": self._late,
            **tally.figures(),
            "ledger": self._books() if self._has_ledger else charged(tally.charged_usd, tally.delivered),
        }

    def _books(self) -> Books:
        totals = replace(self._ledger)
        for row in self._running.values():
            totals.add(row)
        started, requests = self._tally.started, self._tally.requests
        # Of requests that are over: one under way may ask again.
        share = round(started / requests, 4) if requests else None
        return replace(totals.figures(requests), generations_per_request=share)


class _Tally:
    """Counts of single requests, added up; they can be taken back, where one is judged anew."""

    def __init__(self) -> None:
        self.requests = self.attempts = self.censored = self.refused_429 = self.unattributed = 0
        self.disagree = self.started = self.retries = self.after_unknown = 0
        self.charged_usd = self.after_unknown_usd = 0.0
        self._outcomes: Counter[str] = Counter()
        self._attempt_outcomes: Counter[str] = Counter()
        self._rejected_as: Counter[str] = Counter()
        self._cuts: dict[CutFigures, CutFigures] = {}

    @property
    def delivered(self) -> int:
        """Requests whose image came."""
        return self._outcomes["delivered"]

    def count(self, counted: _Counted, sign: int) -> None:
        """Add one request's counts, or take them back."""
        for name in _ADDED:
            setattr(self, name, getattr(self, name) + sign * getattr(counted, name))
        counts = counted.counts
        for name in _ADDED_COUNTS:
            setattr(self, name, getattr(self, name) + sign * getattr(counts, name))
        for tally, one in (
            (self._outcomes, counts.outcomes),
            (self._attempt_outcomes, counts.attempt_outcomes),
            (self._rejected_as, counts.rejected_as),
        ):
            for key, number in one.items():
                tally[key] += sign * number
        for cut in counts.verdicts:
            self._count_cut(cut, sign)

    def _count_cut(self, cut: CutFigures, sign: int) -> None:
        # Medians do not add up, and the phrase is an example's.
        alike = replace(cut, attempts=0, contradictions=0, after_s=None, phrase="")
        known = self._cuts.get(alike, alike)
        attempts = known.attempts + sign * cut.attempts
        if not attempts:
            self._cuts.pop(alike, None)
            return
        self._cuts[alike] = replace(
            known,
            attempts=attempts,
            contradictions=known.contradictions + sign * cut.contradictions,
            phrase=cut.phrase,
        )

    def figures(self) -> dict[str, Any]:
        """The sums under the names of ``summary.json``."""
        return {
            "requests": self.requests,
            "attempts": self.attempts,
            "censored": self.censored,
            "refused_429": self.refused_429,
            "outcomes": _commonest(self._outcomes),
            "attempt_outcomes": _commonest(self._attempt_outcomes),
            "rejected_as": _commonest(self._rejected_as),
            "delivered_share": self.delivered / self.requests if self.requests else None,
            "share_429": self.refused_429 / self.attempts if self.attempts else None,
            "verdicts": sorted(self._cuts.values(), key=lambda cut: -cut.attempts),
            "unattributed": self.unattributed,
            "disagree": self.disagree,
            "retries": {
                "retries": self.retries,
                "after_unknown": self.after_unknown,
                "after_unknown_usd": round(self.after_unknown_usd, 6),
            },
        }


_ADDED: Final = ("disagree", "charged_usd", "started", "retries", "after_unknown", "after_unknown_usd")
_ADDED_COUNTS: Final = ("requests", "attempts", "censored", "refused_429", "unattributed")


def _commonest(tally: Counter[str]) -> dict[str, int]:
    return {key: number for key, number in tally.most_common() if number}
