"""A layer that falls in the middle of a run: the run ends, says what was lost and when, and the record stands."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from contextlib import contextmanager, suppress
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from tests.path.fakes import FakeUpstream, call, layer, ok, request, send, wait
from tests.path.gateways import needed
from tests.processes import MARK, processes, wait_until
from whocut.clock import Clock, run_real
from whocut.path import Hop
from whocut.trace.records import Span, SpanKind
from whocut.trace.rundir import RunDir

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.sockets

CHAINS = {
    "nginx": "layers: [cloudflare, {gateway: nginx}]",
    "haproxy": "layers: [{gateway: haproxy, timers: {first_byte: 60s, idle: 60s}}, nginx]",
}
# Breaks the hop's own code at the twentieth request, as a fault of ours would.
FAULTY = """
import runpy, sys
from itertools import count
from whocut.path.exchange import Exchange
begin, seen = Exchange.begin, count(1)
def broken(self):
    if next(seen) == 20:
        raise RuntimeError("planted by a test")
    begin(self)
Exchange.begin = broken
sys.argv[0] = "whocut"
runpy.run_module("whocut", run_name="__main__")
"""


@contextmanager
def started(tmp_path: Path, *command: str) -> Iterator[subprocess.Popen[str]]:
    """A command of ours, all of whose processes carry a mark."""
    with subprocess.Popen(
        [sys.executable, *command],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, MARK: str(tmp_path)},
    ) as running:
        yield running


def killed(tmp_path: Path, name: str) -> None:
    """The gateway's process, with the one signal that no program can hear."""
    (victim,) = processes(str(tmp_path), f"sbin/{name}")
    os.kill(victim, signal.SIGKILL)


def requests_at_the_death(run: RunDir) -> int:
    """How many requests had an attempt under way while a layer died, from its last sign of life to the notice."""
    ((last_s, noticed_s),) = {
        (span.start_s, span.end_s) for span in run.spans() if span.kind is SpanKind.DEATH
    }
    return len(
        {
            attempt.request
            for attempt in run.attempts()
            if attempt.started_s <= noticed_s and (attempt.ended_s is None or attempt.ended_s >= last_s)
        }
    )


@pytest.mark.gateway
@pytest.mark.parametrize("name", sorted(CHAINS))
def test_gateway_killed_in_a_run_ends_it_and_is_named_without_a_timer(tmp_path: Path, name: str) -> None:
    """Exit 3 and one sentence: who, when, how far it had come, what was lost; what it took down is judged."""
    needed(name)
    (tmp_path / "c.yaml").write_text(CHAINS[name])
    options = ["--chain", "c.yaml", "--requests", "500", "--users", "5", "--out", "run", "--json"]
    with started(tmp_path, "-m", "whocut", "run", *options) as running:
        wait_until(
            lambda: (
                (tmp_path / "run" / "ledger.jsonl").exists()
                and len(RunDir.open(tmp_path / "run").ledger()) >= 5  # all users are under way
            )
        )

        killed(tmp_path, name)
        words, complaints = running.communicate(timeout=60)

    summary = json.loads(words)
    rows = {(row["layer"], row["timer"]): row for row in summary["verdicts"]}
    fallen = rows[name, None]
    assert running.returncode == 3, complaints
    said = re.search(
        rf"whocut: {name} died [\d.]+ model seconds into the run: its process was ended by signal 9 \(SIGKILL\); "
        r"\d+ of 500 orders were answered(?: by then)?, (\d) w(?:as|ere) under way then, and what was recorded "
        r"is in run",
        complaints,
    )
    assert said, complaints
    taken_down = requests_at_the_death(RunDir.open(tmp_path / "run"))
    assert 1 <= taken_down == int(said[1]) <= 5  # all five, unless one was between two attempts just then
    assert "Traceback" not in complaints
    assert fallen["reason"] == "without a timer (its process was ended by signal 9 (SIGKILL))"
    assert summary["unattributed"] == 0
    # Where the machine stood still between the look at the ledger and the kill, a limit may have fired just then.
    stalled = max(summary[who]["worst_stall_s"] or 60 for who in ("hops", "generator")) > 12
    assert fallen["grade"] == "proven" or (stalled and fallen["grade"] == "testified")
    assert fallen["attempts"] >= 1
    assert summary["agreement"]["disagree"] == []
    assert f"{name} died" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert processes(str(tmp_path)) == []


