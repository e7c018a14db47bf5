"""A run in sentences: what was cut, by whom, and what it cost; made of judged figures, for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.chain.durations import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.trace.records import Attempt


_READABLE = 36


@dataclass(frozen=True, slots=True)
class Orphans:
    """Generations that ran on for nobody, and their bill."""

    generations: int
    usd: float

    @property
    def sentence(self) -> str:
        """Empty where there were none."""
        if not self.generations:
            return ""
        return f"{plural(self.generations, 'generation')} ran on for nobody and cost {dollars(self.usd)}."


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
        found[mode] = Orphans(known.generations + 1, known.usd + usd)
    return found


def headline(figures: Mapping[str, Any], orphans: Orphans) -> str:
    """One mode (or one run) in a sentence or two: who cut how many, and what ran on."""
    return " ".join(part for part in (_who_cut(figures), orphans.sentence) if part)


def _who_cut(figures: Mapping[str, Any]) -> str:
    attempts = int(figures["attempts"])
    if not attempts:
        return "No attempt was made."
    rows = _merged(figures["verdicts"])
    delivered = int(figures["attempt_outcomes"].get("delivered", 0))
    rejected = int(figures["attempt_outcomes"].get("rejected", 0))
    unattributed, censored = int(figures["unattributed"]), int(figures["attempt_outcomes"].get("censored", 0))
    sentences = []
    if rows:
        first, *others = rows
        sentences.append(
            f"{_cutter(first)} cut {first['attempts']} of {plural(attempts, 'attempt')}{_how(first)}."
        )
        if len(others) == 1:
            sentences.append(f"{_cutter(others[0])} cut {others[0]['attempts']}{_how(others[0])}.")
        elif others:
            rest = sum(row["attempts"] for row in others)
            sentences.append(f"{len(others)} other limits cut {rest}.")
        if delivered:
            sentences.append(f"{delivered} {_were(delivered)} delivered.")
    elif delivered == attempts:
        all_of_them = "the only attempt was" if attempts == 1 else f"all {attempts} attempts were"
        sentences.append(f"Nobody cut: {all_of_them} delivered.")
    elif censored == attempts:
        return f"The run ended before any of {plural(attempts, 'attempt')} did."
    else:
        sentences.append(
            f"Nobody is known to have cut any of {plural(attempts, 'attempt')}; {delivered} were delivered."
        )
    if rejected:
        sentences.append(f"{rejected} {_were(rejected)} rejected by the API.")
    if unattributed:
        sentences.append(f"{unattributed} could not be attributed.")
    if censored:
        sentences.append(f"{censored} {_were(censored)} still under way when the run ended.")
    return " ".join(sentences)


def _merged(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows that differ only in phase or grade, as one: a headline counts, a table tells apart."""
    merged: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        key = (row["layer"], row["timer"], row["directive"], tuple(row["tie"]))
        if key in merged:
            merged[key]["attempts"] += row["attempts"]
        else:
            merged[key] = dict(row)
    return sorted(merged.values(), key=lambda row: -int(row["attempts"]))


def _cutter(row: Mapping[str, Any]) -> str:
    name = " and ".join(row["tie"]) + " (a tie)" if row["tie"] else str(row["title"] or row["layer"])
    return name[:1].upper() + name[1:]


def _how(row: Mapping[str, Any]) -> str:
    if not row["timer"]:
        return f" {row['reason']}" if row.get("reason") else ""
    limit = f", {format_duration(row['limit_s'])}" if row["limit_s"] is not None else ""
    # A knob's full path belongs in the table; a headline is to be read.
    knob = row["directive"] if len(row["directive"]) <= _READABLE else row["directive"][: _READABLE - 1] + "…"
    return f" by {row['timer']} ({knob}{limit})"


def agreement(figures: Mapping[str, Any]) -> str:
    """How verdicts and ledger agree, in a sentence."""
    held = figures["agreement"]
    count = len(held["disagree"])
    verb = "disagrees" if count == 1 else "disagree"
    return f"{plural(held['checked'], 'attempt')} held against the upstream’s ledger, {count} {verb}."


def dollars(usd: float | None) -> str:
    """``$37.98``, ``$0.0042``; None is a dash."""
    if usd is None:
        return "–"
    return f"${usd:,.2f}" if usd >= 0.1 or usd == 0 else f"${usd:.2g}"


def plural(count: int, noun: str) -> str:
    """``1 attempt``, ``180 attempts``."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def share(part: float | None) -> str:
    """``8 %``; never 0 % of some, never 100 % of fewer than all; None is a dash."""
    if part is None:
        return "–"
    if 0 < part < 0.005:
        return "< 1 %"
    if 0.995 < part < 1:
        return "> 99 %"
    return f"{part * 100:.0f} %"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"
