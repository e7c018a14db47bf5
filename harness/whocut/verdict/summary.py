"""A whole run in figures: verdicts by layer and mode, what the ledger says, what decided a streamed request.

Delivered and failed requests are never in one percentile; censored ones are counted apart, and estimated apart.
Latencies count from when a request was due.
"""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from whocut.chain.percentiles import percentile
from whocut.chain.timers import JobTimer
from whocut.trace.records import Attempt, Outcome
from whocut.trace.requests import by_request, due_s
from whocut.verdict.agreement import Agreement, hold_against_ledger
from whocut.verdict.attribution import Attribution, attribute_all
from whocut.verdict.censored import image_time_figures
from whocut.verdict.figures import (
    Books,
    Counts,
    CutFigures,
    Decided,
    Dispatch,
    Figures,
    ModeFigures,
    RunFigures,
    as_fields,
)
from whocut.verdict.ledger_totals import LedgerTotals, charged
from whocut.verdict.needed import needed_by
from whocut.verdict.phrases import cut_because
from whocut.verdict.retry_audit import audit_retries
from whocut.verdict.verdict import Kind, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from whocut.chain.layers import Topology
    from whocut.trace.logs.records import Account
    from whocut.trace.records import Span


@dataclass(frozen=True, slots=True)
class Judged:
    """A run, judged: the attribution of every attempt, and the figures made of it."""

    attribution: Attribution
    figures: RunFigures

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
    met = dict.fromkeys(attempt.mode for attempt in attempts)
    in_order = dict.fromkeys([*(mode for mode in modes if mode in met), *met])
    whole = figures_of(attempts, verdicts, ledger)
    figures = RunFigures(
        **as_fields(whole),
        by_mode={mode: _mode(mode, attempts, verdicts, ledger) for mode in in_order},
        retries=audit_retries(attempts, verdicts).figures(),
        agreement=hold_against_ledger(verdicts, ledger) if ledger is not None else Agreement(0, ()),
    )
    return Judged(attribution, figures)


def counts(attempts: Sequence[Attempt], verdicts: Sequence[Verdict]) -> Counts:
    """The figures that add up: those of two halves of a run are together those of the run."""
    last = [tries[-1].outcome for tries in by_request(attempts).values()]
    return Counts(
        requests=len(last),
        attempts=len(attempts),
        censored=sum(outcome is Outcome.CENSORED for outcome in last),
        # Of attempts: one that its caller gave up was cut, and is counted there.
        never_ended=sum(v.kind is Kind.NONE and v.outcome is Outcome.CENSORED for v in verdicts),
        outcomes=_counted(str(outcome) for outcome in last),
        attempt_outcomes=_counted(str(attempt.outcome) for attempt in attempts),
        rejected_as=dict(
            Counter(str(a.error) for a in attempts if a.outcome is Outcome.REJECTED).most_common(12)
        ),
        refused_429=sum(attempt.status == 429 for attempt in attempts),
        unattributed=sum(verdict.kind is Kind.UNATTRIBUTED for verdict in verdicts),
        verdicts=_cuts(verdicts),
    )


def figures_of(
    attempts: Sequence[Attempt], verdicts: Sequence[Verdict], ledger: Sequence[dict[str, Any]] | None
) -> Figures:
    """The account of these attempts; of a run, or of one of its modes."""
    requests = by_request(attempts)
    came = [tries for tries in requests.values() if tries[-1].outcome is Outcome.DELIVERED]
    took = [tries[-1].ended_s - due_s(tries[0]) for tries in came if tries[-1].ended_s is not None]
    began = [tries[-1].first_byte_s - due_s(tries[0]) for tries in came if tries[-1].first_byte_s is not None]
    sums = counts(attempts, verdicts)
    return Figures(
        **as_fields(sums),
        delivered_share=len(took) / len(requests) if requests else None,
        p50_s=percentile(took, 50),
        p95_s=percentile(took, 95),
        first_byte_p50_s=percentile(began, 50),
        image_time=image_time_figures(attempts),
        dispatch=_dispatch([tries[0] for tries in requests.values()]),
        share_429=sums.refused_429 / len(attempts) if attempts else None,
        ledger=_charges(attempts) if ledger is None else _books(ledger, len(requests)),
    )


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(Counter(names).most_common())


