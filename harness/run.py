"""The main job: mock upstream + chain + load → run directory, verdicts, report.

This file puts the parts together and watches them; it decides nothing. The mock upstream and the load generator
are processes of their own (a stranger, and the only home of gevent); the hops run here, on this loop.
"""

from __future__ import annotations

import asyncio
import platform
import signal
import sys
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

import scenarios
from harness.chain.plain import topology_to_plain
from harness.chain.timers import TimerKind
from harness.clock import Clock, ClockSpec
from harness.clock.clock import wall_s
from harness.errors import BadInput, CouldNotRun, nearest
from harness.path.chain import start_chain
from harness.processes import Child
from harness.trace.follow import Follower
from harness.trace.generations import generation_span
from harness.trace.rundir import ATTEMPTS, LEDGER, SUMMARY, RunDir, SpanWriter
from harness.verdict.summary import Judged, judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.chain.layers import Topology
    from harness.trace.records import SpanSink

SCENARIOS = Path(scenarios.__file__).parent
CHAINS = SCENARIOS / "chains"
_NOT_SCENARIOS = frozenset({"__init__", "image_user", "plan", "session"})
# Longest wait, in model seconds, for generations that run on after the last caller has gone: longer than any
# generation of the article's profiles (p95 280 s), so that the ledger is whole in all but the rarest run.
DRAIN_S = 600.0
_POLL_REAL_S = 0.1
# A generator that is late by more than this share of the shortest limit blurs who was first.
_TOLERABLE_STALL = 0.2
_PACKAGES = ("whocut", "openai", "locust", "aiohttp", "opentelemetry-sdk")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What was asked for on the command line."""

    scenario: Path
    topology: Topology
    clock: ClockSpec
    users: int
    requests: int
    modes: tuple[str, ...]
    seed: int
    out: Path
    replace: bool = False
    port: int = 0
    partial_images: int = 2
    command: tuple[str, ...] = ()


@dataclass(slots=True)
class Progress:
    """How far a run has come; what a terminal shows of it."""

    asked: int
    stage: str = "starting"
    requests: int = 0
    attempts: int = 0
    started: int = 0
    settled: int = 0


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that came to its end, or as far as it did."""

    run: RunDir
    topology: Topology
    judged: Judged
    report: Path | None
    ended_early: str | None = None  # why, in a sentence
    warnings: tuple[str, ...] = field(default=())

    @property
    def summary(self) -> dict[str, Any]:
        """What is printed and kept in ``summary.json``."""
        return {
            "run_dir": str(self.run.path),
            **self.judged.figures,
            "valid": not self.warnings,
            "warnings": list(self.warnings),
        }


def find_scenario(name_or_path: str) -> Path:
    """The file of a scenario given by name or by path.

    Raises:
        BadInput: neither a shipped scenario nor a file; names the nearest one.
    """
    shipped = {path.stem: path for path in sorted(SCENARIOS.glob("*.py")) if path.stem not in _NOT_SCENARIOS}
    if name_or_path in shipped:
        return shipped[name_or_path]
    path = Path(name_or_path)
    if path.suffix == ".py" and path.is_file():
        return path
    raise BadInput(
        f"there is no scenario '{name_or_path}'{nearest(name_or_path, shipped)}; shipped are "
        f"{', '.join(shipped)}, and a path to a .py file is taken too"
    )


async def run(plan: Plan, show: Callable[[Progress], None] = lambda _: None) -> Finished:
    """Do the main job; returns when everything is written, also after a Ctrl-C or the death of a process.

    Raises:
        BadInput: the run directory cannot be used.
        CouldNotRun: a port is taken, or a process could not start.
    """
    began = wall_s()
    clock = Clock(plan.clock.scale)
    run_dir = RunDir.create(plan.out, _manifest(plan, clock), replace=plan.replace)
    progress = Progress(asked=plan.requests * len(plan.modes))
    interrupted = asyncio.Event()
    _on_signals(interrupted.set)
    async with AsyncExitStack() as stack:
        spans = SpanWriter(run_dir)
        stack.callback(spans.close)
        books = _Books(run_dir, progress, spans)
        stack.callback(books.close)
        upstream, port = await _start_upstream(plan, clock, run_dir)
        stack.push_async_callback(upstream.stop)
        chain = await start_chain(
            plan.topology, upstream=("127.0.0.1", port), clock=clock, sink=spans, port=plan.port
        )
        stack.push_async_callback(chain.close)
        _tell_the_load(run_dir, plan, chain.base_url)
        load = await _start_load(plan, run_dir)
        stack.push_async_callback(load.stop)

        watch = _Watch(run_dir, upstream, books, progress, show, interrupted)
        ended_early = await watch.load(load)
        await watch.drain(clock)
    progress.stage = "judging"
    show(progress)
    return _finish(plan, run_dir, ended_early, wall_s() - began)


