"""A tap: a hop without timers at any place of a path, which passes every byte on, and writes down what it saw.

It holds no key and spends nothing by itself. What comes is handed on, with a `traceparent` that makes this tap's
account the parent of the next one's. Nothing is dialled before a caller has come. `Host` is handed on as it came;
only an `https` endpoint elsewhere gets its own name. One path may have several taps.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from whocut.chain.layers import Layer, Topology
from whocut.clock import Clock, ClockSpec
from whocut.errors import BadInput, nearest
from whocut.path.certificates import self_made
from whocut.path.hop import Hop
from whocut.path.tap import Tap as HowItStands
from whocut.run.complaints import tell_once
from whocut.run.plan import Plan, manifest_of
from whocut.run.run import end_export, start_export
from whocut.run.signals import Signals
from whocut.trace.records import TapSide, new_span_id
from whocut.trace.rundir import RunDir, SpanWriter

if TYPE_CHECKING:
    from collections.abc import Callable

    from whocut.path.certificates import Certificate
    from whocut.path.target import Target
    from whocut.trace.records import Span

_DEFAULT_PORT = 8080


@dataclass(frozen=True, slots=True, kw_only=True)
class TapPlan:
    """The place of a tap: `position` counts from the client, which is 0."""

    name: str
    position: int
    host: str
    port: int
    to: Target
    out: Path
    certificate: Certificate | None = None
    own_certificate: bool = False
    keeps_host: bool | None = None  # None: save before an `https` endpoint on another machine
    replace: bool
    command: tuple[str, ...] = ()

    @property
    def host_stays(self) -> bool:
        """Whether `Host` is handed on as it came."""
        if self.keeps_host is not None:
            return self.keeps_host
        return self.to.scheme == "http" or self.to.loopback


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
        BadInput: the address is invalid.
    """
    host, _, port = written.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        known = [f"127.0.0.1:{_DEFAULT_PORT}"]
        raise BadInput(
            f"'{written}' is no address{nearest(written, known)}; write 127.0.0.1:8080", field="listen"
        )
    return host.strip("[]") or "127.0.0.1", int(port)


async def tap(
    plan: TapPlan, ready: Callable[[str, Path | None], None], complain: Callable[[str], None]
) -> Tapped:
    """Watch until a signal comes.

    `ready` gets the base URL for clients, and the certificate to trust if it was made here, as soon as requests are
    taken. `complain` gets whatever keeps the tap from seeing something, once each.

    Raises:
        BadInput: the run directory or a certificate cannot be used, or the tap should listen beyond this machine.
        CouldNotRun: the port is taken, or no certificate can be made.
    """
    tell_once(asyncio.get_running_loop())
    clock = Clock()
    layer = Layer(name=plan.name, title=f"the tap {plan.name}", silent=True)
    seen = 0
    async with AsyncExitStack() as stack:
        certificate = plan.certificate
        if plan.own_certificate:
            certificate = self_made(Path(stack.enter_context(TemporaryDirectory(prefix="whocut-tap-"))))
        hop = Hop(
            layer,
            upstream=plan.to,
            clock=clock,
            position=plan.position,
            tap=HowItStands(
                side=TapSide.ALONE, keeps_host=plan.host_stays, clock=f"{plan.name}-{new_span_id()}"
            ),
            complain=complain,
        )
        await hop.listen(plan.host, plan.port, certificate.context() if certificate else None)
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
        scheme = "https" if certificate else "http"
        to_trust = certificate.chain if certificate and plan.own_certificate else None
        ready(f"{scheme}://{plan.host}:{hop.port}{plan.to.path}", to_trust)
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
