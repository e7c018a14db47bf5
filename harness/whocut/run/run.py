"""The main job: mock upstream (or, with `--to`, a real endpoint) + chain + load → run directory, verdicts, report.

This file puts the parts together; it decides nothing. The mock upstream and the load generator
are processes of their own (a stranger, and the only home of gevent); the hops run here, on this loop.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from whocut.chain.load import DRAIN_S, Load
from whocut.chain.models import refuse_unknown
from whocut.chain.raised import raised
from whocut.clock import Clock, run_real
from whocut.clock.clock import wall_s
from whocut.clock.pulse import Pulse
from whocut.errors import CouldNotRun
from whocut.path.chain import start_chain
from whocut.run.complaints import tell_once
from whocut.run.descriptors import refuse_too_many
from whocut.run.finish import check_wants, finish
from whocut.run.loads import ForeignLoad, start_load
from whocut.run.plan import manifest_of, refuse_taps_elsewhere
from whocut.run.processes import PATIENCE_REAL_S, Child
from whocut.run.progress import RunFollower, RunProgress
from whocut.run.several import name_workers
from whocut.run.signals import Signals
from whocut.run.upstream import start_upstream
from whocut.run.watching import RunWatch, StopAsked
from whocut.token import key_of
from whocut.trace import export
from whocut.trace.export import FileExporter
from whocut.trace.logs.in_run import LOGS
from whocut.trace.receiver import receive_into
from whocut.trace.rundir import SPANS, RunDir, SpanWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping

    from whocut.chain.load import LoadStage
    from whocut.path.chain import RunningChain
    from whocut.path.target import Target
    from whocut.run.finish import Finished
    from whocut.run.loads import LoadProcess
    from whocut.run.plan import Plan

# How long the live judge may take for what it has not read yet when a run has ended.
_LAST_LOOK_REAL_S = 20.0
# Taps export what they saw four times a second; their last spans are on the way when the load has ended.
_LAST_SPANS_REAL_S = 1.0


@dataclass
class Standing:
    """Everything around a load: the upstream, the chain, the follower; and what shows how far it is."""

    plan: Plan
    clock: Clock
    run_dir: RunDir
    watch: RunWatch
    progress: RunProgress
    began_s: float
    exporter: FileExporter | None
    pulse: Pulse
    signals: Signals
    ended_early: str | None = field(default=None)

    def ask_more(self, stages: tuple[LoadStage, ...]) -> None:
        """Put stages behind those that have been asked, for another load."""
        load = Load.from_plain(self.run_dir.manifest["load"])
        load = replace(load, stages=load.stages + stages, asked_before=len(load.stages))
        self.run_dir.manifest["load"] = load.to_plain()
        self.run_dir.write_manifest()
        self.watch.expect(load.asked)

    def finish(self) -> Finished:
        """Judge and report, when everything has ended."""
        self.progress.stage = "judging"
        self.watch.show(self.progress)
        lost = end_export(self.exporter)
        took_s = wall_s() - self.began_s
        with self.signals.without_the_loop():
            return finish(
                self.plan,
                self.run_dir,
                took_s=took_s,
                stalled_real_s=self.pulse.worst_stall_real_s,
                ended_early=self.ended_early,
                lost=lost,
            )


async def stand(stack: AsyncExitStack, plan: Plan, show: Callable[[RunProgress], None]) -> Standing:
    """Start everything around a load; the stack ends it.

    Raises:
        BadInput: the run directory cannot be used, a figure is wanted that is not measured, the mock does not
            serve the chain's model, the users do not fit the limit of open files, or no tap of the chain can be on
            the way.
        CouldNotRun: a port is taken, or a process could not start.
    """
    check_wants(plan)
    refuse_too_many(plan.users, plan.topology)
    refuse_taps_elsewhere(plan)
    if plan.to is None:
        refuse_unknown(plan.topology.upstream)
    began = wall_s()
    clock = Clock(plan.clock.scale)
    run_dir = RunDir.create(plan.out, manifest_of(plan, clock), replace=plan.replace)
    progress = RunProgress(asked=plan.asked, ledger=plan.to is None)
    tell_once(asyncio.get_running_loop())
    stop = StopAsked()
    signals = Signals(stop.ask, stop.ask_at_once)
    signals.listen()
    spans = SpanWriter(run_dir)
    stack.callback(spans.close)
    follower = RunFollower(run_dir, progress, spans)
    stack.callback(follower.close)
    if plan.otlp_port is not None:
        receiver = await receive_into(run_dir, port=plan.otlp_port)
        stack.push_async_callback(receiver.close)
    exporter = start_export(run_dir)
    upstream, control = None, None
    behind: Target | tuple[str, int]
    if plan.to is None:
        upstream = await start_upstream(plan, clock, run_dir, spans)
        stack.push_async_callback(upstream.stop)
        behind, control = ("127.0.0.1", upstream.port), upstream.control
    else:
        await plan.to.knock()
        behind = plan.to
    standing = replace(plan.topology, hops=plan.topology.standing)
    chain = await start_chain(
        standing,
        upstream=behind,
        clock=clock,
        sink=spans,
        port=plan.port if plan.listening is None else 0,
        real_logs=run_dir.path / LOGS,
    )
    stack.push_async_callback(chain.close)
    pulse = Pulse()
    await stack.enter_async_context(pulse.felt())
    base_urls, chains = {}, [chain]
    for mode, least_s in plan.raised_in.items():
        other = await start_chain(raised(plan.topology, least_s), upstream=behind, clock=clock, sink=spans)
        stack.push_async_callback(other.close)
        base_urls[mode] = other.base_url
        chains.append(other)
    doors = await _open_doors(stack, plan, chains, clock)
    _tell_the_load(run_dir, plan, chain.base_url, control, base_urls, doors)
    watch = RunWatch(
        run_dir, upstream, chain, follower, progress, show, stop, clock.real_s(DRAIN_S) + PATIENCE_REAL_S
    )
    if plan.listening is not None:
        watch = replace(watch, before=f"waiting for {plan.listening.workers} workers")
    return Standing(plan, clock, run_dir, watch, progress, began, exporter, pulse, signals)


async def run(plan: Plan, show: Callable[[RunProgress], None] = lambda _: None) -> Finished:
    """Do the main job; returns when everything is written, also after a Ctrl-C or the death of a process.

    Raises:
        BadInput: the run directory cannot be used, or the load refused what was asked of it.
        CouldNotRun: a port is taken, or a process could not start.
    """
    async with AsyncExitStack() as stack:
        standing = await stand(stack, plan, show)
        await _one_load(standing)
        while standing.ended_early is None and (more := plan.then(standing.run_dir)):
            standing.ask_more(more)
            await _one_load(standing)
    return standing.finish()


async def _one_load(standing: Standing) -> None:
    async with AsyncExitStack() as stack:
        load = await start_load(stack, standing.plan, standing.run_dir)
        stack.push_async_callback(load.stop)
        await _until_over(standing, load)
    if standing.plan.listening is not None:
        name_workers(standing.run_dir)


async def stand_for(plan: Plan, ready: Callable[[RunDir], None]) -> Finished:
    """The main job around a load that another process makes; its end is the end of our standard input.

    Raises:
        BadInput: the run directory cannot be used.
        CouldNotRun: a port is taken, or a process could not start.
    """
    async with AsyncExitStack() as last, AsyncExitStack() as stack:
        standing = await stand(stack, plan, lambda _: None)
        if plan.live:
            live = await _start_live_judge(standing.run_dir)
            last.push_async_callback(live.stop, _LAST_LOOK_REAL_S)  # when everything has been written
        load = await ForeignLoad.start()
        ready(standing.run_dir)
        await _until_over(standing, load)
    if plan.listening is not None:
        name_workers(standing.run_dir)
    return standing.finish()


async def _until_over(standing: Standing, load: LoadProcess) -> None:
    cut_short = await standing.watch.load(load)
    drained_not = await standing.watch.drain(standing.clock)
    standing.ended_early = cut_short or drained_not
    if standing.plan.to is not None and standing.plan.otlp_port is not None:
        await asyncio.sleep(_LAST_SPANS_REAL_S)


def start_export(run_dir: RunDir) -> FileExporter | None:
    """Send the spans on where the environment names a backend (``OTEL_EXPORTER_OTLP_ENDPOINT``)."""
    if not export.wanted():
        return None
    exporter = FileExporter(run_dir, export.exporter_from_environment())
    exporter.start()
    return exporter


def end_export(exporter: FileExporter | None) -> str | None:
    """What a backend did not take, in a sentence; None where it took everything."""
    counts = exporter.close() if exporter else None
    if counts is None or not (counts.failed or counts.dropped_bytes):
        return None
    return (
        f"the OTLP backend took {counts.sent} spans, refused {counts.failed} and was too slow for "
        f"{counts.dropped_bytes} bytes; all of them are in {SPANS}"
    )


async def _open_doors(
    stack: AsyncExitStack, plan: Plan, chains: Iterable[RunningChain], clock: Clock
) -> dict[str, int]:
    """A door to each chain where workers come from other machines; its port, by the chain's own."""
    doors: dict[str, int] = {}
    if plan.listening is None:
        return doors
    key = key_of(plan.listening.token, "chain")
    for chain in chains:
        door = await chain.open_door(key, plan.listening.host, 0 if doors else plan.port, clock)
        stack.push_async_callback(door.close)
        doors[str(chain.port)] = door.port
    return doors


