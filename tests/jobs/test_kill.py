"""Kill -9 at random instants, with real processes: no accepted job is lost, and none is paid twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest

from whocut.clock.clock import pause, wall_s
from whocut.path.ports import held_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.sockets

JOBS, KILLS = (
    int(os.environ.get(f"WHOCUT_KILL_{name}", usual)) for name, usual in (("JOBS", "40"), ("KILLS", "3"))
)
PATIENCE_S = 120.0 + 2 * JOBS


class Service:
    """`whocut jobs` as a process, which is killed and started again on one store and one port."""

    def __init__(self, folder: Path, port: int, to: str) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{port}"
        self._command = [sys.executable, "-m", "whocut", "jobs", "--to", to, "--at-once", "12", "--json"]
        self._command += ["--listen", f"127.0.0.1:{port}", "--store", str(folder / "jobs.db")]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin, and wait for the ready line."""
        with (self.folder / "jobs.log").open("ab") as log:
            self.process = subprocess.Popen(
                self._command, stdout=subprocess.PIPE, stderr=log, cwd=self.folder
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, (self.folder / "jobs.log").read_text()
        ready = json.loads(line)
        with open(ready["token_file"], encoding="ascii") as held:  # noqa: PTH123  # its path is the claim
            self.token = held.read().strip()
        assert self.token not in line.decode()

    def kill(self) -> None:
        """End it at this instant."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """One request; None where the service is not there."""
        sent = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"} | headers
        data = None if body is None else json.dumps(body).encode()
        request = Request(self.url + path, data=data, headers=sent, method=method)
        try:
            with urlopen(request, timeout=30) as answer:
                return json.loads(answer.read())
        except HTTPError as error:
            raise AssertionError(error.read()) from error
        except (URLError, OSError):
            return None


@pytest.fixture
def mock(tmp_path: Path) -> Iterator[str]:
    """The mock as a process of its own, a hundred times faster; its base URL."""
    command = [sys.executable, "-m", "whocut", "upstream", "--port", "0", "--clock", "scaled:100"]
    command += ["--ledger", str(tmp_path / "ledger.jsonl")]
    with (tmp_path / "mock.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
    assert process.stdout is not None
    try:
        ready = json.loads(process.stdout.readline())
        yield f"http://127.0.0.1:{ready['port']}/v1"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        process.stdout.close()


def ledger(folder: Path) -> list[dict[str, Any]]:
    """The mock's rows, each in its last state."""
    rows: dict[str, dict[str, Any]] = {}
    for line in (folder / "ledger.jsonl").read_bytes().splitlines():
        with suppress(json.JSONDecodeError):
            row = json.loads(line)
            rows[row["generation"]] = row
    return list(rows.values())


def test_no_job_is_lost_and_none_is_paid_twice_over_kills_at_random_instants(
    tmp_path: Path, mock: str
) -> None:
    """Each job ends as delivered or unknown, each prompt has at most one generation, and both accounts agree."""
    drawn = random.Random(os.environ.get("WHOCUT_KILL_SEED", "11"))
    with held_port() as port:
        service = Service(tmp_path, port, mock)
        service.start()
        try:
            accepted: dict[int, str] = {}
            kill_at = set(drawn.sample(range(JOBS), KILLS))
            for n in range(JOBS):
                order = {"prompt": f"heron number {n}", "quality": "low"}
                while (job := service.ask("POST", "/jobs", order, **{"Idempotency-Key": f"k{n}"})) is None:
                    pause(0.05)
                accepted[n] = job["id"]
                if n in kill_at:
                    pause(drawn.uniform(0, 0.5))
                    service.kill()
                    service.start()
            until = wall_s() + PATIENCE_S
            while True:
                jobs = {n: service.ask("GET", f"/jobs/{job_id}") for n, job_id in accepted.items()}
                if all(job["over"] for job in jobs.values()):
                    break
                assert wall_s() < until, {job["status"] for job in jobs.values()}
                pause(0.2)
        finally:
            service.kill()

    states = [job["status"] for job in jobs.values()]
    rows = [row for row in ledger(tmp_path) if row["state"] != "rejected"]
    made = [row["prompt_sha256"] for row in rows]
    assert set(states) <= {"delivered", "unknown"}
    assert states.count("delivered") + states.count("unknown") == JOBS
    assert "unknown" in states, "no kill met a job under way: the test has shown nothing"
    assert len(made) == len(set(made)), "a prompt was generated twice"
    assert sum(job["attempts"] for job in jobs.values()) >= len(made) >= states.count("delivered")
