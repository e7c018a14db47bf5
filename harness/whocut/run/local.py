"""A worker's own chain, on the worker's machine: ``python -m whocut.run.local``, with the run's task on its input.

The first line is the manifest, as the master told it, with the origin of the run's clock on this machine. What
layers and mock write goes into a folder of this machine; the worker sends it to the master, line by line. The end
of the input is the end of the load: generations that still run are waited for, as long as the master would.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import orjson

from whocut.chain.load import DRAIN_S, Load
from whocut.chain.models import refuse_unknown
from whocut.chain.plain import topology_from_plain
from whocut.chain.raised import raised
from whocut.clock import Clock, ClockSpec, run_real
from whocut.clock.pulse import Pulse
from whocut.errors import WhocutError
from whocut.path.chain import start_chain
from whocut.run.complaints import tell_once
from whocut.run.loads import ForeignLoad
from whocut.run.plan import Plan
from whocut.run.progress import RunFollower, RunProgress
from whocut.run.upstream import start_upstream
from whocut.trace.logs.in_run import LOGS
from whocut.trace.rundir import RunDir, SpanWriter

_LOOK_EVERY_REAL_S: Final = 0.1
_MOST_BYTES: Final = 64 * 1024 * 1024


async def stand_here(manifest: dict[str, Any]) -> None:
    """Serve until the standard input ends.

    Raises:
        WhocutError: a port is taken, a gateway is not installed, or the mock refuses its settings.
    """
    load = Load.from_plain(manifest["load"])
    clock = Clock.of_run(manifest)
    plan = Plan(
        scenario=Path(manifest["scenario"]),
        topology=topology_from_plain(manifest["topology"]),
        clock=ClockSpec(clock.scale),
        users=load.users,
        stages=load.stages,
        seed=manifest["seed"],
        out=Path(tempfile.mkdtemp(prefix="whocut-worker-")),
        upstream=manifest["upstream"],
    )
    refuse_unknown(plan.topology.upstream)
    tell_once(asyncio.get_running_loop())
    run_dir = RunDir.create(plan.out, manifest)
    async with AsyncExitStack() as stack:
        spans = SpanWriter(run_dir)
        stack.callback(spans.close)
        upstream = await start_upstream(plan, clock, run_dir, spans)
        stack.push_async_callback(upstream.stop)
        behind = ("127.0.0.1", upstream.port)
        chain = await start_chain(
            replace(plan.topology, hops=plan.topology.standing),
            upstream=behind,
            clock=clock,
            sink=spans,
            real_logs=run_dir.path / LOGS,
        )
        stack.push_async_callback(chain.close)
        base_urls = {}
        for mode, least_s in manifest["raised_in"].items():
            other = await start_chain(
                raised(plan.topology, least_s), upstream=behind, clock=clock, sink=spans
            )
            stack.push_async_callback(other.close)
            base_urls[mode] = other.base_url
        run_dir.manifest["load"] = replace(
            load, base_url=chain.base_url, base_urls=base_urls, upstream_control=upstream.control, doors={}
        ).to_plain()
        run_dir.write_manifest()
        pulse = Pulse()
        await stack.enter_async_context(pulse.felt())
        master = await ForeignLoad.start()
        _say({"run_dir": str(run_dir.path)})
        follower = RunFollower(run_dir, RunProgress(asked=0), lambda _: None)
        while master.returncode is None and chain.look() is None and upstream.look() is None:
            follower.read()
            await asyncio.sleep(_LOOK_EVERY_REAL_S)
        fallen = chain.look() or upstream.look()
        if fallen is not None:
            sys.stderr.write(f"whocut: {fallen.sentence}\n")
            return
        await _settled(follower, clock)
        _say({"stall_real_s": pulse.worst_stall_real_s})


def _say(fact: dict[str, object]) -> None:
    """A line for the worker."""
    sys.stdout.buffer.write(orjson.dumps(fact) + b"\n")
    sys.stdout.buffer.flush()


async def _settled(follower: RunFollower, clock: Clock) -> None:
    """Until the mock works on nothing any more."""
    progress = follower.progress
    until_s = clock.now_s() + DRAIN_S
    follower.read()
    while progress.started > progress.settled and clock.now_s() < until_s:
        await asyncio.sleep(_LOOK_EVERY_REAL_S)
        follower.read()


def main() -> int:
    """Read the task, serve, and end with a sentence and an exit code."""
    task = sys.stdin.buffer.readline(_MOST_BYTES)
    try:
        run_real(stand_here(orjson.loads(task)))
    except WhocutError as error:
        sys.stderr.write(f"whocut: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