@pytest.mark.gateway
def test_gateway_killed_under_up_ends_it_too(tmp_path: Path) -> None:
    """The stranger's request in flight is the gateway's, without a timer."""
    needed("nginx")
    (tmp_path / "c.yaml").write_text(CHAINS["nginx"])
    with started(
        tmp_path, "-m", "whocut", "up", "c.yaml", "--clock", "scaled:20", "--out", "run", "--json"
    ) as serving:
        assert serving.stdout is not None
        told = json.loads(serving.stdout.readline())
        asking = Thread(target=_ask, args=(told["base_url"],))
        asking.start()
        wait_until(lambda: RunDir.open(tmp_path / "run").ledger())

        killed(tmp_path, "nginx")
        words, complaints = serving.communicate(timeout=60)
        asking.join()

    (row,) = json.loads(words)["verdicts"]
    assert serving.returncode == 3
    assert re.search(
        r"whocut: nginx died [\d.]+ model seconds into the run: .*; requests begun: 1, under way then: 1; what was",
        complaints,
    ), complaints
    assert (row["layer"], row["timer"], row["grade"]) == ("nginx", None, "proven")
    assert processes(str(tmp_path)) == []


def _ask(base_url: str) -> None:
    body = b'{"model": "gpt-image-2", "prompt": "a cat", "quality": "high", "size": "1024x1024"}'
    headers = {"Authorization": "Bearer sk-a-stranger", "Content-Type": "application/json"}
    asked = urllib.request.Request(f"{base_url}/images/generations", data=body, headers=headers)
    with suppress(OSError), urllib.request.urlopen(asked):
        pass


def test_hop_whose_code_fails_ends_the_run_and_is_named(tmp_path: Path) -> None:
    """A fault of ours is said to be one, ends the run with exit 3, and is no layer's timer."""
    options = ["--requests", "500", "--users", "5", "--out", "run", "--json"]
    with started(tmp_path, "-c", FAULTY, "run", *options) as running:
        words, complaints = running.communicate(timeout=60)

    summary = json.loads(words)
    assert running.returncode == 3, complaints
    assert re.search(
        r"whocut: [a-z-]+ died [\d.]+ model seconds into the run: a fault of whocut's own, "
        r"RuntimeError: planted by a test; \d+ of 500 orders were answered",
        complaints,
    ), complaints
    assert [row["attempts"] for row in summary["verdicts"] if row["timer"] is None] == [1]
    assert summary["unattributed"] == 0
    assert processes(str(tmp_path)) == []


def fallen_of(hop: Hop) -> str:
    """Why it fell."""
    fallen = hop.look()
    assert fallen is not None
    return fallen.why


@pytest.mark.parametrize("ours", [errno.EMFILE, errno.ENOBUFS, errno.EADDRNOTAVAIL])
def test_hop_without_a_file_or_a_port_left_falls_and_does_not_call_its_upstream_dead(ours: int) -> None:
    """Nobody refused the connection: this machine had none to give."""
    spans: list[Span] = []

    async def no_more(_: Hop) -> object:
        raise OSError(ours, os.strerror(ours))

    async def main() -> str:
        hop = Hop(
            layer(),
            upstream=("127.0.0.1", 9),
            clock=Clock(),
            sink=spans.append,
            dial=no_more,  # type: ignore[arg-type]
        )
        await hop.listen()
        caller = await call(hop.port, request())
        await caller.response()
        why = fallen_of(hop)
        await hop.close()
        return why

    why = run_real(main())

    assert os.strerror(ours) in why
    assert [(span.kind, [event.name for event in span.events]) for span in spans] == [
        (SpanKind.DEATH, []),
        (SpanKind.HOP, ["hop.failed"]),
    ]


def test_hop_whose_spans_cannot_be_written_falls() -> None:
    """A full disk: the caller has its answer, and the run must not go on unrecorded."""

    def full(_: Span) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async def main() -> str:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        async with FakeUpstream((wait(0.01), send(ok()))) as upstream:
            hop = Hop(layer(), upstream=upstream.address, clock=Clock(), sink=full)
            await hop.listen()
            caller = await call(hop.port, request())
            await caller.response()
            why = fallen_of(hop)
            await hop.close()
        return why

    assert os.strerror(errno.ENOSPC) in run_real(main())


def test_hop_that_no_longer_listens_has_fallen() -> None:
    """Its server was closed, and not by us."""

    async def main() -> tuple[object, str]:
        hop = Hop(layer(), upstream=("127.0.0.1", 9), clock=Clock())
        await hop.listen()
        before = hop.look()
        assert hop._server is not None  # what a test breaks it has to reach
        hop._server.close()
        why = fallen_of(hop)
        await hop.close()
        return before, why

    before, why = run_real(main())

    assert before is None
    assert "no longer listens" in why
