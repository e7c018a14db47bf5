"""What a terminal shows of a sweep."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from whocut.show.sweep import print_sweep
from whocut.verdict.sweep import Level, sweep_figures


def level(concurrency: int, refused: int, gap_s: float = 0.0) -> Level:
    """A level of forty requests; who was not refused took 80 s."""
    came = 40 - refused
    return Level(
        concurrency,
        gap_s,
        requests=40,
        seen=40,
        refused=refused,
        came=came,
        taken_s=80.0,
        took_s=[80.0] * came,
        batches=40 // concurrency,
        batches_refused=min(refused, 40 // concurrency),
    )


def shown(*levels: Level, warnings: tuple[str, ...] = ()) -> str:
    """The words and the table, in a terminal of eighty columns."""
    console = Console(file=io.StringIO(), width=80)
    summary = {
        "sweep": sweep_figures(levels, 0.01),
        "warnings": warnings,
        "ended_early": None,
        "run_dir": "runs/x",
    }
    print_sweep(console, summary, Path("runs/x/report.html"))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_answer_comes_first_and_its_level_is_marked() -> None:
    """Then a row a level, nothing cut off by the edge of the terminal, and the rule."""
    said = shown(level(2, 0), level(3, 1), level(3, 0, 2.0), level(10, 40)).splitlines()

    assert said[0].startswith("Keep at most 3 in flight and wait 2 s after each: 0 of 40 requests met a 429")
    (marked,) = (line.split() for line in said if line.startswith("→"))
    assert marked[:6] == ["→", "3", "2", "s", "40", "0%"]
    assert any(line.split()[:4] == ["10", "–", "40", "100%"] for line in said)
    assert not any("…" in line for line in said)
    assert any(line.startswith("The knee is the highest level") for line in said)


def test_an_interval_is_rounded_outward() -> None:
    """None of 120 refused leaves up to 3.1 %: the row must not promise less than the sentence above it."""
    said = shown(Level(3, 0.0, requests=120, seen=120, came=120, taken_s=80.0, took_s=[80.0] * 120))

    assert "most likely below 4%" in said
    assert "0%–4%" in said


def test_what_was_not_measured_is_a_dash_and_warnings_are_said() -> None:
    """No image came: no time, no price; a run that was stopped says so."""
    said = shown(Level(1, 0.0, requests=4), warnings=("stopped by a signal",))

    assert next(line for line in said.splitlines() if "0%–100%" in line).count("–") == 8
    assert said.splitlines()[:2] == [
        "This run is not valid. What follows may be wrong:",
        "warning: stopped by a signal",
    ]
