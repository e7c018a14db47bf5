"""A thousand jobs, and kill -9 at random instants: ``python -m tests.kills.jobs --jobs 1000 --kills 20 --seed 7``.

Killed is the service (its worker is a part of it), the mock behind it, the receiver of callbacks, or all of them at
once; each comes back on its port, with what it had on the disk. A tap of this process stands between service and
mock, so each attempt has a verdict. Exits 1 on a finding; what it was seen in stays under ``build/kills``.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import orjson

from tests.kills.jobs.books import Books, Told
from tests.processes import doors
from whocut.chain.layers import Layer
from whocut.clock import Clock, run_real
from whocut.clock.clock import wall_s
from whocut.foreign.material import judge_material
from whocut.jobs.records import JobState
from whocut.path.hop import Hop
from whocut.path.ports import held_port
from whocut.path.tap import Tap
from whocut.trace.generations import generation_span
from whocut.trace.records import TapSide
from whocut_mock.ledger import read

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from whocut.trace.records import Span

_KEPT: Final = Path("build/kills/jobs")
_SCALE: Final = 10.0  # an image is under way for some two seconds
_AT_ONCE: Final = 20
_OPEN: Final = 60  # jobs that are accepted and not over, at most
_FEEDERS: Final = 6
_PATIENCE_S: Final = 120.0  # without any progress
_SERVICE, _MOCK, _RECEIVER, _ALL = "the service", "the mock", "the receiver", "all at once"
_VICTIMS: Final = (_SERVICE, _MOCK, _RECEIVER, _ALL)


class Process:
    """A process that says a line when it is ready; it can be killed and started again."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, *arguments: str) -> bytes:
        """Begin, and return the line."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", *arguments, stdout=asyncio.subprocess.PIPE, stderr=log
            )
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        assert line, self._log.read_text()
        return line

    async def end(self, by: signal.Signals = signal.SIGKILL) -> None:
        """End it at this instant, and wait until it is gone."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(by)
            await self._process.communicate()


