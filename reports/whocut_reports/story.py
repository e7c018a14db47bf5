"""A run in sentences: what was cut, by whom, and what it cost; made of judged figures, for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from whocut.chain.money import format_dollars
from whocut.verdict.ledger_totals import is_unsettled
from whocut.words import format_duration, plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from whocut.trace.records import Attempt


_READABLE = 36


@dataclass(frozen=True, slots=True)
class Orphans:
    """Generations that ran on for nobody, and the bill of those that ended; `unsettled` had not, and have none."""

    generations: int
    usd: float
    unsettled: int = 0

    @property
    def sentence(self) -> str:
        """Empty where there were none."""
        if not self.generations:
            return ""
        ran_on = f"{plural(self.generations, 'generation')} ran on for nobody"
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


def headline(figures: Mapping[str, Any], orphans: Orphans) -> str:
    """One mode (or one run) in a sentence or two: who cut how many, and what ran on."""
    return " ".join(part for part in (_who_cut(figures), orphans.sentence) if part)


def _who_cut(figures: Mapping[str, Any]) -> str:
    attempts, outcomes = int(figures["attempts"]), figures["attempt_outcomes"]
    delivered, censored = int(outcomes.get("delivered", 0)), int(figures["never_ended"])
    if not attempts:
        return "No attempt was made."
    if delivered == attempts:
        all_of_them = "the only attempt was" if attempts == 1 else f"all {attempts} attempts were"
        return f"Nobody cut: {all_of_them} delivered."
    if censored == attempts:
        return f"The run ended before any of {plural(attempts, 'attempt')} did."
    unattributed = int(figures["unattributed"])
    rest = (
        (delivered, "delivered"),
        (int(outcomes.get("rejected", 0)), "rejected by the API"),
        (unattributed, "ended by a layer nobody can name"),
        (censored, "still under way when the run ended"),
    )
    sentences = _cuts(_merged(figures["verdicts"]), attempts, known=not unattributed)
    sentences += [f"{number} {'was' if number == 1 else 'were'} {how}." for number, how in rest if number]
    return " ".join(sentences)


def _cuts(rows: list[dict[str, Any]], attempts: int, *, known: bool) -> list[str]:
    """The commonest cut with its knob, then the second, or how many more there are."""
    of_all = plural(attempts, "attempt")
    if not rows:
        return [f"Nobody {'cut' if known else 'is known to have cut'} any of {of_all}."]
    first, *others = rows
    sentences = [f"{_cutter(first)} cut {first['attempts']} of {of_all}{_how(first)}."]
    if len(others) == 1:
        sentences.append(f"{_cutter(others[0])} cut {others[0]['attempts']}{_how(others[0])}.")
    elif others:
        more = sum(row["attempts"] for row in others)
        sentences.append(f"{more} more were cut in {len(others)} other ways.")
    return sentences


def _merged(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows that differ only in phase or grade, as one: a headline counts, a table tells apart.

    Where no timer fired, the reason stands in its place.
    """
    merged: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        how = row["timer"] or row.get("reason")
        key = (row["layer"], how, row["directive"], tuple(row["tie"]))
        if key in merged:
            merged[key]["attempts"] += row["attempts"]
        else:
            merged[key] = dict(row)
    return sorted(merged.values(), key=lambda row: -int(row["attempts"]))


def _cutter(row: Mapping[str, Any]) -> str:
    name = " and ".join(row["tie"]) + " (a tie)" if row["tie"] else str(row["title"] or row["layer"])
    return name[:1].upper() + name[1:]


def _how(row: Mapping[str, Any]) -> str:
    if row["tie"]:
        return ""  # two layers, two knobs: the table names them
    if not row["timer"]:
        return f" {row['reason']}" if row.get("reason") else ""
    limit = f", {format_duration(row['limit_s'])}" if row["limit_s"] is not None else ""
    # A knob's full path belongs in the table; a headline is to be read.
    knob = row["directive"] if len(row["directive"]) <= _READABLE else row["directive"][: _READABLE - 1] + "…"
    return f" by {row['timer']} ({knob}{limit})"


def agreement(figures: Mapping[str, Any]) -> str:
    """How verdicts and ledger agree, in a sentence."""
    held = figures["agreement"]
    if figures["ledger"]["by"] == "account":
        return (
            "There is no ledger to hold these verdicts against: it is not our endpoint, and cost is by the guard’s"
            f" account, at most {format_dollars(figures['ledger']['billed_usd'])} in this run."
        )
    count = len(held["disagree"])
    verb = "disagrees" if count == 1 else "disagree"
    return f"{plural(held['checked'], 'attempt')} held against the upstream’s ledger, {count} {verb}."
