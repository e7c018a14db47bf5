"""Runs ended by kill -9 at random instants: ``python -m tests.kills --kills 100 --seed 7``.

Every second run is a guarded one on one account, with a budget that is used up on the way. Killed is the command,
or one of its processes, or all of them at once. Afterwards each whole line must be readable, `report`, `why` and
`attribute` must say one clear thing, no process may be left, and the account may not be past its budget nor below
what was billed. Exits 1 on a finding; what a finding was seen in stays under ``build/kills``.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.kills.leavings import findings_in
from tests.processes import MARK, children_of, processes
from tests.run.test_to import KEY, Endpoint, serving
from whocut.client.spending import SpendAccount
from whocut.clock.clock import pause, wall_s

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_KEPT: Final = Path("build/kills")
_VICTIMS: Final = ("the command", "all at once", "the load", "the mock")
_PATIENCE_S: Final = 300.0  # a process that still starts hears of its parent's end when it has started
_STEP_USD: Final = 0.9  # four images, and the run asks for six, twice
_ASKS: Final = (
    "--users",
    "3",
    "--requests",
    "10",
    "--clock",
    "scaled:100",
    "--mode",
    "stream",
    "--mode",
    "plain",
)


@dataclass
class Kills:
    """What was killed so far, and what was found."""

    folder: Path
    endpoint: Endpoint
    draw: random.Random
    lasts_s: float = 0.0
    budget_usd: float = 0.0
    killed: Counter[str] = field(default_factory=Counter)
    too_late: int = 0
    stages: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    def measure(self) -> None:
        """How long a run takes here that is not killed: instants are drawn from that."""
        began_s = wall_s()
        process = self._start(self.folder / "measured", guarded=False, mark="measured")
        process.communicate(timeout=_PATIENCE_S)
        self.lasts_s = wall_s() - began_s
        shutil.rmtree(self.folder / "measured")

    def one(self, number: int) -> None:
        """One run, killed; a run that ended before its instant is not counted."""
        victim, guarded = self.draw.choice(_VICTIMS), number % 2 == 1
        if guarded and victim == "the mock":
            victim = "the load"  # its mock is the endpoint, which is not ours
        run, mark = self.folder / f"run-{number}", f"{self.folder}/{number}"
        process = self._start(run, guarded=guarded, mark=mark)
        began_s = wall_s()
        at_s = began_s + self.draw.uniform(0, self.lasts_s)
        while process.poll() is None and wall_s() < at_s:
            pause(0.02)
        if process.poll() is not None:
            self.too_late += 1
            self.lasts_s = wall_s() - began_s
        else:
            self.killed[victim] += 1
            _kill(process.pid, victim, mark)
        _, said = process.communicate(timeout=_PATIENCE_S)
        found = list(_left_running(mark))
        self.stages[_how_far(run)] += 1
        found += [*findings_in(run), *(self._money() if guarded else ())]
        if "Traceback" in said:
            found.append(f"the command wrote a traceback: {said[-2000:]}")
        self.findings += [f"run {number}, {victim}: {one}" for one in found]
        if found and run.exists():
            shutil.copytree(run, _KEPT / run.name, dirs_exist_ok=True)
        shutil.rmtree(run, ignore_errors=True)

    def _start(self, run: Path, *, guarded: bool, mark: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "whocut", "run", "image_generation", *_ASKS, "--out", str(run)]
        if guarded:
            self.budget_usd += _STEP_USD
            account = self.folder / "account.jsonl"
            command += [
                "--to",
                self.endpoint.url,
                "--budget-usd",
                f"{self.budget_usd:g}",
                "--chain",
                "article",
            ]
            command += ["--account", str(account), *([] if account.exists() else ["--new-account"])]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env={**os.environ, "OPENAI_API_KEY": KEY, MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _money(self) -> list[str]:
        account = self.folder / "account.jsonl"
        if not account.exists():
            return []
        found = SpendAccount(account)
        with found.locked() as tally:
            held_usd = tally.total_nano_usd / 1e9
        found.close()
        billed_usd = self.endpoint.billed_usd()
        return [
            f"{what}: ${high_usd:.4f} and ${low_usd:.4f}"
            for what, high_usd, low_usd in (
                ("the account is past its budget", held_usd, self.budget_usd),
                ("the account holds less than was billed", billed_usd, held_usd),
            )
            if high_usd > low_usd + 1e-9
        ]

    def report(self) -> str:
        """The counts."""
        killed = ", ".join(f"{victim} {times}" for victim, times in sorted(self.killed.items()))
        stages = ", ".join(f"{stage} {times}" for stage, times in sorted(self.stages.items()))
        return (
            f"{self.killed.total()} kills within {self.lasts_s:.1f} s of a run ({killed}); {self.too_late} "
            f"runs had ended before; left behind: {stages}; ${self.endpoint.billed_usd():.2f} billed of a budget "
            f"of ${self.budget_usd:.2f}; {len(self.findings)} findings"
        )


def _kill(pid: int, victim: str, mark: str) -> None:
    children = children_of(pid)
    of = {
        "the command": [pid],
        "all at once": [pid, *children],
        "the load": processes(mark, "whocut.load"),
        "the mock": processes(mark, "whocut_mock"),
    }[victim]
    for one in of or [pid]:  # it had not begun its children yet
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)


def _left_running(mark: str) -> Iterator[str]:
    """Processes of the run that are still there, long after it was killed; they are ended."""
    until_s = wall_s() + _PATIENCE_S
    while left := processes(mark):
        if wall_s() > until_s:
            for pid in left:
                with suppress(OSError):
                    yield f"it left a process: {Path(f'/proc/{pid}/cmdline').read_bytes()!r}"
                    os.kill(pid, signal.SIGKILL)
            return
        pause(0.2)


def _how_far(run: Path) -> str:
    """The last thing that a run had written when it ended."""
    for name, stage in (
        ("report.html", "a report"),
        ("summary.json", "a summary"),
        ("attempts.jsonl", "attempts"),
        ("manifest.json", "a manifest"),
    ):
        if (run / name).exists():
            return stage
    return "nothing"


def main(arguments: Sequence[str] | None = None) -> int:
    """Kill runs, look at what they left; the exit code."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=100)
    options.add_argument("--seed", type=int, default=7)
    asked = options.parse_args(arguments)
    with tempfile.TemporaryDirectory() as made, serving(Path(made)) as endpoint:
        kills = Kills(Path(made), endpoint, random.Random(asked.seed))
        kills.measure()
        with suppress(KeyboardInterrupt):  # what was seen until then is told
            for number in range(3 * asked.kills + 3):
                kills.one(number)
                sys.stderr.write(
                    f"{kills.killed.total()} of {asked.kills} kills, {len(kills.findings)} findings\n"
                )
                if kills.killed.total() >= asked.kills:
                    break
        print(kills.report())  # noqa: T201  # a tool, for its user
    for finding in kills.findings:
        print(f"FINDING {finding}")  # noqa: T201  # as above
    return 1 if kills.findings or kills.killed.total() < asked.kills else 0


if __name__ == "__main__":
    sys.exit(main())
