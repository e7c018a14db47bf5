"""A topology as running layers: hops in this process, real gateways beside it, each dialling the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from whocut.chain.layers import Layer
from whocut.chain.products import product
from whocut.path.door import Door
from whocut.path.gateways import start_gateway
from whocut.path.hop import Hop
from whocut.path.tap import Tap, taps_beside, watching
from whocut.path.target import Target
from whocut.trace.logs.in_run import folder_of

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from whocut.chain.layers import Topology
    from whocut.clock import Clock
    from whocut.path.fallen import Fallen
    from whocut.path.gateways.process import RunningGateway
    from whocut.trace.records import SpanSink

_SEES_NOTHING = Layer(name="door", title="the door", silent=True)


@dataclass(frozen=True, slots=True)
class RunningChain:
    """Layers that listen, from the caller inward; close it, or use it as a context."""

    topology: Topology
    host: str
    port: int
    standing: tuple[Hop | RunningGateway, ...]
    target: Target | None = None

    @property
    def base_url(self) -> str:
        """What a client of the Images API is given."""
        if self.target is None:
            return f"http://{self.host}:{self.port}/v1"
        return f"http://{self.host}:{self.port}{self.target.path}" if self.standing else self.target.url

    @property
    def hops(self) -> tuple[Hop, ...]:
        """Those that are ours: the layers that are emulated, and the taps beside real ones."""
        return tuple(one for one in self.standing if isinstance(one, Hop))

    def look(self) -> Fallen | None:
        """The layer that has fallen first, or None while all of them serve."""
        fallen = (one.look() for one in self.standing)
        return min((one for one in fallen if one), key=lambda one: one.at_s, default=None)

    async def close(self) -> None:
        """Write down what is open and leave nothing behind; the outermost layer goes first."""
        for one in self.standing:
            await one.close()

    async def open_door(self, key: bytes, host: str, port: int, clock: Clock) -> Door:
        """Take callers from other machines who prove the token.

        A chain without layers gets a tap that sees nothing.

        Raises:
            BadInput: `host` is no address of this machine.
            PortTaken: another program listens there.
        """
        outermost = self.standing[0] if self.standing else None
        if outermost is None:
            outermost = Hop(_SEES_NOTHING, upstream=(self.host, self.port), clock=clock, tap=Tap())
            await outermost.listen()
        assert isinstance(outermost, Hop)  # beside a real gateway there is a tap on either side
        door = Door(key, outermost.caller)
        try:
            await door.open(host, port)
        except BaseException:
            if not self.standing:
                await outermost.close()
            raise
        if not self.standing:
            door.on_close(outermost.close)
        return door

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def start_chain(
    topology: Topology,
    *,
    upstream: tuple[str, int] | Target,
    clock: Clock,
    sink: SpanSink | None,
    host: str = "127.0.0.1",
    port: int = 0,
    real_logs: Path | None = None,
) -> RunningChain:
    """Start every layer of a topology; without any, the caller dials the upstream itself.

    A user's taps are passed over: positions are those among the layers that are started.

    Where `real_logs` names a folder, layers that are gateways run as the real product and keep their logs in it;
    without it every layer is emulated.

    Raises:
        PortTaken: another program listens on `port`.
        BadFile: the target's certificates cannot be read.
        NotInstalled: a gateway is not on this machine; says what to install.
        ChildDied: a gateway ended at once.
    """
    building = _Building(clock, sink, host, upstream, [])
    try:
        standing = [hop for hop in topology.hops if not hop.tap]
        for position in range(len(standing), 0, -1):
            layer = standing[position - 1]
            outer_port = port if position == 1 else 0
            if layer.gateway and real_logs is not None:
                logs = folder_of(real_logs, position, layer.name)
                await building.gateway(layer, position, outer_port, logs)
            else:
                await building.hop(layer, position, outer_port)
    except BaseException:
        for one in building.standing:
            await one.close()
        raise
    host, port = building.address
    target = upstream if isinstance(upstream, Target) else None
    return RunningChain(
        topology=topology, host=host, port=port, standing=tuple(building.standing), target=target
    )


@dataclass(slots=True)
class _Building:
    """The layers so far, the outermost first, and where the one before them has to dial."""

    clock: Clock
    sink: SpanSink | None
    host: str
    next: tuple[str, int] | Target
    standing: list[Hop | RunningGateway]

    @property
    def address(self) -> tuple[str, int]:
        """Where the outermost layer listens; without any, the upstream."""
        return self.next.address if isinstance(self.next, Target) else self.next

    async def hop(self, layer: Layer, position: int, port: int, tap: Tap | None = None) -> None:
        hop = Hop(layer, upstream=self.next, clock=self.clock, sink=self.sink, position=position, tap=tap)
        await hop.listen(self.host, port)
        self.standing.insert(0, hop)
        self.next = (self.host, hop.port)

    async def gateway(self, layer: Layer, position: int, port: int, logs: Path) -> None:
        outside, inside = taps_beside(product(layer.gateway).lazy_real_s, self.clock)
        await self.hop(watching(layer), position, 0, inside)
        running = await start_gateway(
            layer.gateway, layer, upstream=self.address, clock=self.clock, logs=logs
        )
        running.sink = self.sink
        self.standing.insert(0, running)
        self.next = ("127.0.0.1", running.port)
        await self.hop(watching(layer), position, port, outside)
