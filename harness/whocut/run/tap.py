"""A tap: a hop without timers that stands where a user puts it, passes every byte on, and writes down what it saw.

It holds no key and spends nothing by itself: what comes goes on, with its own `Host` and a `traceparent` that makes
this tap's account the parent of the next one's. Several may stand at several places of one way.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from whocut.chain.layers import Layer, Topology
from whocut.clock import Clock, ClockSpec
from whocut.errors import BadInput, nearest
from whocut.path.hop import Hop
from whocut.path.tap import Tap
from whocut.run.complaints import tell_once
from whocut.run.plan import Plan, manifest_of
from whocut.run.run import end_export, start_export
from whocut.run.signals import Signals
from whocut.trace.records import TapSide
from whocut.trace.rundir import RunDir, SpanWriter

if TYPE_CHECKING:
    from collections.abc import Callable

    from whocut.path.target import Target
    from whocut.trace.records import Span

_DEFAULT_PORT = 8080


@dataclass(frozen=True, slots=True, kw_only=True)
class TapPlan:
    """Where a tap stands: `position` counts from the client, which is 0."""

    name: str
    position: int
    host: str
    port: int
    to: Target
    out: Path
    replace: bool
    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tapped:
    """What a tap saw, when it is taken away."""

    run_dir: Path
    exchanges: int
    lost: str | None

    def as_json(self) -> dict[str, object]:
        """For machines."""
        return {"run_dir": str(self.run_dir), "exchanges": self.exchanges, "warning": self.lost}


def parse_listen(written: str) -> tuple[str, int]:
    """Read ``127.0.0.1:8080``, ``:8080`` or ``8080``.

    Raises:
        BadInput: it is none of these.
    """
    host, _, port = written.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        known = [f"127.0.0.1:{_DEFAULT_PORT}"]
        raise BadInput(
            f"'{written}' is no address{nearest(written, known)}; write 127.0.0.1:8080", field="listen"
        )
    return host.strip("[]") or "127.0.0.1", int(port)


async def tap(plan: TapPlan, ready: Callable[[str], None]) -> Tapped:
    """Stand until a signal; `ready` is told the base URL for clients as soon as it takes requests.

    Raises:
        BadInput: the run directory cannot be used, or it should listen beyond this machine.
        CouldNotRun: the port is taken, or what stands behind cannot be reached or trusted.
    """
    tell_once(asyncio.get_running_loop())
    clock = Clock()
    layer = Layer(name=plan.name, title=f"the tap {plan.name}", silent=True)
    seen = 0
    async with AsyncExitStack() as stack:
        await plan.to.knock()
        hop = Hop(layer, upstream=plan.to, clock=clock, position=plan.position, tap=Tap(TapSide.ALONE))
        await hop.listen(plan.host, plan.port)
        stack.push_async_callback(hop.close)
        run_dir = RunDir.create(plan.out, _manifest(plan, layer, clock), replace=plan.replace)
        spans = SpanWriter(run_dir)
        stack.callback(spans.close)

        def write_down(span: Span) -> None:
            nonlocal seen
            seen += 1
            spans(span)

        hop.sink = write_down
        exporter = start_export(run_dir)
        stopped = asyncio.Event()
        Signals(stopped.set).listen()
        ready(f"http://{plan.host}:{hop.port}{plan.to.path}")
        await stopped.wait()
        await hop.close()
    return Tapped(run_dir.path, seen, end_export(exporter))


def _manifest(plan: TapPlan, layer: Layer, clock: Clock) -> dict[str, object]:
    client = Layer(name="client", title="the client")
    return manifest_of(
        Plan(
            scenario=Path("tap"),
            topology=Topology(name=plan.name, client=client, hops=(layer,)),
            clock=ClockSpec(),
            users=1,
            stages=(),
            seed=0,
            out=plan.out,
            to=plan.to,
            command=plan.command,
        ),
        clock,
    )
