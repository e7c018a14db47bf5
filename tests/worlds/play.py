"""Playing a world: real sockets, real hops, a real HTTP client, virtual time; out come spans and the books."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from harness.chain.timers import TimerKind
from harness.client.asking import Asking, asking_for
from harness.client.attempts import Sinks
from harness.client.transports import AsyncWatchedTransport, wire
from harness.clock import VirtualLoop, run_virtual
from harness.path.chain import start_chain
from harness.trace.generations import generation_span
from tests.worlds.upstream import PLAN_HEADER, WorldUpstream

if TYPE_CHECKING:
    from harness.clock import Clock
    from harness.trace.records import Span
    from tests.worlds.world import Ask, World


def play(world: World) -> tuple[list[Span], list[dict[str, Any]]]:
    """Every span that was written, the generations' among them, and the ledger."""
    return run_virtual(_play(world))


async def _play(world: World) -> tuple[list[Span], list[dict[str, Any]]]:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    clock = loop.clock()
    spans: list[Span] = []
    ledger: list[dict[str, Any]] = []
    server = await loop.create_server(lambda: WorldUpstream(clock, ledger), "127.0.0.1", 0, backlog=4096)
    port = server.sockets[0].getsockname()[1]
    chain = await start_chain(world.topology, upstream=("127.0.0.1", port), clock=clock, sink=spans.append)
    client = _client(world, clock, spans)
    async with client:
        await asyncio.gather(*(_ask(client, ask, world, f"{chain.base_url}/images") for ask in world.asks))
    await asyncio.sleep(5000)  # the last orphan has been settled, the last blind layer has fired
    await chain.close()
    server.close()
    await server.wait_closed()
    return spans + [generation_span(row) for row in ledger], ledger


def _client(world: World, clock: Clock, spans: list[Span]) -> wire.AsyncClient:
    limits = wire.Limits(max_connections=None, max_keepalive_connections=0)
    inner = wire.AsyncHTTPTransport(verify=False, trust_env=False, limits=limits)
    sinks = Sinks(lambda _attempt: None, spans.append)
    layer = world.topology.client
    # An HTTP library has one knob for the wait and the gaps; the world gives the client both or none.
    timeout = wire.Timeout(layer.limit_s(TimerKind.IDLE), connect=None)
    return wire.AsyncClient(
        transport=AsyncWatchedTransport(inner, clock, layer, sinks), timeout=timeout, trust_env=False
    )


async def _ask(client: wire.AsyncClient, ask: Ask, world: World, url: str) -> None:
    del world
    await asyncio.sleep(ask.starts_s)
    plan = {
        "emissions_s": ask.emissions_s,
        "stream": ask.stream,
        "fault": ask.fault,
        "fault_s": ask.fault_s,
    }
    with suppress(wire.HTTPError, TimeoutError), asking_for(Asking(request=ask.name)):
        async with asyncio.timeout(ask.patience_s):
            await client.post(url, json={"prompt": "a cat"}, headers={PLAN_HEADER: json.dumps(plan)})
