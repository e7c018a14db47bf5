"""A run in sentences: what was cut, by which layer, and what it cost; made of judged figures, for people."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from whocut.chain.money import format_dollars
from whocut.verdict.ledger_totals import is_unsettled
from whocut.verdict.phrases import cut_count
from whocut.words import plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from whocut.trace.records import Attempt
    from whocut.verdict.figures import CutFigures, Figures, RunFigures


@dataclass(frozen=True, slots=True)
class Orphans:
    """Orphaned generations, and the bill of those that ended; `unsettled` ones had not, and have no bill."""

    generations: int
    usd: float
    unsettled: int = 0

    @property
    def sentence(self) -> str:
        """Empty: no generation was orphaned."""
        if not self.generations:
            return ""
        ran_on = f"{plural(self.generations, 'orphaned generation')} ran on"
        if self.unsettled == self.generations:
            return f"{ran_on} and still did when the run ended; what that costs is not known."
        cost = f"{ran_on} and cost {format_dollars(self.usd)}"
        rest = f", without the {self.unsettled} that still did when the run ended" if self.unsettled else ""
        return f"{cost}{rest}."


def orphans_by_mode(ledger: Iterable[Mapping[str, Any]], attempts: Iterable[Attempt]) -> dict[str, Orphans]:
    """The orphans of each mode; a ledger row finds its mode by its trace."""
    modes = {attempt.trace_id: attempt.mode for attempt in attempts}
    found: dict[str, Orphans] = {}
    for row in ledger:
        mode = modes.get(str(row.get("trace_id")))
        if mode is None or not row.get("orphaned"):
            continue
        known = found.get(mode, Orphans(0, 0.0))
        usd = float(row.get("billed_usd") or 0) if row.get("billed") else 0.0
        found[mode] = Orphans(known.generations + 1, known.usd + usd, known.unsettled + is_unsettled(row))
    return found


def together(orphans: Iterable[Orphans]) -> Orphans:
    """Those of several modes as one."""
    parts = tuple(orphans)
    return Orphans(sum(part.generations for part in parts), sum(part.usd for part in parts))


def headline(figures: Figures, orphans: Orphans) -> str:
    """One mode (or one run) in a sentence or two: who cut how many, and what ran on."""
    return " ".join(part for part in (_who_cut(figures), orphans.sentence) if part)


def _who_cut(figures: Figures) -> str:
    attempts, delivered, censored = figures.attempts, figures.images, figures.never_ended
    if not attempts:
        return "No attempt was made."
    if delivered == attempts:
        all_of_them = "the only attempt was" if attempts == 1 else f"all {attempts} attempts were"
        return f"No layer cut: {all_of_them} delivered."
    if censored == attempts:
        return f"The run ended before any of {plural(attempts, 'attempt')} did."
    rest = (
        (delivered, "delivered"),
        (figures.attempt_outcomes.get("rejected", 0), "rejected by the API"),
        (figures.unattributed, "ended by an unknown layer"),
        (censored, "still under way when the run ended"),
    )
    sentences = _cuts(_merged(figures.verdicts), attempts, known=not figures.unattributed)
    sentences += [f"{number} {'was' if number == 1 else 'were'} {how}." for number, how in rest if number]
    return " ".join(sentences)


def _cuts(rows: Sequence[CutFigures], attempts: int, *, known: bool) -> list[str]:
    """The commonest cut with its knob, then the second, or how many more there are."""
    if not rows:
        return [
            f"No layer {'cut' if known else 'is known to have cut'} any of {plural(attempts, 'attempt')}."
        ]
    first, *others = rows
    sentences = [f"{cut_count(first, first.attempts, attempts)}."]
    if len(others) == 1:
        sentences.append(f"{cut_count(others[0], others[0].attempts, noun=False)}.")
    elif others:
        more = sum(row.attempts for row in others)
        sentences.append(f"{more} more were cut in {len(others)} other ways.")
    return sentences


def _merged(rows: Iterable[CutFigures]) -> list[CutFigures]:
    """Rows that differ only in phase or grade, as one: a headline counts, a table tells apart.

    Where no timer fired, the reason takes its place.
    """
    merged: dict[tuple[object, ...], CutFigures] = {}
    for row in rows:
        key = (row.layer, row.timer or row.reason, row.directive, row.tie)
        known = merged.get(key)
        merged[key] = replace(known, attempts=known.attempts + row.attempts) if known else row
    return sorted(merged.values(), key=lambda row: -row.attempts)


def agreement(figures: RunFigures) -> str:
    """How verdicts and ledger agree, in a sentence."""
    held = figures.agreement
    if figures.ledger.by == "account":
        return (
            "There is no ledger to hold these verdicts against: it is not our endpoint, and cost is by the guard’s"
            f" account, at most {format_dollars(figures.ledger.billed_usd)} in this run."
        )
    if figures.ledger.by == "none":
        return (
            "There is no ledger to hold these verdicts against: it is not our endpoint. It bills nothing, as was "
            "said with --free."
        )
    count = len(held.disagree)
    verb = "disagrees" if count == 1 else "disagree"
    return f"{plural(held.checked, 'attempt')} held against the upstream’s ledger, {count} {verb}."
