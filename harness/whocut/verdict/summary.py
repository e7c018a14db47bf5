"""A whole run in figures: verdicts by layer and mode, what the ledger says, what decided a streamed request.

Delivered and failed requests are never in one percentile; censored ones are counted apart, and estimated apart.
Latencies count from when a request was due.
"""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from whocut.chain.percentiles import percentile
from whocut.trace.records import Attempt, Outcome
from whocut.verdict.agreement import Agreement, hold_against_ledger
from whocut.verdict.attribution import Attribution, attribute_all
from whocut.verdict.censored import image_time_figures
from whocut.verdict.ledger_totals import LedgerTotals, charged
from whocut.verdict.needed import needed_by
from whocut.verdict.phrases import cut_because
from whocut.verdict.retry_audit import audit_retries
from whocut.verdict.verdict import Kind, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from whocut.chain.layers import Topology
    from whocut.trace.logs.records import Account
    from whocut.trace.records import Span


@dataclass(frozen=True, slots=True)
class Judged:
    """A run, judged: the attribution of every attempt, and the figures made of it."""

    attribution: Attribution
    figures: dict[str, Any]

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """One an attempt, in the order of their starts."""
        return self.attribution.verdicts


def judge(
    attempts: Sequence[Attempt],
    spans: Iterable[Span],
    ledger: Sequence[dict[str, Any]] | None,
    topology: Topology,
    accounts: Iterable[Account] = (),
    modes: Iterable[str] = (),
) -> Judged:
    """Attribute every attempt and hold the verdicts against the ledger; None where the upstream shows none.

    `accounts` are what gateways' logs say. Without a ledger the cost is what the spend guard holds for attempts.
    Modes come in the order of `modes`, any others after them by their first attempt.
    """
    attribution = attribute_all(attempts, spans, topology, accounts)
    verdicts = attribution.verdicts
    agreement = hold_against_ledger(verdicts, ledger) if ledger is not None else Agreement(0, ())
    met = dict.fromkeys(attempt.mode for attempt in attempts)
    in_order = dict.fromkeys([*(mode for mode in modes if mode in met), *met])
    figures = {
        **_account(attempts, verdicts, ledger),
        "by_mode": {mode: _mode(mode, attempts, verdicts, ledger) for mode in in_order},
        "retries": audit_retries(attempts, verdicts).figures(),
        "agreement": {
            "checked": agreement.checked,
            "disagree": [
                {"request": found.request, "attempt": found.attempt, "what": found.what}
                for found in agreement.disagree
            ],
        },
    }
    return Judged(attribution, figures)