def judge_run(run_dir: RunDir, topology: Topology) -> Judged:
    """The verdicts on a run directory, made anew from what it holds."""
    return judge(run_dir.attempts(), run_dir.spans(), run_dir.ledger(), topology)


def _finish(plan: Plan, run_dir: RunDir, ended_early: str | None, took_s: float) -> Finished:
    from reports import write_report  # noqa: PLC0415  # matplotlib takes a second to import

    judged = judge_run(run_dir, plan.topology)
    judged.figures.update(
        scenario=plan.scenario.stem,
        chain=plan.topology.name,
        clock=str(plan.clock),
        seed=plan.seed,
        wall_s=round(took_s, 2),
    )
    warnings = tuple(_warnings(plan, run_dir, judged, ended_early))
    finished = Finished(run_dir, plan.topology, judged, None, ended_early, warnings)
    run_dir.write_summary(finished.summary)
    return replace(finished, report=write_report(run_dir, judged, plan.topology))


def _warnings(plan: Plan, run_dir: RunDir, judged: Judged, ended_early: str | None) -> list[str]:
    """What speaks against trusting the figures, in sentences."""
    found = []
    if ended_early:
        found.append(ended_early)
    waits = [
        timer.limit_s
        for layer in plan.topology.layers
        for timer in layer.timers.values()
        if timer.kind not in {TimerKind.CONNECT, TimerKind.KEEPALIVE}
    ]
    stall_s = (run_dir.generator() or {}).get("worst_stall_real_s", 0.0) * plan.clock.scale
    if waits and stall_s > _TOLERABLE_STALL * min(waits):
        found.append(
            f"the load generator's loop stalled for {stall_s:.1f} model seconds, and the shortest limit is "
            f"{min(waits):g} s: use fewer users or a smaller scale"
        )
    disagree = len(judged.figures["agreement"]["disagree"])
    if disagree:
        found.append(f"{disagree} verdicts and the ledger disagree; see agreement in {SUMMARY}")
    return found


def _manifest(plan: Plan, clock: Clock) -> dict[str, Any]:
    return {
        "whocut": metadata.version("whocut"),
        "scenario": plan.scenario.stem,
        "chain": plan.topology.name,
        "topology": topology_to_plain(plan.topology),
        "clock": {"written": str(plan.clock), "scale": clock.scale, "origin": clock.origin},
        "epoch_unix_s": clock.epoch_unix_s,
        "seed": plan.seed,
        "command": list(plan.command),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {name: metadata.version(name) for name in _PACKAGES},
    }


def _tell_the_load(run_dir: RunDir, plan: Plan, base_url: str) -> None:
    run_dir.manifest["load"] = {
        "base_url": base_url,
        "modes": list(plan.modes),
        "requests": plan.requests,
        "users": plan.users,
        "seed": plan.seed,
        "partial_images": plan.partial_images,
    }
    run_dir.write_manifest()


