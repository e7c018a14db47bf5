"""A whole stage on one event loop: a tap, the layers of a chain, the mock upstream; any client may walk on.

The loop decides what time is: on a `VirtualLoop` everything is exact and instant, on any other one the clock's
scale divides the chain's and the upstream's durations. The client is a stranger and keeps its own time; a `pace`
is that time, where it is known.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

from whocut.clock import Clock, VirtualLoop
from whocut.path.chain import RunningChain, start_chain
from whocut.stage.client_tap import ClientTap
from whocut.stage.grouping import attempts_of
from whocut.stage.memory import MemoryLoop
from whocut.stage.seen import Observed
from whocut_mock import ModelClock, Running, Settings, serve

if TYPE_CHECKING:
    from types import TracebackType

    from whocut.chain.layers import Topology
    from whocut.stage.pace import Pace
    from whocut.stage.plants import Plants
    from whocut.trace.records import Span

_press_of_seed: dict[int, Any] = {}


@dataclass(slots=True, kw_only=True)
class Stage:
    """Started with `start`, ended with `close`, or used as a context."""

    topology: Topology
    settings: Settings = field(default_factory=Settings)
    plants: Plants | None = None
    scale: float = 1.0
    divides_waits: bool = False
    pace: Pace | None = None
    spans: list[Span] = field(default_factory=list)
    _mock: Running | None = None
    _chain: RunningChain | None = None
    _tap: ClientTap | None = None

    async def start(self) -> None:
        """Begin to serve on free ports of the loopback, the upstream first."""
        loop = asyncio.get_running_loop()
        clock = Clock(self.scale)
        if isinstance(loop, VirtualLoop):
            # The calendar begins today: a client holds a date in Retry-After against its machine's own.
            clock = loop.clock(clock.epoch_unix_s)
        model_clock = ModelClock(clock.scale, clock.origin, clock.epoch_unix_s)
        listener: Any = loop.listener() if isinstance(loop, MemoryLoop) else None
        mock = self._mock = await serve(self.settings, clock=model_clock, warm=(), sock=listener)
        # Drawing a picture takes longer than everything else here, and it is the same one for every stage.
        mock.upstream.press = _press_of_seed.setdefault(self.settings.seed, mock.upstream.press)
        self._chain = await start_chain(
            self.topology, upstream=("127.0.0.1", mock.port), clock=clock, sink=self.spans.append
        )
        self._tap = ClientTap(
            upstream=(self._chain.host, self._chain.port),
            clock=clock,
            client=self.topology.client.name,
            plants=self.plants,
            divides_waits=self.divides_waits,
            pace=self.pace,
        )
        await self._tap.listen()

    async def close(self) -> None:
        """End it from the client inward."""
        for part in (self._tap, self._chain, self._mock):
            if part is not None:
                await part.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def tap(self) -> ClientTap:
        """Where the client is seen."""
        assert self._tap is not None, "the stage has not been started"
        return self._tap

    @property
    def mock(self) -> Running:
        """The upstream."""
        assert self._mock is not None, "the stage has not been started"
        return self._mock

    @property
    def base_url(self) -> str:
        """What a client is given."""
        return f"http://127.0.0.1:{self.tap.port}/v1"

    def serves(self, port: int) -> bool:
        """Whether this port is the stage's, or its upstream's."""
        return self._tap is not None and port in {self.tap.port, self.mock.port}

    def ledger(self) -> list[dict[str, Any]]:
        """The upstream's books as they will be when all its work is over."""
        return [asdict(row) for row in self.mock.upstream.workshop.forecast()]

    def observed(self) -> Observed:
        """All that is known by now."""
        self.tap.notice()
        attempts = tuple(attempts_of(self.tap.seen))
        beside = tuple(one for one in self.tap.seen if not one.generates)
        return Observed(self.topology, attempts, beside, tuple(self.spans), tuple(self.ledger()))

    async def settled(self) -> None:
        """Wait until no attempt is open and no generation is at work: in virtual time, no time at all."""
        while any(not one.over for one in self.tap.seen) or self.mock.upstream.workshop.running:
            await self.mock.upstream.clock.sleep_s(1.0)