def _dispatch(first: Sequence[Attempt]) -> Dispatch:
    """By how much requests were taken up later than they were due: the fault of the load alone."""
    late = [
        max(0.0, attempt.dispatched_s - attempt.due_s)
        for attempt in first
        if attempt.dispatched_s is not None and attempt.due_s is not None
    ]
    return Dispatch(p50_s=percentile(late, 50), p99_s=percentile(late, 99), max_s=percentile(late, 100))


def _mode(
    mode: str,
    attempts: Sequence[Attempt],
    verdicts: Sequence[Verdict],
    ledger: Sequence[dict[str, Any]] | None,
) -> ModeFigures:
    mine = [attempt for attempt in attempts if attempt.mode == mode]
    judged = [verdict for verdict in verdicts if verdict.mode == mode]
    traces = {attempt.trace_id for attempt in mine}
    rows = None if ledger is None else [row for row in ledger if row.get("trace_id") in traces]
    return ModeFigures(**as_fields(figures_of(mine, judged, rows)), decided=_decided(judged))


def _cuts(verdicts: Iterable[Verdict]) -> tuple[CutFigures, ...]:
    groups: dict[tuple[object, ...], list[Verdict]] = {}
    for verdict in verdicts:
        if verdict.kind is Kind.CUT:
            key = (verdict.layer, verdict.timer, verdict.directive, verdict.phase, verdict.grade, verdict.tie)
            groups.setdefault(key, []).append(verdict)
    return tuple(_cut(same) for same in sorted(groups.values(), key=len, reverse=True))


def _cut(same: Sequence[Verdict]) -> CutFigures:
    example = same[0]
    after = [verdict.after_s for verdict in same if verdict.after_s is not None]
    return CutFigures(
        layer=example.layer,
        title=example.title,
        timer=example.timer,
        directive=example.directive,
        phase=example.phase,
        grade=example.grade,
        attempts=len(same),
        limit_s=example.limit_s,
        after_s=statistics.median(after) if after else None,
        tie=example.tie,
        reason=example.reason,
        phrase=example.phrase,
        contradictions=sum(bool(verdict.contradictions) for verdict in same),
    )


def _books(rows: Iterable[dict[str, Any]], requests: int) -> Books:
    totals = LedgerTotals()
    for row in rows:
        totals.add(row)
    return totals.figures(requests)


def _charges(attempts: Sequence[Attempt]) -> Books:
    """The books where there is no ledger: as there, what was delivered counts images, not requests."""
    images = sum(attempt.outcome is Outcome.DELIVERED for attempt in attempts)
    return charged(sum(attempt.charged_usd or 0 for attempt in attempts), images)


def _decided(verdicts: Sequence[Verdict]) -> Decided | None:
    """What decided most of a mode's cuts, beside the limit it ran into: a wait, a gap, or the whole answer."""
    explained = [verdict for verdict in verdicts if verdict.kind is Kind.CUT and verdict.needed_s is not None]
    if not explained:
        return None
    common = Counter((v.layer, v.timer, v.phase) for v in explained).most_common(1)[0][0]
    same = [v for v in explained if (v.layer, v.timer, v.phase) == common]
    needed = sorted(v.needed_s for v in same if v.needed_s is not None)
    example, median_s = same[0], statistics.median(needed)
    assert not isinstance(example.timer, JobTimer)  # these need nothing of an answer
    what = needed_by(example.timer, example.phase)
    assert what is not None  # a verdict says how long only where it says of what
    return Decided(
        by=what,
        attempts=len(same),
        median_s=round(median_s, 3),
        min_s=round(needed[0], 3),
        max_s=round(needed[-1], 3),
        limit_s=example.limit_s,
        layer=example.layer,
        directive=example.directive,
        sentence=cut_because(example, what, median_s, len(same)),
    )
