"""The mock upstream as a process of the run's own: it gets its settings, and is watched for an unexpected end.

Such an end is no timer: it is written down as a span, like that of any fallen layer.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import orjson

from whocut.errors import BadInput
from whocut.path.fallen import Fallen, ended_how
from whocut.run.processes import Child
from whocut.trace.generations import UPSTREAM as LAYER
from whocut.trace.rundir import LEDGER, MOCK_TOKEN, UPSTREAM, RunDir, write_json

if TYPE_CHECKING:
    from pathlib import Path

    from whocut.clock import Clock
    from whocut.run.plan import Plan
    from whocut.trace.records import SpanSink

# From a process's end to our knowing of it: its sockets close before its parent hears of it.
_NOTICED_REAL_S = 0.1
_GREETING = "mock upstream: serving on"


class RunningUpstream:
    """A mock upstream that serves on `port`; `fallen` once it has ended by itself.

    Its own doors are at `control`, on a socket that no chain leads to, for who has the run directory's token.
    """

    def __init__(
        self, child: Child, port: int, control_port: int, token: Path, clock: Clock, sink: SpanSink
    ) -> None:
        self.port = port
        self.control = f"http://127.0.0.1:{control_port}/_mock"
        self._token = token
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
        self._token.unlink(missing_ok=True)
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
    told = str(plan.upstream)
    child = await Child.start(
        "mock upstream",
        arguments,
        log=log,
        # What the settings name as ``$NAME``, as a Redis' password, is meant for it.
        environment={name: value for name, value in os.environ.items() if f"${name}" in told},
        stdout=asyncio.subprocess.PIPE,
        greeting=_GREETING,
    )
    line = await child.line()
    try:
        ready = orjson.loads(line)
        port, control_port = int(ready["port"]), int(ready["control_port"])
        _keep_token(run_dir, ready["control_token"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        await child.stop()
        _, of_the_settings, problem = child.last_words().partition(f"{config}: ")
        if of_the_settings:
            said = problem.removesuffix("'")
            raise BadInput(f"{plan.scenario}: SCENARIO.upstream.{said}") from None
        raise child.died() from None
    return RunningUpstream(child, port, control_port, run_dir.path / MOCK_TOKEN, clock, sink)


def _keep_token(run_dir: RunDir, token: str) -> None:
    """For the load of this run, and for no other user of this machine; it is removed when the mock is stopped."""
    file = run_dir.path / MOCK_TOKEN
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w") as out:
        out.write(token)
