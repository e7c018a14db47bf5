"""How long `whocut triage FILE` takes from its start to its end, beside `pip --version` in one run.

    python -m tests.benchmarks.bench_start [--rounds 8] [--before PYTHON MODULE FOLDER]

Each command runs once a round, in turn, and its least is reported: what is more is the machine's other work.
`--before` names earlier code, as in ``--before .venv/bin/python harness ../old``.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from whocut.clock.clock import wall_s

PASTED = "upstream request timeout (504, from envoy)"
PEER = "pip --version"


@dataclass
class Taken:
    """The least that a command took, in seconds; `folder`: where it runs."""

    command: list[str]
    folder: Path | None = None
    cpu_s: list[float] = field(default_factory=list)
    wall_s: list[float] = field(default_factory=list)

    def once(self) -> None:
        """Run it once more."""
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), wall_s()
        subprocess.run(self.command, cwd=self.folder, stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.wall_s.append(wall_s() - began)
        self.cpu_s.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def main() -> None:
    """Measure, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--before", nargs=3, metavar=("PYTHON", "MODULE", "FOLDER"))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        pasted = Path(made) / "pasted.txt"
        pasted.write_text(PASTED)
        commands = {
            PEER: Taken([sys.executable, "-m", "pip", "--version"]),
            "whocut triage": Taken([sys.executable, "-P", "-m", "whocut", "triage", str(pasted)]),
        }
        if asked.before:
            python, module, folder = asked.before
            command = [str(Path(python).absolute()), "-m", module, "triage", str(pasted)]
            commands["before"] = Taken(command, Path(folder))
        for _ in range(asked.rounds):
            for taken in commands.values():
                taken.once()
        peer_s = min(commands[PEER].cpu_s)
        for name, taken in commands.items():
            cpu_s = min(taken.cpu_s)
            print(f"{name:16} {cpu_s:.3f} s CPU ({cpu_s / peer_s:.2f}x), {min(taken.wall_s):.3f} s")


if __name__ == "__main__":
    main()
