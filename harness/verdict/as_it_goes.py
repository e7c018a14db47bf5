"""The verdicts of a run while it goes on: each request is judged once, when it has ended, by the final judgement.

A request has ended when its caller has, no generation behind it runs any more, and every layer has written its
span, or nobody has written anything for a while. What comes later still is judged anew, as long as the request is
among the last ones; so memory stays that of what is under way. Pure: records in, figures out.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from harness.trace.records import SpanKind
from harness.verdict.ledger_totals import LedgerTotals
from harness.verdict.summary import Judged, judge

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.chain.layers import Topology
    from harness.trace.records import Attempt, Span

# How long nobody may have written of a request before a layer that never will is waited for no longer.
QUIET_REAL_S: Final = 1.5
# So many requests that were judged stay open to a late word; and so many traces that no caller has claimed yet.
_KEPT: Final = 256
_UNCLAIMED: Final = 10_000


@dataclass(slots=True)
class _Request:
    """All that was written of one request, and what was last counted of it."""

    heard_s: float = 0.0
    attempts: dict[str, Attempt] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)
    ledger: dict[str, dict[str, Any]] = field(default_factory=dict)
    counted: Judged | None = None

    def over(self, layers: int) -> bool | None:
        """Whether it has ended; None where only time can tell."""
        kinds = Counter(span.kind for span in self.spans)
        tries = len(self.attempts)
        if not tries or any(attempt.ended_s is None for attempt in self.attempts.values()):
            return False
        begun = [row for row in self.ledger.values() if row.get("started_s") is not None]
        if any(row["state"] == "running" for row in begun):
            return False
        whole = kinds[SpanKind.REQUEST] and kinds[SpanKind.ATTEMPT] >= tries
        if whole and kinds[SpanKind.HOP] >= tries * layers and kinds[SpanKind.GENERATION] >= len(begun):
            return True
        return None


class AsItGoes:
    """Takes what is written of a run, in any order, and tells how it stands. Instants are real seconds."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._open: OrderedDict[str, _Request] = OrderedDict()
        self._kept: OrderedDict[str, _Request] = OrderedDict()
        self._begun = 0
        self._tally = _Tally()
        self._ledger = LedgerTotals()
        self._running: dict[str, dict[str, Any]] = {}
        self._late = 0
        self.last: Judged | None = None
        self.last_request: _Request | None = None

    def take(
        self,
        attempts: Iterable[Attempt],
        spans: Iterable[Span],
        ledger: Iterable[Mapping[str, Any]],
        now_s: float,
    ) -> None:
        """Take in what is new, and judge what has ended."""
        touched: dict[str, _Request] = {}
        for attempt in attempts:
            request = touched[attempt.trace_id] = self._of(attempt.trace_id, now_s)
            self._begun += not request.attempts
            request.attempts[attempt.span_id] = attempt
        for span in spans:
            request = touched[span.trace_id] = self._of(span.trace_id, now_s)
            request.spans.append(span)
        for row in ledger:
            self._enter(row)
            if row.get("trace_id"):
                request = touched[row["trace_id"]] = self._of(row["trace_id"], now_s)
                request.ledger[row["generation"]] = dict(row)
        layers = len(self._topology.hops)
        for trace_id, request in touched.items():
            if request.over(layers):
                self._judge(trace_id, request)
        self._judge_the_quiet(now_s - QUIET_REAL_S, layers)

    def finish(self) -> None:
        """Nothing more will come: judge all that is left."""
        for trace_id, request in list(self._open.items()):
            if request.attempts:
                self._judge(trace_id, request)

    def _of(self, trace_id: str, now_s: float) -> _Request:
        """The request of this trace, moved behind all that were heard of before."""
        request = self._open.pop(trace_id, None) or self._kept.get(trace_id)
        if request is None:
            request = _Request()
            if len(self._open) >= _UNCLAIMED:
                self._forget_an_unclaimed()
        request.heard_s = now_s
        if request.counted is None:
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

    def _judge(self, trace_id: str, request: _Request) -> None:
        if request.counted is not None:
            self._tally.count(request.counted, request.attempts.values(), -1)
        judged = judge(
            list(request.attempts.values()), request.spans, list(request.ledger.values()), self._topology
        )
        request.counted = judged
        self._tally.count(judged, request.attempts.values(), 1)
        self._open.pop(trace_id, None)
        self._kept[trace_id] = request
        self._kept.move_to_end(trace_id)
        self.last, self.last_request = judged, request
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)

    def figures(self) -> dict[str, Any]:
        """How it stands: what was judged, under the names of ``summary.json``, and what is still under way."""
        totals = replace(self._ledger)
        for row in self._running.values():
            totals.add(row)
        ledger = totals.figures(self._begun)
        judged = self._tally.figures()
        started, requests = self._tally.counts["started"], judged["requests"]
        # Of requests that are over: one under way may ask again.
        ledger["generations_per_request"] = round(started / requests, 4) if requests else None
        return {
            "begun": self._begun,
            "under_way": self._begun - requests,
            "generations_running": len(self._running),
            "late": self._late,
            **judged,
            "ledger": ledger,
        }


