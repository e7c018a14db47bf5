"""CPU of `triage` on one line of a megabyte, beside one regular expression with all its phrases in it.

    python -m tests.benchmarks.bench_triage [--rounds 3]

Each line is made of one unit, of those that are slowest to read, or of a real text without its ends of lines.
Triage reads 64 KB of both ends of it; the peer looks for the same phrases in as much, as `re` finds them by itself:
one alternation of all of them. The least of the rounds is reported, in turn.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from time import process_time

from whocut.verdict.triage import triage
from whocut.verdict.triage.lexicon import speakers

LINE_BYTES = 1_000_000
READ_BYTES = 128 * 1024
UNITS = (
    "a",
    "/",
    "{",
    "504 ",
    "60 s ",
    "12.5s ",
    "10.0.0.1:443 ",
    "error: timeout after 60s ",
    '{"a":1},',
    "é",
    "中",
)


def lines() -> dict[str, str]:
    """The lines by their name."""
    made = {repr(unit): unit * (LINE_BYTES // len(unit)) for unit in UNITS}
    pages = sorted((Path(__file__).parents[2] / "docs").glob("*.md"))
    prose = " ".join(page.read_text(encoding="utf-8") for page in pages).replace("\n", " ")
    return {**made, "this project's documents": (prose * (LINE_BYTES // len(prose) + 1))[:LINE_BYTES]}


def naive() -> re.Pattern[str]:
    """One expression with every phrase that triage knows."""
    phrases = {words for speaker in speakers() for row in speaker.rows for words in row.words}
    return re.compile("|".join(".{0,80}".join(map(re.escape, one.split("*"))) for one in sorted(phrases)))


def main() -> None:
    """Measure, and print a row for each line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    peer = naive()
    triage("warm")
    print("| a line of | triage | the peer | ratio |\n|---|---|---|---|")
    for name, line in lines().items():
        ours_s, peers_s = [], []
        for _ in range(asked.rounds):
            began_s = process_time()
            triage(line)
            between_s = process_time()
            peer.findall(line[:READ_BYTES].lower())
            ours_s.append(between_s - began_s)
            peers_s.append(process_time() - between_s)
        least_s, beside_s = min(ours_s), min(peers_s)
        print(f"| {name} | {least_s:.2f} s | {beside_s:.2f} s | {least_s / beside_s:.2f} |", flush=True)


if __name__ == "__main__":
    main()
