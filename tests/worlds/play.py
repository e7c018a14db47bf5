"""Playing a world: real sockets, real hops, a real HTTP client; out come spans and the books.

In virtual time every layer is emulated; on a scaled clock those that are gateways stand there in person.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any

from tests.worlds.upstream import PLAN_HEADER, WorldUpstream
from whocut.chain.timers import TimerKind
from whocut.client.asking import Asking, asking_for
from whocut.client.transports import AsyncWatchedTransport, wire
from whocut.client.watch import Sinks
from whocut.clock import Clock, VirtualLoop, run_real, run_virtual
from whocut.path.chain import start_chain
from whocut.trace.generations import generation_span

if TYPE_CHECKING:
    from pathlib import Path

    from tests.worlds.world import Ask, World
    from whocut.chain.layers import Layer
    from whocut.trace.records import Span


ASKED = {"model": "gpt-image-2", "prompt": "a cat"}


def play(world: World) -> tuple[list[Span], list[dict[str, Any]]]:
    """Every span that was written, the generations' among them, and the ledger."""
    return run_virtual(_play_in_virtual_time(world))


def play_in_person(
    world: World, *, scale: float, logs: Path
) -> tuple[list[Span], list[dict[str, Any]], Clock]:
    """The same with real gateways, on a scaled clock, and that clock; their logs lie in a folder afterwards."""

    async def main() -> tuple[list[Span], list[dict[str, Any]], Clock]:
        clock = Clock(scale)
        return *(await _play(world, clock, logs)), clock

    return run_real(main())


async def _play_in_virtual_time(world: World) -> tuple[list[Span], list[dict[str, Any]]]:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return await _play(world, loop.clock(), None)


async def _play(world: World, clock: Clock, logs: Path | None) -> tuple[list[Span], list[dict[str, Any]]]:
    loop = asyncio.get_running_loop()
    spans: list[Span] = []
    ledger: list[dict[str, Any]] = []
    async with AsyncExitStack() as stack:
        server = await loop.create_server(lambda: WorldUpstream(clock, ledger), "127.0.0.1", 0, backlog=4096)
        stack.push_async_callback(server.wait_closed)
        stack.callback(server.close)
        port = server.sockets[0].getsockname()[1]
        chain = await start_chain(
            world.topology, upstream=("127.0.0.1", port), clock=clock, sink=spans.append, real_logs=logs
        )
        stack.push_async_callback(chain.close)
        async with client_of(world.topology.client, clock, spans) as client:
            await asyncio.gather(
                *(ask_one(client, ask, clock, f"{chain.base_url}/images/generations") for ask in world.asks)
            )
        await asyncio.sleep(clock.real_s(world.settles_s))
    return spans + [generation_span(row) for row in ledger], ledger


def client_of(layer: Layer, clock: Clock, spans: list[Span]) -> wire.AsyncClient:
    """An HTTP client of this layer's timers, that writes its spans down."""
    limits = wire.Limits(max_connections=None, max_keepalive_connections=0)
    inner = wire.AsyncHTTPTransport(verify=False, trust_env=False, limits=limits)
    sinks = Sinks(lambda _attempt: None, spans.append)
    # An HTTP library has one knob for the wait and the gaps; the world gives the client both or none.
    timeout = wire.Timeout(layer.limit_s(TimerKind.IDLE), connect=None)
    return wire.AsyncClient(
        transport=AsyncWatchedTransport(inner, clock, layer, sinks), timeout=timeout, trust_env=False
    )


async def ask_one(client: wire.AsyncClient, ask: Ask, clock: Clock, url: str) -> None:
    """One request, when it is due, for as long as its caller's patience lasts."""
    await asyncio.sleep(clock.real_s(ask.starts_s))
    plan = {
        "ask": ask.name,
        "emissions_s": ask.emissions_s,
        "stream": ask.stream,
        "fault": ask.fault,
        "fault_s": ask.fault_s,
    }
    with suppress(wire.HTTPError, TimeoutError), asking_for(Asking(request=ask.name)):
        patience_real_s = clock.real_s(ask.patience_s) if ask.patience_s is not None else None
        async with asyncio.timeout(patience_real_s):
            await client.post(url, json=ASKED, headers={PLAN_HEADER: json.dumps(plan)})