def _tell_the_load(
    run_dir: RunDir,
    plan: Plan,
    base_url: str,
    control: str | None,
    base_urls: Mapping[str, str],
    doors: Mapping[str, int],
) -> None:
    load = Load(
        base_url=base_url,
        stages=plan.stages,
        users=plan.users,
        seed=plan.seed,
        partial_images=plan.partial_images,
        upstream_control=control,
        upstream_in={mode: dict(changes) for mode, changes in plan.upstream_in.items()},
        base_urls=dict(base_urls),
        spending=plan.spending,
        doors=dict(doors),
        local_chain=plan.listening is not None and plan.listening.local_chain,
    )
    run_dir.manifest["load"] = load.to_plain()
    run_dir.write_manifest()


async def _start_live_judge(run_dir: RunDir) -> Child:
    """It looks on; the run continues without it, should it end."""
    log = run_dir.path / "logs" / "live.log"
    return await Child.start("live judge", ["-m", "whocut.run.live", str(run_dir.path.resolve())], log=log)


def main_loop(job: Coroutine[Any, Any, Finished]) -> Finished:
    """Run the job on a loop of its own.

    Raises:
        CouldNotRun: this platform is not supported.
    """
    if sys.platform == "win32":
        job.close()
        raise CouldNotRun("whocut runs on Linux and macOS; use WSL on Windows")
    return run_real(job)
