"""A topology as running hops: one process, each hop dialling the next, the last one the upstream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from harness.path.hop import Hop
from harness.path.target import Target

if TYPE_CHECKING:
    from types import TracebackType

    from harness.chain.layers import Topology
    from harness.clock import Clock
    from harness.trace.records import SpanSink


@dataclass(frozen=True, slots=True)
class RunningChain:
    """Hops that listen, from the caller inward; close it, or use it as a context."""

    topology: Topology
    host: str
    port: int
    hops: tuple[Hop, ...]
    target: Target | None = None

    @property
    def base_url(self) -> str:
        """What a client of the Images API is given."""
        if self.target is None:
            return f"http://{self.host}:{self.port}/v1"
        return f"http://{self.host}:{self.port}{self.target.path}" if self.hops else self.target.url

    async def close(self) -> None:
        """Write down what is open and leave nothing behind; the outermost hop goes first."""
        for hop in self.hops:
            await hop.close()

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
) -> RunningChain:
    """Start every hop of a topology; without any, the caller dials the upstream itself.

    Raises:
        PortTaken: somebody else listens on `port`.
        BadFile: the target's certificates cannot be read.
    """
    hops: list[Hop] = []
    address = upstream
    try:
        for position in range(len(topology.hops), 0, -1):
            hop = Hop(
                topology.hops[position - 1], upstream=address, clock=clock, sink=sink, position=position
            )
            await hop.listen(host, port if position == 1 else 0)
            hops.insert(0, hop)
            address = (host, hop.port)
    except BaseException:
        for hop in hops:
            await hop.close()
        raise
    target = upstream if isinstance(upstream, Target) else None
    if isinstance(address, Target):
        address = address.address
    return RunningChain(topology=topology, host=address[0], port=address[1], hops=tuple(hops), target=target)