@dataclass
class Scene:
    """What stands: the service, a tap, the mock, the receiver; and the orders so far."""

    folder: Path
    ports: tuple[int, int, int, int]
    jobs: int
    clock: Clock
    session: aiohttp.ClientSession
    promised: dict[str, str] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)
    over: int = 0
    lives: int = 0  # of the mock
    kills: Counter[str] = field(default_factory=Counter)
    token: str = ""
    _ready: dict[str, Any] = field(default_factory=dict)
    _hop: Hop | None = None

    def __post_init__(self) -> None:
        self._service, self._mock, self._receiver = (
            Process(self.folder / f"{name}.log") for name in ("service", "mock", "receiver")
        )

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}"

    async def start(self, victim: str = _ALL) -> None:
        """Begin, or begin again, what is killed as this."""
        if victim in {_MOCK, _ALL}:
            await self._start_mock()
        if victim in {_RECEIVER, _ALL}:
            file = str(self.folder / "callbacks.jsonl")
            await self._receiver.start("tests.kills.jobs.receiver", str(self.ports[3]), file)
        if victim in {_SERVICE, _ALL}:
            listen, store = f"127.0.0.1:{self.ports[0]}", str(self.folder / "jobs.db")
            line = await self._service.start(
                *("whocut", "jobs", "--to", f"http://127.0.0.1:{self.ports[1]}/v1", "--listen", listen),
                *("--store", store, "--at-once", str(_AT_ONCE), "--json"),
            )
            self.token = _text(orjson.loads(line)["token_file"])

    async def _start_mock(self) -> None:
        """A life of its own: its seed and its ledger; then the tap before it, which refuses callers until then."""
        ledger = self.folder / f"ledger-{self.lives}.jsonl"
        line = await self._mock.start(
            *("whocut_mock", "--port", str(self.ports[2]), "--dialect", "openai", "--seed", str(self.lives)),
            *("--clock", f"scaled:{_SCALE:g}", "--clock-origin", repr(self.clock.origin)),
            *("--epoch", repr(self.clock.epoch_unix_s), "--ledger", str(ledger)),
        )
        self._ready = orjson.loads(line)
        self.lives += 1
        self._hop = Hop(
            Layer(name="tap", title="the tap", silent=True),
            upstream=("127.0.0.1", self.ports[2]),
            clock=self.clock,
            sink=self.spans.append,
            tap=Tap(side=TapSide.ALONE),
        )
        await self._hop.listen("127.0.0.1", self.ports[1])

    async def kill(self, victim: str) -> None:
        """End it by SIGKILL, at once, and start it again."""
        self.kills[victim] += 1
        of = {_SERVICE: (self._service,), _MOCK: (self._mock,), _RECEIVER: (self._receiver,)}
        await asyncio.gather(
            *(one.end() for one in of.get(victim, (self._service, self._mock, self._receiver)))
        )
        if victim in {_MOCK, _ALL}:
            await self._close_hop()
        await self.start(victim)

    async def _close_hop(self) -> None:
        assert self._hop is not None
        await asyncio.sleep(0.01)  # the resets are handed on first
        await self._hop.close()

    async def stop(self) -> None:
        """End everything in good order, when the mock has finished what runs."""
        await self._service.end(signal.SIGTERM)
        await self._receiver.end(signal.SIGTERM)
        door = doors(self._ready, "health")
        while True:
            async with self.session.get(door.full_url, headers=dict(door.header_items())) as answer:
                if not (await answer.json())["running"]:
                    break
            await asyncio.sleep(0.1)
        await self._close_hop()
        await self._mock.end(signal.SIGTERM)

    async def end(self) -> None:
        """End what is still there."""
        await asyncio.gather(*(one.end() for one in (self._service, self._receiver, self._mock)))

    async def submit(self, number: int) -> None:
        """One order, under one key, until the service has answered it."""
        order: dict[str, Any] = {"prompt": f"heron number {number}", "quality": "low"}
        order |= {"output_format": "jpeg", "partial_images": number % 3}
        order["webhook"] = f"http://127.0.0.1:{self.ports[3]}/hook"
        while True:
            headers = {"Authorization": f"Bearer {self.token}", "Idempotency-Key": f"key-{number}"}
            try:
                async with self.session.post(f"{self._url}/jobs", json=order, headers=headers) as answer:
                    told = await answer.json()
            except (aiohttp.ClientError, OSError):
                await asyncio.sleep(0.1)
                continue
            assert answer.status in {200, 202}, told
            self.promised[sha256(order["prompt"].encode()).hexdigest()] = told["id"]
            return

    def asked(self, statement: str) -> list[tuple[Any, ...]]:
        """Rows of the service's store, which is only read."""
        with sqlite3.connect(f"file:{self.folder / 'jobs.db'}?mode=ro", uri=True) as db:
            rows = db.execute(statement).fetchall()
        db.close()
        return rows

    async def credits_usd(self) -> float:
        """What the service counts as spent, and as perhaps spent."""
        headers = {"Authorization": f"Bearer {self.token}"}
        async with self.session.get(f"{self._url}/credits", headers=headers) as answer:
            told = await answer.json()
        return float(told["spent_usd"]) + float(told["unknown_usd"])

    def books(self, spent_usd: float) -> Books:
        """All accounts, when everything has ended."""
        rows, cut_short = [], set()
        for life in range(self.lives):
            begun = [row for row in read(self.folder / f"ledger-{life}.jsonl") if row["state"] != "refused"]
            rows += begun
            if life < self.lives - 1:
                cut_short |= {row["generation"] for row in begun if row["state"] == "running"}
        told = self.asked(
            "select jobs.id, wanted, jobs.state, attempts, letters.state from jobs"
            " left join letters on letters.job = jobs.id"
        )
        jobs = [
            Told(
                job_id,
                sha256(orjson.loads(wanted)["prompt"].encode()).hexdigest(),
                JobState(state),
                attempts,
                str(callback),
            )
            for job_id, wanted, state, attempts, callback in told
        ]
        callbacks = (self.folder / "callbacks.jsonl").read_bytes().splitlines()
        spans = [*self.spans, *(generation_span(row) for row in rows)]
        return Books(
            promised=self.promised,
            jobs=jobs,
            rows=rows,
            cut_short=frozenset(cut_short),
            callbacks=[orjson.loads(line) for line in callbacks],
            secret=str(self.asked("select value from facts where name='secret'")[0][0]),
            spent_usd=spent_usd,
            verdicts=judge_material(spans, (), ())[0],
            kills=self.kills,
        )


