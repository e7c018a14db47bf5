"""A run on three machines: a master, two workers, one run directory, and nothing but their token between them."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.commands import has_finding, whocut
from tests.machines import Machine, machines
from tests.processes import wait_until
from whocut.trace.rundir import ATTEMPTS, MANIFEST, SUMMARY, RunDir

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

pytestmark = [pytest.mark.sockets, pytest.mark.xdist_group("machines")]

ROOT = Path(__file__).parents[2]
LOAD_LOG = "logs/load.log"
TOKEN = "a-token-of-this-test-and-of-no-other"
WHOCUT = (sys.executable, "-m", "whocut")
# Some of these images are made in time, and some are not.
CHAIN = """\
client: openai-python
layers: [{preset: nginx, timers: {idle: 140s}}]
upstream: gpt-image-2
"""
ASKED = (
    "image_generation",
    *(
        "--chain",
        "chain.yaml",
        "--clock",
        "scaled:50",
        "--users",
        "8",
        "--requests",
        "32",
        "--mode",
        "no-retry",
    ),
)


@pytest.fixture
def three(tmp_path: Path) -> Iterator[list[Machine]]:
    """A master's machine and two others; the chain lies in the test's folder."""
    (tmp_path / "chain.yaml").write_text(CHAIN)
    with machines(3) as found:
        yield found


def start_run(machine: Machine, folder: Path, *options: str) -> subprocess.Popen[str]:
    """A run that waits for two workers."""
    words = (*WHOCUT, "run", *ASKED, "--listen", machine.address, "--workers", "2", "--out", "run", "--json")
    return machine.start(*words, *options, cwd=folder, env={"WHOCUT_TOKEN": TOKEN})


def start_worker(
    machine: Machine, master: Machine, folder: Path, *options: str, token: str = TOKEN
) -> subprocess.Popen[str]:
    """A worker; its token goes by its environment."""
    words = (*WHOCUT, "worker", "--master", master.address, *options)
    return machine.start(*words, cwd=folder, env={"WHOCUT_TOKEN": token})


def count(file: Path) -> int:
    """Its whole lines."""
    return file.read_bytes().count(b"\n")


def read(running: subprocess.Popen[str]) -> tuple[dict[str, Any], str]:
    """What a run says at its end."""
    out, error = running.communicate(timeout=170)
    assert "Traceback" not in error, error
    return json.loads(out), error


def test_two_workers_elsewhere_make_one_run_with_the_figures_of_one_machine(
    three: list[Machine], tmp_path: Path
) -> None:
    """Their records come to the master, every request once; a comparison with one machine finds no difference."""
    master, *others = three
    whocut("run", *ASKED, "--out", "alone", cwd=tmp_path, check=None)

    running = start_run(master, tmp_path)
    workers = [start_worker(machine, master, tmp_path) for machine in others]
    summary, error = read(running)

    said = [worker.communicate(timeout=60) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], said
    assert running.returncode == has_finding(summary), error
    assert "waiting for 2 workers: 0 of 32 requests" in error
    run = RunDir.open(tmp_path / "run")
    attempts = run.attempts()
    assert summary["requests"] == len({attempt.request for attempt in attempts}) == 32
    assert [worker["answered"] for worker in summary["generator"]["workers"]] == [16, 16]
    assert not any(worker["lost"] for worker in summary["generator"]["workers"])
    assert summary["agreement"] == {"checked": 32, "disagree": []}
    compared = json.loads(whocut("compare", "alone", "run", "--json", cwd=tmp_path, check=None).stdout)
    rows = {row["measure"]: row for row in compared["comparisons"][0]["rows"]}
    assert 0 < rows["delivered"]["before"] < 1
    for row in rows.values():
        low, high = row["interval"] or (0.0, 0.0)
        assert low <= 0 <= high, row


def test_worker_without_the_run_s_token_is_refused_in_one_sentence(
    three: list[Machine], tmp_path: Path
) -> None:
    """With another one, and with none; the run waits on for those that have it, and says the token nowhere."""
    master, one, other = three
    running = start_run(master, tmp_path, "--requests", "8")

    wrong = start_worker(one, master, tmp_path, token="another-token-another-token")
    _, said = wrong.communicate(timeout=120)
    none = whocut("worker", "--master", master.address, cwd=tmp_path, check=2)
    workers = [start_worker(machine, master, tmp_path) for machine in (one, other)]
    summary, error = read(running)

    assert wrong.returncode == 3
    *before, sentence = said.splitlines()
    assert "does not take this worker: the token is not that of its run" in sentence
    assert all("no master answers" in one for one in before), said  # it may be there before the master is
    assert "a worker needs the token of its run" in none.stderr
    assert summary["requests"] == 8
    for worker in workers:
        worker.communicate(timeout=60)
    assert TOKEN not in error
    for file in (tmp_path / "run").rglob("*"):
        assert not file.is_file() or TOKEN.encode() not in file.read_bytes(), file


def test_worker_whose_cable_is_pulled_is_lost_and_the_run_goes_on(
    three: list[Machine], tmp_path: Path
) -> None:
    """The other one makes its share; what was recorded stays; what was under way there is unknown, no timeout."""
    master, one, other = three
    running = start_run(master, tmp_path)
    workers = [start_worker(machine, master, tmp_path) for machine in (one, other)]
    run = tmp_path / "run"
    wait_until((run / LOAD_LOG).is_file)
    wait_until((run / ATTEMPTS).is_file)
    wait_until(lambda: count(run / ATTEMPTS) >= 20)

    other.pull_the_cable()
    summary, error = read(running)

    workers[1].kill()
    for worker in workers:
        worker.communicate(timeout=60)
    assert running.returncode == 3, error
    lost, whole = sorted(summary["generator"]["workers"], key=lambda worker: not worker["lost"])
    (loss,) = lost["lost"]
    assert whole["lost"] == []
    assert whole["answered"] == 16 > loss["answered"]
    assert f"worker {lost['worker']} was last heard of at {loss['last_heard_s']:g} s" in error
    named = {worker["worker"]: worker["lost"] for worker in RunDir.open(run).manifest["workers"]}
    assert named == {lost["worker"]: [loss], whole["worker"]: []}
    attempts = RunDir.open(run).attempts()
    unknown = [attempt for attempt in attempts if attempt.ended_s is None]
    assert summary["censored"] == len(unknown) > 0
    assert summary["requests"] == 16 + loss["answered"] + len(unknown) == len(attempts)
    assert summary["outcomes"].get("timeout", 0) == 0
    assert summary["agreement"]["disagree"] == []


@contextmanager
def redis_on(machine: Machine, folder: Path) -> Iterator[str]:
    """The address of a Redis on one of the machines."""
    binary = shutil.which("redis-server")
    if binary is None:
        if os.environ.get("CI") == "true":
            pytest.fail("redis-server is not installed, and on a CI machine nothing may be missing")
        pytest.skip("redis-server is not installed: apt-get install redis-server")
    words = ("--bind", machine.address, "--protected-mode", "no", "--save", "", "--appendonly", "no")
    server = machine.start(binary, *words, cwd=folder)
    try:
        assert server.stdout is not None
        while "Ready to accept connections" not in server.stdout.readline():
            assert server.poll() is None
        yield f"redis://{machine.address}:6379/0"
    finally:
        server.terminate()
        server.communicate(timeout=60)


SCENARIO = """\
from whocut.load import ImageUser, wanted

