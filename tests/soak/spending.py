"""Money under the same faults: rounds of `whocut run --to` on one account, each until its budget is used up.

The budget of each round is one step higher than that of the round before. At no instant may the account hold more
than the budget of its round, nor may the endpoint, which is a mock of its own, have billed more than that.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from tests.soak.sampling import held_by
from whocut.client.spending import SpendAccount
from whocut.clock.clock import pause, wall_s

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY: Final = "sk-made-up-for-the-soak"
_USERS: Final = 20


@dataclass(slots=True)
class Rounds:
    """The rounds so far: what was allowed, what was held, what was billed."""

    folder: Path
    command: list[str]
    step_usd: float
    budget_usd: float = 0.0
    done: int = 0
    attempts: int = 0
    highest_share: float = 0.0
    findings: list[str] = field(default_factory=list)
    running: subprocess.Popen[bytes] | None = None
    _account: SpendAccount | None = None

    @property
    def _path(self) -> Path:
        return self.folder / "account.jsonl"

    def look(self) -> None:
        """Hold the account to its budget; begin the next round where the last one has ended."""
        self._check()
        if self.running is not None and self.running.poll() is not None:
            self._end(self.running.returncode)
        if self.running is None:
            self._begin()

    def stop(self) -> None:
        """Ask the round that runs for its end, and wait for it."""
        if self.running is not None:
            self.running.send_signal(signal.SIGINT)
            self._end(self.running.wait(600))
        self._check()
        if self._account is not None:
            self._account.close()

    def _begin(self) -> None:
        self.budget_usd += self.step_usd
        more = ["--budget-usd", f"{self.budget_usd:g}", "--account", str(self._path), "--json"]
        more += ["--out", str(self.folder / "round"), "--force"]
        more += [] if self._path.exists() else ["--new-account"]
        with (self.folder / "round.json").open("wb") as out, (self.folder / "round.log").open("ab") as log:
            self.running = subprocess.Popen(
                [*self.command, *more],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                env={**os.environ, "OPENAI_API_KEY": KEY},
            )

    def _end(self, code: int) -> None:
        self.running = None
        self.done += 1
        if code not in {0, 1, 3}:  # 3: the guard lets nothing more out
            self.findings.append(f"round {self.done} ended with exit code {code}")
        if "Traceback" in (self.folder / "round.log").read_text():
            self.findings.append(f"round {self.done} wrote a traceback into round.log")
        said = (self.folder / "round.json").read_bytes()
        self.attempts += orjson.loads(said)["attempts"] if said else 0

    def _check(self) -> None:
        if self._account is None:
            if not self._path.exists():
                return
            self._account = SpendAccount(self._path)
        with self._account.locked() as tally:
            held_usd = tally.total_nano_usd / 1e9
        billed_usd = _billed_usd(self.folder / "ledger.jsonl")
        self.highest_share = max(self.highest_share, held_usd / self.budget_usd)
        for what, usd in (("the account holds", held_usd), ("the endpoint has billed", billed_usd)):
            if usd > self.budget_usd + 1e-9:
                self.findings.append(f"{what} ${usd:.4f}, and the budget is ${self.budget_usd:.4f}")
        if billed_usd > held_usd + 1e-9:
            self.findings.append(
                f"the endpoint has billed ${billed_usd:.4f}, and the account knows ${held_usd:.4f}"
            )

    def report(self) -> str:
        """One line."""
        billed = _billed_usd(self.folder / "ledger.jsonl")
        return (
            f"spend guard: {self.done} rounds, {self.attempts} attempts, ${billed:.2f} billed of a budget of "
            f"${self.budget_usd:.2f}; the account held {self.highest_share:.1%} of its budget at most"
        )


def _billed_usd(ledger: Path) -> float:
    rows: dict[str, Any] = {}
    for line in ledger.read_bytes().splitlines(keepends=True):
        if line.endswith(b"\n"):
            row = orjson.loads(line)
            rows[row["generation"]] = row["billed_usd"]
    return float(sum(rows.values()))


@contextmanager
def guarded_rounds(
    folder: Path,
    scenario: Path,
    chain: Path,
    settings: dict[str, Any],
    *,
    clock: str,
    seed: int,
    step_usd: float,
) -> Iterator[tuple[Rounds, int]]:
    """An endpoint of its own, the rounds on it, and the endpoint's process; at the end its files must be closed."""
    folder.mkdir(parents=True)
    (folder / "mock.yaml").write_bytes(orjson.dumps(settings))  # JSON is YAML
    serve = [sys.executable, "-m", "whocut_mock", "--port", "0", "--exit-with-parent", "--clock", clock]
    serve += [
        "--seed",
        str(seed),
        "--ledger",
        str(folder / "ledger.jsonl"),
        "--config",
        str(folder / "mock.yaml"),
    ]
    with (folder / "mock.log").open("wb") as log:
        mock = subprocess.Popen(serve, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
    assert mock.stdout is not None
    assert mock.stdin is not None
    try:
        port = orjson.loads(mock.stdout.readline())["port"]
        at_start = held_by(mock.pid)
        command = [sys.executable, "-m", "whocut", "run", str(scenario), "--chain", str(chain)]
        command += ["--to", f"http://127.0.0.1:{port}/v1", "--clock", clock, "--users", str(_USERS)]
        command += ["--requests", "2000", "--seed", str(seed)]
        rounds = Rounds(folder, command, step_usd)
        try:
            yield rounds, mock.pid
        finally:
            rounds.stop()
        until_s = wall_s() + 120
        while (left := held_by(mock.pid)) and at_start and left.files > at_start.files and wall_s() < until_s:
            pause(0.5)
        if left and at_start and left.files > at_start.files:
            rounds.findings.append(
                f"the endpoint still holds {left.files - at_start.files} more files than at its start"
            )
    finally:
        mock.kill()
        mock.wait(30)
        mock.stdin.close()
        mock.stdout.close()