_OF_A_VERDICT: Final = ("layer", "title", "timer", "directive", "phase", "grade", "limit_s", "tie", "reason")


class _Tally:
    """Figures of single requests, added up; they can be taken back, where one is judged anew."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._sums: dict[str, Counter[str]] = {
            name: Counter() for name in ("outcomes", "attempt_outcomes", "rejected_as")
        }
        self._verdicts: dict[tuple[Any, ...], dict[str, Any]] = {}
        self._after_unknown_usd = 0.0

    def count(self, judged: Judged, attempts: Iterable[Attempt], sign: int) -> None:
        """Add one request's figures, or take them back."""
        figures, retries = judged.figures, judged.figures["retries"]
        for name, number in {
            "requests": figures["requests"],
            "attempts": figures["attempts"],
            "censored": figures["censored"],
            "unattributed": figures["unattributed"],
            "disagree": len(figures["agreement"]["disagree"]),
            "429": sum(attempt.status == 429 for attempt in attempts),
            "started": figures["ledger"]["started"],
            "retries": retries["retries"],
            "after_unknown": retries["after_unknown"],
        }.items():
            self.counts[name] += sign * number
        self._after_unknown_usd += sign * retries["after_unknown_usd"]
        for name, sums in self._sums.items():
            for key, number in figures[name].items():
                sums[key] += sign * number
        for row in figures["verdicts"]:
            self._count_verdict(row, sign)

    def _count_verdict(self, row: Mapping[str, Any], sign: int) -> None:
        key = tuple(tuple(row[name]) if name == "tie" else row[name] for name in _OF_A_VERDICT)
        kept = {name: value for name, value in row.items() if name != "after_s"}  # medians do not add up
        known = self._verdicts.setdefault(key, {**kept, "attempts": 0, "contradictions": 0})
        known["attempts"] += sign * row["attempts"]
        known["contradictions"] += sign * row["contradictions"]
        known["phrase"] = row["phrase"]
        if not known["attempts"]:
            del self._verdicts[key]

    def figures(self) -> dict[str, Any]:
        """The sums under the names of ``summary.json``."""
        counts, requests, attempts = self.counts, self.counts["requests"], self.counts["attempts"]
        delivered = self._sums["outcomes"]["delivered"]
        sums = {name: {k: n for k, n in s.most_common() if n} for name, s in self._sums.items()}
        return {
            "requests": requests,
            "attempts": attempts,
            "censored": counts["censored"],
            **sums,
            "delivered_share": delivered / requests if requests else None,
            "refused_429": counts["429"],
            "share_429": counts["429"] / attempts if attempts else None,
            "verdicts": sorted(self._verdicts.values(), key=lambda row: -row["attempts"]),
            "unattributed": counts["unattributed"],
            "retries": {
                "retries": counts["retries"],
                "after_unknown": counts["after_unknown"],
                "after_unknown_usd": round(self._after_unknown_usd, 6),
            },
            "disagree": counts["disagree"],
        }
