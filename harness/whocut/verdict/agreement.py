"""Verdicts against the ledger: the upstream is the independent witness, and both must tell the same story."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from whocut.chain.timers import JobTimer
from whocut.trace.generations import UPSTREAM
from whocut.trace.records import Outcome
from whocut.verdict.verdict import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from whocut.verdict.verdict import Verdict

# So much of a limit, or of a wait that no limit ended, may lie between a cut and the instant at which the layer
# behind it knows: a second of 100 s.
_ON_THE_WIRE: Final = 0.01


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One attempt of which verdict and ledger tell different stories."""

    request: str
    attempt: int
    what: str


@dataclass(frozen=True, slots=True)
class Agreement:
    """How many attempts were held against the ledger, and which did not fit."""

    checked: int
    disagree: tuple[Disagreement, ...]


def hold_against_ledger(verdicts: Sequence[Verdict], ledger: Iterable[dict[str, Any]]) -> Agreement:
    """Compare attempt by attempt; a generation without an attempt is a disagreement too."""
    rows = {str(row["generation"]): row for row in ledger if row.get("started_s") is not None}
    found: list[Disagreement] = []
    spoken_for: set[str] = set()
    # The image of a job comes by a poll, and the generation is its submit's.
    jobs = {verdict.trace_id for verdict in verdicts if verdict.outcome == Outcome.ACCEPTED}
    came = {str(row.get("trace_id")) for row in rows.values() if row.get("delivered")} & jobs
    for verdict in verdicts:
        generation = verdict.behind.generation if verdict.behind else None
        row = rows.get(generation) if generation else None
        if generation:
            spoken_for.add(generation)
            spoken_for.update(verdict.behind.earlier if verdict.behind else ())
        found.extend(
            Disagreement(verdict.request, verdict.attempt, what)
            for what in _differences(verdict, row, by_poll=verdict.trace_id in came)
        )
    found.extend(
        Disagreement("", 0, f"the ledger has {generation}, and no attempt asked for it")
        for generation in rows
        if generation not in spoken_for
    )
    return Agreement(len(verdicts), tuple(found))


def _differences(verdict: Verdict, row: dict[str, Any] | None, *, by_poll: bool) -> Iterable[str]:
    delivered = bool(row and row.get("delivered")) or (by_poll and verdict.behind is None)
    if verdict.outcome == Outcome.DELIVERED and not delivered:
        yield "the client has its image, and the ledger says it was not delivered"
    lost = ((row or {}).get("job") or {}).get("lost")
    if isinstance(verdict.timer, JobTimer) and not lost:
        yield f"{verdict.layer} lost the result, and the ledger does not say so"
    counts = row is not None and not lost and not _crossed(verdict, row)
    if verdict.kind is Kind.CUT and verdict.layer != UPSTREAM and row is not None and counts:
        swallowed = verdict.behind is not None and verdict.behind.handed_to is not None
        if delivered and verdict.outcome != Outcome.DELIVERED and not swallowed:
            yield f"{verdict.layer} cut, and the ledger says the image was delivered"
        elif _never_saw_it_go(row) and not delivered:
            yield f"{verdict.layer} cut, and the ledger never saw its caller go"


def _crossed(verdict: Verdict, row: dict[str, Any]) -> bool:
    """Whether the answer left the upstream as the cut was made: they met on the wire, and both tell the truth."""
    sent_s = row.get("sent_s")
    waited_s = verdict.after_s if verdict.limit_s is None else verdict.limit_s
    if sent_s is None or verdict.at_s is None or waited_s is None:
        return False
    return abs(float(sent_s) - verdict.at_s) <= _ON_THE_WIRE * waited_s


def _never_saw_it_go(row: dict[str, Any]) -> bool:
    """A generation that ended by a fault of its own ended before it could see its caller leave."""
    return row.get("caller_gone_s") is None and row.get("state") == "settled" and not row.get("fault")
