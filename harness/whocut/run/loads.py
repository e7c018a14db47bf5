"""What makes the load: a Locust process of ours, as the manifest says, or a foreign one that `--stand` serves."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Protocol

from whocut.chain.load import DRAIN_S
from whocut.errors import ChildDied
from whocut.path.ports import held_port
from whocut.run.processes import PATIENCE_REAL_S, Child
from whocut.token import environment_of

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from whocut.run.plan import Plan
    from whocut.trace.rundir import RunDir


class LoadProcess(Protocol):
    """The process that makes the load: one of ours, or a foreign one."""

    @property
    def returncode(self) -> int | None:
        """How it ended; None while it runs."""

    async def stop(self, patience_real_s: float = PATIENCE_REAL_S) -> None:
        """Ask it to end, wait so long, insist."""

    def died(self) -> ChildDied:
        """The error for an end that came before all was answered."""


class ForeignLoad:
    """A load that is not ours: it lives as long as our standard input."""

    def __init__(self) -> None:
        self.returncode: int | None = None
        self._listening: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls) -> ForeignLoad:
        """Listen for the end of the standard input; what is written there means nothing."""
        load = cls()
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        load._listening = loop.create_task(load._until_the_end(reader))
        return load

    async def _until_the_end(self, reader: asyncio.StreamReader) -> None:
        while await reader.read(4096):
            pass
        self.returncode = 0

    async def stop(self, patience_real_s: float = PATIENCE_REAL_S) -> None:
        """It ends when its maker says so; here its end is no longer awaited."""
        del patience_real_s
        if self._listening is not None:
            self._listening.cancel()

    def died(self) -> ChildDied:
        """Its maker ended it before all was answered."""
        return ChildDied("the load ended")


async def start_load(stack: AsyncExitStack, plan: Plan, run_dir: RunDir) -> Child:
    """Start Locust for a plan; it ends by itself when all is answered. The stack gives back what it holds."""
    arguments = ["-m", "whocut.load", "--locustfile", str(plan.scenario), "--headless", "--skip-log-setup"]
    arguments += ["--users", str(plan.users), "--spawn-rate", str(max(100, plan.users))]
    # Work in flight when the load stops is drained up to a bound, then counted as censored.
    arguments += [
        "--stop-timeout",
        f"{max(1, round(DRAIN_S / plan.clock.scale))}",
        "--exit-code-on-error",
        "0",
    ]
    if plan.processes > 1:
        # A port of this run's own: on Locust's default one, workers would join whichever master is there.
        port = str(stack.enter_context(held_port()))
        arguments += ["--processes", str(plan.processes), "--master-bind-host", "127.0.0.1"]
        arguments += ["--master-bind-port", port, "--master-port", port]
    environment = {"WHOCUT_RUN": str(run_dir.path.resolve())}
    if plan.listening is not None:
        listening = plan.listening
        arguments += ["--master", "--master-bind-host", listening.host]
        arguments += ["--master-bind-port", str(listening.port), "--enable-rebalancing"]
        arguments += ["--expect-workers", str(listening.workers)]
        environment |= environment_of(listening.token)
    if plan.to is not None and plan.to.trust is not None:
        environment["SSL_CERT_FILE"] = str(plan.to.trust.absolute())
    return await Child.start(
        "load generator",
        arguments,
        log=run_dir.path / "logs" / "load.log",
        environment=environment,
        # Where nothing bills, no key goes out, not even by mistake.
        with_secrets=plan.to is None or plan.spending is not None,
    )