def _text(path: str) -> str:
    return Path(path).read_text("ascii").strip()


async def _feed(scene: Scene, numbers: list[int]) -> None:
    while numbers:
        while len(scene.promised) - scene.over > _OPEN:  # noqa: ASYNC110  # the store tells no event
            await asyncio.sleep(0.05)
        await scene.submit(numbers.pop())


async def _watch(scene: Scene, progress: Callable[[Scene], None]) -> None:
    """Until each job is over and each callback is answered."""
    last, since_s = (0, 0), wall_s()
    while True:
        await asyncio.sleep(0.2)
        over, open_letters = scene.asked(
            "select (select count(*) from jobs where ended_s is not null),"
            " (select count(*) from letters where state='open')"
        )[0]
        scene.over = over
        if (over, open_letters) != last:
            last, since_s = (over, open_letters), wall_s()
            progress(scene)
        if over >= scene.jobs and not open_letters:
            return
        assert wall_s() - since_s < _PATIENCE_S, (
            f"{over} of {scene.jobs} are over, then nothing more happened"
        )


async def _kill(scene: Scene, draw: random.Random, kills: int) -> None:
    """At random instants of the whole work; each victim about as often."""
    victims = [_VICTIMS[number % len(_VICTIMS)] for number in range(kills)]
    draw.shuffle(victims)
    instants = sorted(draw.uniform(0, scene.jobs * 0.97) for _ in victims)
    for after, victim in zip(instants, victims, strict=True):
        while scene.over < after:  # noqa: ASYNC110  # as above
            await asyncio.sleep(0.02)
        await asyncio.sleep(draw.uniform(0, 0.5))
        await scene.kill(victim)


async def play(
    folder: Path, *, jobs: int, kills: int, seed: int, progress: Callable[[Scene], None] = lambda _: None
) -> Books:
    """Order, kill, wait for all ends, and read what everything holds."""
    with ExitStack() as ports:
        taken = [ports.enter_context(held_port()) for _ in range(4)]
        timeout = aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
            scene = Scene(folder, (taken[0], taken[1], taken[2], taken[3]), jobs, Clock(_SCALE), session)
            try:
                await scene.start()
                async with asyncio.TaskGroup() as at_work:
                    numbers = list(range(jobs))[::-1]
                    for _ in range(_FEEDERS):
                        at_work.create_task(_feed(scene, numbers))
                    killing = at_work.create_task(_kill(scene, random.Random(seed), kills))
                    await _watch(scene, progress)
                    await killing
                    await _watch(scene, progress)  # what the last kill has left open
                spent_usd = await scene.credits_usd()
                await scene.stop()
            finally:
                await scene.end()
            return scene.books(spent_usd)


def main(arguments: Sequence[str] | None = None) -> int:
    """Play it, say what was seen; the exit code."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--jobs", type=int, default=1000)
    options.add_argument("--kills", type=int, default=20)
    options.add_argument("--seed", type=int, default=7)
    asked = options.parse_args(arguments)
    os.environ.pop("OPENAI_API_KEY", None)  # the service sends a key of its own to the loopback

    def progress(scene: Scene) -> None:
        said = f"{scene.over} of {asked.jobs} jobs over, {scene.kills.total()} of {asked.kills} kills"
        sys.stderr.write(f"\r{said}")
        sys.stderr.flush()

    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        books = run_real(play(folder, jobs=asked.jobs, kills=asked.kills, seed=asked.seed, progress=progress))
        findings = list(books.findings())
        if findings:
            shutil.copytree(folder, _KEPT, dirs_exist_ok=True)
    sys.stdout.write(f"\n{books.report()}\n{len(findings)} findings\n")
    for finding in findings:
        sys.stdout.write(f"FINDING {finding}\n")
    return 1 if findings or books.kills.total() < asked.kills else 0


if __name__ == "__main__":
    sys.exit(main())
