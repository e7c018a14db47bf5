"""What a terminal shows of a run: its progress, and at the end the figures in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from rich.live import Live
from rich.table import Table
from rich.text import Text

from harness.clock.clock import wall_s

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from rich.console import Console

    from harness.run import Progress

_LINE_EVERY_REAL_S = 2.0


class ShowProgress:
    """One line that changes in a terminal; a line every two seconds anywhere else."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = (
            Live(console=console, transient=True, refresh_per_second=8) if console.is_terminal else None
        )
        self._next_line = 0.0

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def show(self, progress: Progress) -> None:
        """Show how far it has come."""
        text = (
            f"{progress.stage}: {progress.requests} of {progress.asked} requests, {progress.attempts} attempts, "
            f"{progress.started} generations started, {progress.settled} settled"
        )
        if self._live:
            self._live.update(Text(text))
        elif wall_s() >= self._next_line:
            self._next_line = wall_s() + _LINE_EVERY_REAL_S
            self._console.print(text, highlight=False)


def print_summary(console: Console, summary: dict[str, Any], report: Path | None) -> None:
    """The figures of a run, the verdicts first."""
    for row in summary["verdicts"]:
        console.print(f"{row['attempts']:>6} × {row['phrase']}", highlight=False)
    if summary["unattributed"]:
        console.print(f"{summary['unattributed']:>6} × unattributed", highlight=False)
    console.print()
    table = Table(box=None, pad_edge=False)
    columns = (
        "mode",
        "requests",
        "delivered",
        "attempts",
        "generations",
        "per request",
        "orphaned",
        "billed",
    )
    for name in (*columns, "$ per delivered"):
        table.add_column(name, justify="left" if name == "mode" else "right")
    for mode, figures in summary["by_mode"].items():
        ledger = figures["ledger"]
        per = ledger["usd_per_delivered"]
        table.add_row(
            mode,
            str(figures["requests"]),
            str(figures["outcomes"].get("delivered", 0)),
            str(figures["attempts"]),
            str(ledger["started"]),
            f"{ledger['generations_per_request'] or 0:.2f}",
            str(ledger["orphaned"]),
            f"${ledger['billed_usd']:.2f}",
            "none delivered" if per is None else f"${per:.3f}",
        )
    console.print(table)
    for mode, figures in summary["by_mode"].items():
        if figures["gap"]:
            console.print(f"\n{mode}: {figures['gap']['sentence']}", highlight=False)
    agreement = summary["agreement"]
    console.print(
        f"\n{agreement['checked']} verdicts held against the ledger, {len(agreement['disagree'])} disagree.",
        highlight=False,
    )
    for warning in summary["warnings"]:
        console.print(f"warning: {warning}", style="yellow", highlight=False)
    console.print(f"\nrun:    {summary['run_dir']}\nreport: {report}", highlight=False, soft_wrap=True)
    console.print(f"next:   whocut why {summary['run_dir']}", highlight=False, soft_wrap=True)