SCENARIO = {
    "chain": "chain.yaml",
    "modes": {"no-retry": "one answer at the end"},
    "clock": "scaled:50",
    "users": 8,
    "requests": 40,
    "upstream": {"latency": {"constant_s": 5.0}, "quota": {"images_per_min": 10}},
}


class Quick(ImageUser):
    def ask(self, client, order):
        client.images.generate(**wanted(self.session.topology.upstream, order))
"""


def test_workers_with_their_own_chains_share_one_quota(three: list[Machine], tmp_path: Path) -> None:
    """Two mocks on two machines let in together what one would; all they wrote is in the one run directory."""
    master, *others = three
    (tmp_path / "quick.py").write_text(SCENARIO)
    with redis_on(master, tmp_path) as redis:
        words = ("run", "quick.py", "--listen", master.address, "--workers", "2", "--out", "run", "--json")
        more = ("--local-chain", "--quota-in", redis)
        running = master.start(*WHOCUT, *words, *more, cwd=tmp_path, env={"WHOCUT_TOKEN": TOKEN})
        workers = [start_worker(machine, master, tmp_path) for machine in others]
        summary, error = read(running)

    said = [worker.communicate(timeout=60) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], said
    assert running.returncode == has_finding(summary), error
    run = RunDir.open(tmp_path / "run")
    rows = run.ledger()
    let_in = sorted(row["accepted_s"] for row in rows if row["state"] == "settled")
    assert len(rows) == summary["requests"] == 40
    assert 10 <= len(let_in) <= 10 + 1 + (let_in[-1] - let_in[0]) * 10 / 60
    assert summary["outcomes"] == {"delivered": len(let_in), "rejected": 40 - len(let_in)}
    assert summary["agreement"] == {"checked": 40, "disagree": []}
    assert {worker["answered"] for worker in summary["generator"]["workers"]} == {20}
    assert not any(row["state"] == "running" for row in rows)


@pytest.mark.long
def test_plain_locust_makes_the_run_that_the_operator_s_manifest_describes(
    three: list[Machine], tmp_path: Path
) -> None:
    """Master and workers are started as Locust's Kubernetes operator starts them, in the words of the manifest."""
    master, *others = three
    spec = yaml.safe_load((ROOT / "docs" / "kubernetes" / "locusttest.yaml").read_text())["spec"]
    (tmp_path / "locustfile.py").write_text(spec["locustfile"]["content"])
    args = spec["args"].replace("/home/locust", str(tmp_path)).replace("/tmp/run", str(tmp_path / "run"))
    locust = str(Path(sys.executable).with_name("locust"))
    env = {"WHOCUT_TOKEN": TOKEN}

    running = master.start(locust, "--master", *shlex.split(args), cwd=tmp_path, env=env)
    words = (locust, "--worker", "--master-host", master.address, *shlex.split(args))
    workers = [machine.start(*words, cwd=tmp_path, env=env) for machine in others]
    run = tmp_path / "run"
    try:
        for name in (MANIFEST, ATTEMPTS, SUMMARY):
            wait_until((run / name).is_file)
    finally:
        for process in (running, *workers):
            process.terminate()
        said = [process.communicate(timeout=60) for process in (running, *workers)]

    summary = RunDir.open(run).summary()
    assert summary is not None, said
    assert summary["requests"] == 40
    assert [worker["answered"] for worker in summary["generator"]["workers"]] == [20, 20]
    assert [one["lost"] for one in RunDir.open(run).manifest["workers"]] == [[], []]
    assert TOKEN not in "".join(words for pair in said for words in pair)
