"""What a terminal shows of a sweep: a row a level, the rule, and the answer in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.table import Table

from whocut.chain.money import format_dollars
from whocut.show.following import next_command, report_words
from whocut.show.run import say_if_invalid
from whocut.words import in_seconds, percent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rich.console import Console

    from whocut.verdict.figures import Summary, SweepFigures


def print_sweep(console: Console, summary: Summary, report: Path | None) -> None:
    """Whether it is valid, the answer, then the levels it rests on."""

    def say(text: str, style: str | None = None) -> None:
        console.print(text, style=style, highlight=False, soft_wrap=True)

    say_if_invalid(console, summary.warnings)
    found = summary.sweep
    assert found is not None  # a run that is no sweep is shown otherwise
    for sentence in found.says:
        say(sentence)
    say("")
    console.print(_table(found))
    say(f"\n{found.rule}")
    say(f"\nrun:    {summary.run_dir}\nreport: {report_words(report)}")
    say(f"next:   {next_command('compare', summary.run_dir)} OTHER")


def _table(found: SweepFigures) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in (
        "",
        "at once",
        "gap",
        "asked",
        "429s",
        "95%",
        "batches",
        "a minute",
        "p50",
        "p95",
        "per image",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for level in found.all_levels:
        low, high = level.ci95 or (0.0, 1.0)
        table.add_row(
            "→" if found.is_recommended(level) else "",
            str(level.concurrency),
            f"{level.gap_s:g} s" if level.gap_s else "–",
            str(level.requests),
            percent(level.share_429, int(0 < (level.share_429 or 0.0) < 0.1)),
            f"{math.floor(low * 100)}%–{math.ceil(high * 100)}%",  # outward, as the sentence above has it
            f"{level.batches_refused} of {level.batches}" if level.batches else "–",
            _or_dash(level.delivered_per_min, lambda rate: f"{rate:.1f}"),
            in_seconds(level.p50_s),
            in_seconds(level.p95_s),
            format_dollars(level.usd_per_delivered),
        )
    return table


def _or_dash(value: float | None, written: Callable[[float], str]) -> str:
    return "–" if value is None else written(value)
