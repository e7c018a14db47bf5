"""What a terminal shows of a run: its progress, and at the end the figures in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.measure import Measurement
from rich.table import Table

from whocut.chain.money import format_dollars
from whocut.show.following import next_command, report_words
from whocut.show.progress import ProgressLine
from whocut.verdict.phrases import cut_row
from whocut.words import format_duration, in_seconds, percent, plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from rich.console import Console

    from whocut.run.progress import RunProgress
    from whocut.verdict.figures import ModeFigures, Summary


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


def print_summary(console: Console, summary: Summary, report: Path | None) -> None:
    """The figures of a run: whether they can be trusted, the verdicts, then the rest."""

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)

    say_if_invalid(console, summary.warnings)
    for mode, figures in summary.by_mode.items():
        say(f"{mode}:")
        for line in _verdicts(figures):
            say(line)
    say("")
    table = _modes(summary.by_mode)
    # A figure cut off by the edge of the terminal is no figure; a long line wraps.
    wide = Measurement.get(console, console.options.update(max_width=1_000), table).maximum
    console.width = max(console.width, wide)
    console.print(table)
    images = sum(figures.images for figures in summary.by_mode.values())
    served = sum(figures.delivered for figures in summary.by_mode.values())
    if images > served:
        say(
            f"\nImages: {images}; requests delivered: {served}. A request is one order of the scenario, "
            "which may ask several times; “per image” counts images."
        )
    retries = summary.retries
    if retries.after_unknown:
        say(
            f"\n{retries.after_unknown} of {retries.retries} retries came after an unknown outcome; the "
            f"generations they gave up on cost {'at least ' if summary.ledger.unsettled else ''}"
            f"{format_dollars(retries.after_unknown_usd)}."
        )
    say(f"\n{_books(summary)}")
    stall_s = summary.generator.worst_stall_s
    if stall_s is not None:
        late_s = summary.dispatch.p99_s
        say(
            f"The load generator's worst stall was {format_duration(stall_s)} of model time"
            + (f"; requests went out {format_duration(late_s)} after they were due (p99)." if late_s else ".")
        )
    say(f"\nrun:    {summary.run_dir}\nreport: {report_words(report)}")
    say(f"next:   {next_command('why', summary.run_dir)}")


def say_if_invalid(console: Console, warnings: Sequence[str]) -> None:
    """Above all figures: that they cannot be trusted, and why; nothing of a run that is valid."""
    if not warnings:
        return
    console.print("This run is not valid. What follows may be wrong:", style="yellow", highlight=False)
    for warning in warnings:
        console.print(f"warning: {warning}", style="yellow", highlight=False, soft_wrap=True)
    console.print()


def _verdicts(figures: ModeFigures) -> Iterator[str]:
    """How a mode's attempts ended, a line for each way, and what decided the cuts."""
    ways = [(cut.attempts, cut_row(cut, cut.grade)) for cut in figures.verdicts]
    ways += [(figures.images, "delivered"), (figures.never_ended, "still under way at the end")]
    ways += [(count, f"rejected by the API ({code})") for code, count in figures.rejected_as.items()]
    ways += [(figures.unattributed, "unattributed")]
    of = f"of {plural(figures.attempts, 'attempt')}"
    yield from (f"{count:>6} {of}: {how}" for count, how in ways if count)
    for sentence in (figures.decided.sentence if figures.decided else "", figures.image_time.sentence):
        if sentence:
            yield f"       {sentence}"


def _books(summary: Summary) -> str:
    """What the verdicts were held against; or, where there is no ledger, whose word the cost is."""
    if summary.ledger.by == "account":
        return f"no ledger: cost by the guard's account, {format_dollars(summary.ledger.billed_usd)} at most."
    if summary.ledger.by == "none":
        return "no ledger, and no account: --free said that the endpoint bills nothing."
    held = summary.agreement
    return f"{held.checked} verdicts held against the ledger, {len(held.disagree)} disagree."


def _modes(modes: Mapping[str, ModeFigures]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("mode", no_wrap=True)
    for name in ("asked", "delivered", "p50", "429s", "started", "orphaned", "billed", "per image"):
        table.add_column(name, justify="right", no_wrap=True)
    for mode, figures in modes.items():
        books = figures.ledger
        per = books.usd_per_delivered
        least = "≥ " if books.unsettled else ""  # what had not ended has no price yet
        table.add_row(
            mode,
            str(figures.requests),
            str(figures.delivered),
            in_seconds(figures.p50_s),
            percent(figures.share_429 or 0.0, 0),
            "–" if books.started is None else str(books.started),
            "–" if books.orphaned is None else str(books.orphaned),
            f"{least}{format_dollars(books.billed_usd)}",
            "–" if per is None else f"{least}{format_dollars(per)}",
        )
    return table