async def _start_upstream(plan: Plan, clock: Clock, run_dir: RunDir) -> tuple[Child, int]:
    arguments = ["-m", "mock_upstream", "--port", "0", "--exit-with-parent"]
    arguments += ["--clock", str(plan.clock), "--clock-origin", repr(clock.origin)]
    arguments += ["--epoch", repr(clock.epoch_unix_s), "--seed", str(plan.seed)]
    arguments += ["--ledger", str(run_dir.path / LEDGER)]
    log = run_dir.path / "logs" / "upstream.log"
    child = await Child.start("mock upstream", arguments, log=log, stdout=asyncio.subprocess.PIPE)
    line = await child.line()
    try:
        return child, int(orjson.loads(line)["port"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        await child.stop()
        raise child.died() from None


async def _start_load(plan: Plan, run_dir: RunDir) -> Child:
    arguments = ["-m", "locust", "--locustfile", str(plan.scenario), "--headless", "--skip-log-setup"]
    arguments += ["--users", str(plan.users), "--spawn-rate", str(max(100, plan.users))]
    # Work in flight when the load stops is drained up to a bound, then counted as censored.
    arguments += [
        "--stop-timeout",
        f"{max(1, round(DRAIN_S / plan.clock.scale))}",
        "--exit-code-on-error",
        "0",
    ]
    return await Child.start(
        "load generator",
        arguments,
        log=run_dir.path / "logs" / "load.log",
        environment={"WHOCUT_RUN": str(run_dir.path.resolve()), "OPENAI_API_KEY": "sk-whocut-mock"},
    )


def _on_signals(stop: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError, RuntimeError):
            loop.add_signal_handler(number, stop)


@dataclass(frozen=True, slots=True)
class _Watch:
    """Looks at everything ten times a second until it is over, however it ends."""

    run_dir: RunDir
    upstream: Child
    books: _Books
    progress: Progress
    show: Callable[[Progress], None]
    interrupted: asyncio.Event

    async def load(self, load: Child) -> str | None:
        """Until the load generator has ended; why it ended before its work was done, or None."""
        self.progress.stage = "under load"
        while load.returncode is None and self.upstream.returncode is None and not self.interrupted.is_set():
            await self._look()
        died = next((child.died() for child in (self.upstream, load) if child.returncode is not None), None)
        if load.returncode is None:
            self.progress.stage = "stopping"
            self.show(self.progress)
            await load.stop()
        self.books.read()
        answered = (self.run_dir.generator() or {}).get("answered")
        if answered == self.progress.asked:
            return None
        begun = f"{self.progress.requests} of {self.progress.asked} requests had begun"
        how_far = begun if answered is None else f"{answered} of {self.progress.asked} requests were answered"
        why = "stopped by a signal" if self.interrupted.is_set() else str(died)
        return f"{why}; {how_far}, and what was recorded stands in {self.run_dir.path}"

    async def drain(self, clock: Clock) -> None:
        """Until every generation is settled, or it has been long enough."""
        self.progress.stage = "waiting for generations nobody waits for"
        until_s = clock.now_s() + DRAIN_S
        while clock.now_s() < until_s and self.upstream.returncode is None and not self.interrupted.is_set():
            await self._look()
            if self.progress.settled >= self.progress.started:
                return

    async def _look(self) -> None:
        self.books.read()
        self.show(self.progress)
        await asyncio.sleep(_POLL_REAL_S)


class _Books:
    """Follows what the load and the upstream write: counts it, and makes a span of each settled generation."""

    def __init__(self, run_dir: RunDir, progress: Progress, spans: SpanSink) -> None:
        self._progress = progress
        self._spans = spans
        self._attempts = Follower(run_dir.path / ATTEMPTS)
        self._ledger = Follower(run_dir.path / LEDGER)
        self._requests: set[str] = set()
        self._open: dict[str, dict[str, Any]] = {}

    def read(self) -> None:
        """Take in what is new."""
        progress = self._progress
        for row in self._attempts.rows():
            self._requests.add(row["request"])
            progress.attempts += row["ended_s"] is not None
        progress.requests = len(self._requests)
        for row in self._ledger.rows():
            if row["state"] == "running":
                self._open[row["generation"]] = row
                progress.started += 1
                continue
            progress.settled += self._open.pop(row["generation"], None) is not None
            self._spans(generation_span(row))

    def close(self) -> None:
        """Write down what the upstream never settled: it was killed with work in its hands."""
        self.read()
        for row in self._open.values():
            self._spans(generation_span(row))


def main_loop(plan: Plan, show: Callable[[Progress], None]) -> Finished:
    """Run the job on a loop of its own.

    Raises:
        CouldNotRun: this platform is not supported.
    """
    if sys.platform == "win32":
        raise CouldNotRun("whocut runs on Linux and macOS; use WSL on Windows")
    return asyncio.run(run(plan, show))
