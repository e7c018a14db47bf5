"""The mock upstream as a process of the run's own: told its settings, and watched for an end nobody asked for.

Such an end is nobody's timer: it is written down as a span, like that of any fallen layer.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import orjson

from whocut.errors import BadInput
from whocut.path.fallen import Fallen, ended_how
from whocut.run.processes import Child
from whocut.trace.generations import UPSTREAM as LAYER
from whocut.trace.rundir import LEDGER, UPSTREAM, RunDir, write_json

if TYPE_CHECKING:
    from whocut.clock import Clock
    from whocut.run.plan import Plan
    from whocut.trace.records import SpanSink

# From a process's end to our knowing of it: its sockets close before its parent is told.
_NOTICED_REAL_S = 0.1
_GREETING = "mock upstream: serving on"


class RunningUpstream:
    """A mock upstream that serves on `port`; `fallen` once it has ended by itself."""

    def __init__(self, child: Child, port: int, clock: Clock, sink: SpanSink) -> None:
        self.port = port
        self.fallen: Fallen | None = None
        self._child = child
        self._clock = clock
        self._sink = sink
        self._stopping = False
        self._ended = asyncio.get_running_loop().create_task(self._await_end())

    def look(self) -> Fallen | None:
        """How it ended by itself, or None while it serves."""
        return self.fallen

    async def stop(self) -> None:
        """Ask it to end, wait, insist."""
        self._stopping = True
        await self._child.stop()
        await self._ended

    async def _await_end(self) -> None:
        code = await self._child.wait()
        if self._stopping:
            return
        self.fallen = Fallen(
            LAYER,
            self._clock.now_s(),
            f"its process {ended_how(code)}{'' if code < 0 else self._child.last_words()}",
            noticed_within_s=self._clock.model_s(_NOTICED_REAL_S),
            title="the mock upstream",
        )
        self._sink(self.fallen.span())


async def start_upstream(plan: Plan, clock: Clock, run_dir: RunDir, sink: SpanSink) -> RunningUpstream:
    """Start it, and wait until it takes requests.

    Raises:
        BadInput: it refuses what the scenario's `upstream` says.
        ChildDied: it ended before it was ready; says its last words.
    """
    config = run_dir.path / UPSTREAM
    arguments = ["-m", "whocut_mock", "--port", "0", "--exit-with-parent"]
    arguments += ["--clock", str(plan.clock), "--clock-origin", repr(clock.origin)]
    arguments += ["--epoch", repr(clock.epoch_unix_s), "--seed", str(plan.seed)]
    arguments += ["--ledger", str(run_dir.path / LEDGER)]
    settings = dict(plan.upstream)
    if plan.topology.upstream.heartbeat_s is not None:
        settings["stream"] = {"heartbeat_s": plan.topology.upstream.heartbeat_s, **settings.get("stream", {})}
    if settings:
        write_json(config, settings)  # JSON is YAML
        arguments += ["--config", str(config)]
    log = run_dir.path / "logs" / "upstream.log"
    child = await Child.start(
        "mock upstream", arguments, log=log, stdout=asyncio.subprocess.PIPE, greeting=_GREETING
    )
    line = await child.line()
    try:
        port = int(orjson.loads(line)["port"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        await child.stop()
        _, of_the_settings, problem = child.last_words().partition(f"{config}: ")
        if of_the_settings:
            said = problem.removesuffix("'")
            raise BadInput(f"{plan.scenario}: SCENARIO.upstream.{said}") from None
        raise child.died() from None
    return RunningUpstream(child, port, clock, sink)