def counts(attempts: Sequence[Attempt], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """The figures that add up: those of two halves of a run are together those of the run."""
    last = [tries[-1].outcome for tries in _by_request(attempts).values()]
    return {
        "requests": len(last),
        "attempts": len(attempts),
        "censored": sum(outcome is Outcome.CENSORED for outcome in last),
        # Of attempts: one that its caller gave up was cut, and is counted there.
        "never_ended": sum(v.kind is Kind.NONE and v.outcome == Outcome.CENSORED for v in verdicts),
        "outcomes": dict(Counter(str(outcome) for outcome in last).most_common()),
        "attempt_outcomes": dict(Counter(str(attempt.outcome) for attempt in attempts).most_common()),
        "rejected_as": dict(
            Counter(str(a.error) for a in attempts if a.outcome is Outcome.REJECTED).most_common(12)
        ),
        "refused_429": sum(attempt.status == 429 for attempt in attempts),
        "unattributed": sum(verdict.kind is Kind.UNATTRIBUTED for verdict in verdicts),
        "verdicts": _verdict_rows(verdicts),
    }


def _account(
    attempts: Sequence[Attempt], verdicts: Sequence[Verdict], ledger: Sequence[dict[str, Any]] | None
) -> dict[str, Any]:
    requests = _by_request(attempts)
    came = [tries for tries in requests.values() if tries[-1].outcome is Outcome.DELIVERED]
    took = sorted(tries[-1].ended_s - _due_s(tries[0]) for tries in came if tries[-1].ended_s is not None)
    began = sorted(
        tries[-1].first_byte_s - _due_s(tries[0]) for tries in came if tries[-1].first_byte_s is not None
    )
    sums = counts(attempts, verdicts)
    books = _charges(attempts) if ledger is None else _ledger(ledger, len(requests))
    return {
        **sums,
        "delivered_share": len(took) / len(requests) if requests else None,
        "p50_s": percentile(took, 50),
        "p95_s": percentile(took, 95),
        "first_byte_p50_s": percentile(began, 50),
        "image_time": image_time_figures(attempts),
        "dispatch": _dispatch([tries[0] for tries in requests.values()]),
        "share_429": sums["refused_429"] / len(attempts) if attempts else None,
        "ledger": books,
    }


def _due_s(attempt: Attempt) -> float:
    """When its caller wanted it: waiting for a turn is part of what a caller waits."""
    return attempt.started_s if attempt.due_s is None else attempt.due_s


def _dispatch(first: Sequence[Attempt]) -> dict[str, Any]:
    """By how much requests were taken up later than they were due: the load's own fault, nobody else's."""
    late = sorted(
        max(0.0, attempt.dispatched_s - attempt.due_s)
        for attempt in first
        if attempt.dispatched_s is not None and attempt.due_s is not None
    )
    return {"p50_s": percentile(late, 50), "p99_s": percentile(late, 99), "max_s": percentile(late, 100)}


def measured(figures: Mapping[str, Any]) -> dict[str, float | None]:
    """The figures that thresholds can be set on (`whocut.chain.want`), from a run's or a mode's account."""
    books, requests = figures["ledger"], figures["requests"]
    return {
        "delivered": figures["delivered_share"],
        "orphaned": _share(books["orphaned"], requests),
        "orphaned_s_per_request": _share(books["orphaned_s"], requests),
        "generations_per_request": books["generations_per_request"],
        "p50_s": figures["p50_s"],
        "p95_s": figures["p95_s"],
        "first_byte_p50_s": figures["first_byte_p50_s"],
        "usd_per_delivered": books["usd_per_delivered"],
        "share_429": figures["share_429"],
        "unattributed": figures["unattributed"],
    }


def _share(count: float | None, requests: int) -> float | None:
    return count / requests if requests and count is not None else None


def _mode(
    mode: str,
    attempts: Sequence[Attempt],
    verdicts: Sequence[Verdict],
    ledger: Sequence[dict[str, Any]] | None,
) -> dict[str, Any]:
    mine = [attempt for attempt in attempts if attempt.mode == mode]
    judged = [verdict for verdict in verdicts if verdict.mode == mode]
    traces = {attempt.trace_id for attempt in mine}
    rows = None if ledger is None else [row for row in ledger if row.get("trace_id") in traces]
    return {**_account(mine, judged, rows), "gap": _gap(judged)}


def _by_request(attempts: Iterable[Attempt]) -> dict[str, list[Attempt]]:
    requests: defaultdict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        requests[attempt.request].append(attempt)
    for tries in requests.values():
        tries.sort(key=lambda attempt: attempt.number)
    return dict(requests)


def _verdict_rows(verdicts: Iterable[Verdict]) -> list[dict[str, Any]]:
    groups: defaultdict[tuple[object, ...], list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        if verdict.kind is Kind.CUT:
            key = (verdict.layer, verdict.timer, verdict.directive, verdict.phase, verdict.grade, verdict.tie)
            groups[key].append(verdict)
    rows = []
    for same in sorted(groups.values(), key=len, reverse=True):
        example = same[0]
        after = [verdict.after_s for verdict in same if verdict.after_s is not None]
        rows.append(
            {
                "layer": example.layer,
                "title": example.title,
                "timer": example.timer,
                "directive": example.directive,
                "phase": example.phase,
                "grade": example.grade,
                "attempts": len(same),
                "limit_s": example.limit_s,
                "after_s": statistics.median(after) if after else None,
                "tie": list(example.tie),
                "reason": example.reason,
                "phrase": example.phrase,
                "contradictions": sum(bool(verdict.contradictions) for verdict in same),
            }
        )
    return rows


def _ledger(rows: Iterable[dict[str, Any]], requests: int) -> dict[str, Any]:
    totals = LedgerTotals()
    for row in rows:
        totals.add(row)
    return totals.figures(requests)


def _charges(attempts: Sequence[Attempt]) -> dict[str, Any]:
    """The books where there is no ledger: as there, what was delivered counts images, not requests."""
    images = sum(attempt.outcome is Outcome.DELIVERED for attempt in attempts)
    return charged(sum(attempt.charged_usd or 0 for attempt in attempts), images)


def _gap(verdicts: Sequence[Verdict]) -> dict[str, Any] | None:
    """What decided most of a mode's cuts, beside the limit it ran into: a wait, a gap, or the whole answer."""
    decided = [verdict for verdict in verdicts if verdict.kind is Kind.CUT and verdict.needed_s is not None]
    if not decided:
        return None
    common = Counter((verdict.layer, verdict.timer, verdict.phase) for verdict in decided).most_common(1)[0][
        0
    ]
    same = [v for v in decided if (v.layer, v.timer, v.phase) == common]
    needed = sorted(v.needed_s for v in same if v.needed_s is not None)
    example = same[0]
    what = needed_by(example.timer, example.phase)
    assert what is not None  # a verdict says how long only where it says of what
    return {
        "decided_by": str(what),
        "attempts": len(same),
        "median_s": round(statistics.median(needed), 3),
        "min_s": round(needed[0], 3),
        "max_s": round(needed[-1], 3),
        "limit_s": example.limit_s,
        "layer": example.layer,
        "directive": example.directive,
        "sentence": cut_because(example, what, statistics.median(needed), len(same)),
    }
