"""A chain and the mock kept serving, for any client in any language, until a signal ends it.

The client knows nothing of us. A tap outside of it sees its attempts; the layers and the upstream write down
theirs. At the end the run is judged and reported like any other. Spans of other processes are taken by OTLP/HTTP.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from whocut.clock import Clock
from whocut.clock.clock import wall_s
from whocut.clock.pulse import Pulse
from whocut.errors import BadInput
from whocut.path.chain import start_chain
from whocut.run.complaints import tell_once
from whocut.run.finish import finish
from whocut.run.plan import manifest_of
from whocut.run.progress import RunFollower, RunProgress
from whocut.run.signals import Signals
from whocut.run.upstream import start_upstream
from whocut.run.watching import under_way
from whocut.stage.client_tap import ClientTap
from whocut.stage.grouping import attempts_of, name_requests
from whocut.trace.logs.in_run import LOGS
from whocut.trace.receiver import receive_into
from whocut.trace.rundir import ATTEMPTS, LineFile, RunDir, SpanWriter

if TYPE_CHECKING:
    from collections.abc import Callable

    from whocut.run.finish import Finished
    from whocut.run.plan import Plan
    from whocut.stage.sighting import Sighting

_LOOK_EVERY_REAL_S = 0.1


async def up(plan: Plan, ready: Callable[[str, str | None], None]) -> Finished:
    """Serve until a signal; `ready` gets the base URL and the OTLP endpoint as soon as both take requests.

    Taps, and layers between them, are before the door: the chain behind it is what is started.

    Raises:
        BadInput: the run directory cannot be used, or a layer is further out than the outermost tap.
        CouldNotRun: a port is taken, or the upstream could not start.
    """
    topology = plan.topology
    if topology.taps and topology.before_taps:
        raise BadInput(
            f"{topology.before_taps[0].name} is before the outermost tap of {topology.name}, and is not started "
            "there. Put a tap before it, or write it behind the taps."
        )
    began = wall_s()
    tell_once(asyncio.get_running_loop())
    clock = Clock(plan.clock.scale)
    run_dir = RunDir.create(plan.out, manifest_of(plan, clock), replace=plan.replace)
    stopped = asyncio.Event()
    signals = Signals(stopped.set)
    signals.listen()
    died = None
    async with AsyncExitStack() as stack:
        spans = SpanWriter(run_dir)
        stack.callback(spans.close)
        follower = RunFollower(run_dir, RunProgress(asked=0), spans)
        stack.callback(follower.close)
        receiver = None
        if plan.otlp_port is not None:
            receiver = await receive_into(run_dir, port=plan.otlp_port)
            stack.push_async_callback(receiver.close)
        upstream = await start_upstream(plan, clock, run_dir, spans)
        stack.push_async_callback(upstream.stop)
        chain = await start_chain(
            replace(topology, hops=topology.standing),
            upstream=("127.0.0.1", upstream.port),
            clock=clock,
            sink=spans,
            real_logs=run_dir.path / LOGS,
        )
        stack.push_async_callback(chain.close)
        tap = ClientTap(
            upstream=(chain.host, chain.port),
            clock=clock,
            client=topology.client.name,
            divides_waits=clock.scale != 1,
        )
        await tap.listen(plan.port)
        stack.callback(_write_down, run_dir, spans, tap.seen)
        stack.push_async_callback(tap.close)
        pulse = Pulse()
        await stack.enter_async_context(pulse.felt())
        ready(f"http://127.0.0.1:{tap.port}/v1", receiver.endpoint if receiver else None)
        while not stopped.is_set() and upstream.look() is None and chain.look() is None:
            follower.read()
            await asyncio.sleep(_LOOK_EVERY_REAL_S)
        fallen = chain.look() or upstream.look()
        if upstream.fallen is not None:
            follower.upstream_fell = upstream.fallen.why
    if fallen is not None:
        attempts = run_dir.attempts()
        died = (
            f"{fallen.sentence}; requests begun: {len({attempt.request for attempt in attempts})}, under way then: "
            f"{under_way(attempts, fallen)}; what was recorded is in {run_dir.path}"
        )
    stalled_real_s = pulse.worst_stall_real_s
    with signals.without_the_loop():
        return finish(plan, run_dir, took_s=wall_s() - began, stalled_real_s=stalled_real_s, ended_early=died)


def _write_down(run_dir: RunDir, spans: SpanWriter, seen: list[Sighting]) -> None:
    """The client's account, as it looked from outside."""
    with LineFile(run_dir.path / ATTEMPTS) as attempts:
        for tries in name_requests(attempts_of(seen)):
            for sighting in tries:
                attempts.write_json(sighting.record)
                spans(sighting.span())
