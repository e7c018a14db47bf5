"""What a terminal shows of a run: its progress, and at the end the figures in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.measure import Measurement
from rich.table import Table

from whocut.chain.money import format_dollars
from whocut.chain.timers import Phase
from whocut.show.following import next_command, report_words
from whocut.show.progress import ProgressLine
from whocut.words import format_duration, in_seconds, percent

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from rich.console import Console

    from whocut.run.progress import RunProgress


class ShowProgress(ProgressLine):
    """How far a run is."""

    def show(self, progress: RunProgress) -> None:
        """Show how far it has come."""
        where = f"{progress.stage}, {progress.label}" if progress.label else progress.stage
        if progress.refused:
            where += f" ({progress.refused} refused by 429)"
        text = f"{where}: {progress.requests} of {progress.asked} requests, {progress.attempts} attempts"
        if progress.ledger:
            text += f", {progress.started} generations started, {progress.settled} settled"
        self.say(text)


def print_summary(console: Console, summary: dict[str, Any], report: Path | None) -> None:
    """The figures of a run, the verdicts first."""

    def say(text: str, style: str | None = None) -> None:
        console.print(text, style=style, highlight=False, soft_wrap=True)

    say_if_invalid(console, summary)
    for mode, figures in summary["by_mode"].items():
        say(f"{mode}:")
        for row in figures["verdicts"]:
            say(f"{row['attempts']:>6} of {figures['attempts']} attempts: {_verdict(row)}")
        delivered = figures["attempt_outcomes"].get("delivered", 0)
        for count, how in ((delivered, "delivered"), (figures["never_ended"], "still under way at the end")):
            if count:
                say(f"{count:>6} of {figures['attempts']} attempts: {how}")
        for code, count in figures["rejected_as"].items():
            say(f"{count:>6} of {figures['attempts']} attempts: rejected by the API ({code})")
        if figures["unattributed"]:
            say(f"{figures['unattributed']:>6} of {figures['attempts']} attempts: unattributed")
        if figures["gap"]:
            say(f"       {figures['gap']['sentence']}")
        if figures["image_time"]["sentence"]:
            say(f"       {figures['image_time']['sentence']}")
    say("")
    table = _modes(summary["by_mode"])
    # A figure cut off by the edge of the terminal is no figure; a long line wraps.
    wide = Measurement.get(console, console.options.update(max_width=1_000), table).maximum
    console.width = max(console.width, wide)
    console.print(table)
    images = sum(figures["attempt_outcomes"].get("delivered", 0) for figures in summary["by_mode"].values())
    served = sum(figures["outcomes"].get("delivered", 0) for figures in summary["by_mode"].values())
    if images > served:
        say(
            f"\nImages: {images}; requests delivered: {served}. A request is one order of the scenario, "
            "which may ask several times; “per image” counts images."
        )
    retries = summary["retries"]
    if retries["after_unknown"]:
        say(
            f"\n{retries['after_unknown']} of {retries['retries']} retries came after an unknown outcome; the "
            f"generations they gave up on cost {'at least ' if summary['ledger']['unsettled'] else ''}"
            f"{format_dollars(retries['after_unknown_usd'])}."
        )
    say(f"\n{_books(summary)}")
    stall_s = summary["generator"]["worst_stall_s"]
    if stall_s is not None:
        late_s = summary["dispatch"]["p99_s"]
        say(
            f"The load generator's worst stall was {format_duration(stall_s)} of model time"
            + (f"; requests went out {format_duration(late_s)} after they were due (p99)." if late_s else ".")
        )
    say(f"\nrun:    {summary['run_dir']}\nreport: {report_words(report)}")
    say(f"next:   {next_command('why', summary['run_dir'])}")


def say_if_invalid(console: Console, summary: Mapping[str, Any]) -> None:
    """Above all figures: that they cannot be trusted, and why; nothing of a run that is valid."""
    if not summary["warnings"]:
        return
    console.print("This run is not valid. What follows may be wrong:", style="yellow", highlight=False)
    for warning in summary["warnings"]:
        console.print(f"warning: {warning}", style="yellow", highlight=False, soft_wrap=True)
    console.print()


def _books(summary: dict[str, Any]) -> str:
    """What the verdicts were held against; or, where there is no ledger, whose word the cost is."""
    if summary["ledger"]["by"] == "account":
        return f"no ledger: cost by the guard's account, {format_dollars(summary['ledger']['billed_usd'])} at most."
    held = summary["agreement"]
    return f"{held['checked']} verdicts held against the ledger, {len(held['disagree'])} disagree."


def _verdict(row: dict[str, Any]) -> str:
    who = " and ".join(row["tie"]) or row["layer"]
    limit = f", {format_duration(row['limit_s'])}" if row["limit_s"] else ""
    how = f"by {row['timer']} ({row['directive']}{limit})" if row["timer"] else row["reason"]
    where = f" {Phase(row['phase']).while_}" if row["phase"] else ""
    return f"{who} cut {how}{where} · {row['grade']}"


def _modes(modes: dict[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("mode", no_wrap=True)
    for name in ("asked", "delivered", "p50", "429s", "started", "orphaned", "billed", "per image"):
        table.add_column(name, justify="right", no_wrap=True)
    for mode, figures in modes.items():
        ledger = figures["ledger"]
        per = ledger["usd_per_delivered"]
        least = "≥ " if ledger["unsettled"] else ""  # what had not ended has no price yet
        table.add_row(
            mode,
            str(figures["requests"]),
            str(figures["outcomes"].get("delivered", 0)),
            in_seconds(figures["p50_s"]),
            percent(figures["share_429"] or 0.0, 0),
            "–" if ledger["started"] is None else str(ledger["started"]),
            "–" if ledger["orphaned"] is None else str(ledger["orphaned"]),
            f"{least}{format_dollars(ledger['billed_usd'])}",
            "–" if per is None else f"{least}{format_dollars(per)}",
        )
    return table
