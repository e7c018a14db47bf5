"""Hops in a row: who cuts first, ports, and nothing left behind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.path.fakes import FakeUpstream, Rig, call, layer, ok, request, send, topology, wait
from tests.path.test_timers import virtual_clock
from whocut.chain.catalogue import preset
from whocut.clock import Clock, run_real, run_virtual
from whocut.errors import BadInput, PortTaken
from whocut.path import Hop, start_chain
from whocut.trace.records import DownstreamEnd, UpstreamEnd


def through(*layers_s: tuple[str, float], work_s: float) -> tuple[bytes, dict[str, Any]]:
    """A generation of `work_s` through layers with these `first_byte` limits, from the caller inward."""

    async def main() -> tuple[bytes, dict[str, Any]]:
        hops = [layer(name, first_byte=limit_s) for name, limit_s in layers_s]
        rig = Rig(*hops, upstream=FakeUpstream((wait(work_s), send(ok()))), clock=virtual_clock())
        async with rig:
            caller = await rig.call(request())
            got = await caller.response()
            await asyncio.sleep(1000)
        return got, {span.layer: span for span in rig.spans}

    return run_virtual(main())


def test_the_lowest_cap_wins() -> None:
    """The inner layer's page reaches the caller, and only that layer has cut."""
    got, spans = through(("edge", 100), ("gateway", 60), ("app", 120), work_s=195)

    assert got.startswith(b"HTTP/1.1 504 ")
    assert [name for name, span in spans.items() if span.cut] == ["gateway"]
    assert spans["edge"].upstream == UpstreamEnd.COMPLETE
    assert spans["app"].downstream == DownstreamEnd.LEFT
    assert spans["app"].downstream_s == pytest.approx(60)


def test_spans_nest_from_the_caller_inward() -> None:
    """Each hop's parent is the hop before it, and positions count from the client."""
    _, spans = through(("edge", 100), ("gateway", 100), work_s=1)

    assert spans["gateway"].parent_id == spans["edge"].span_id
    assert spans["gateway"].trace_id == spans["edge"].trace_id
    assert [spans[name].position for name in ("edge", "gateway")] == [1, 2]


def test_a_chain_without_hops_is_the_upstream_itself() -> None:
    """Nothing stands between: the caller dials the upstream."""

    async def main() -> tuple[int, int, str]:
        async with FakeUpstream((send(ok()),)) as upstream:
            chain = await start_chain(topology(), upstream=upstream.address, clock=virtual_clock(), sink=None)
            await chain.close()
            return chain.port, upstream.address[1], chain.base_url

    port, upstream_port, base_url = run_virtual(main())

    assert port == upstream_port
    assert base_url == f"http://127.0.0.1:{port}/v1"


def test_a_taken_port_is_said_to_be() -> None:
    """The port is named, and what was already started is closed again."""

    async def main() -> int:
        async with FakeUpstream((send(ok()),)) as upstream:
            with pytest.raises(PortTaken) as refused:
                await start_chain(
                    topology(layer("a"), layer("b")),
                    upstream=upstream.address,
                    clock=virtual_clock(),
                    sink=None,
                    port=upstream.address[1],
                )
            assert str(upstream.address[1]) in str(refused.value)
        return len(asyncio.all_tasks())

    assert run_virtual(main()) == 1


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.org", "::"])
def test_a_hop_listens_on_the_loopback_only(host: str) -> None:
    """A harness is not a server for others."""

    async def main() -> None:
        await Hop(layer(), upstream=("127.0.0.1", 1), clock=virtual_clock()).listen(host)

    with pytest.raises(BadInput, match="loopback"):
        run_virtual(main())


def test_closing_leaves_nothing_behind() -> None:
    """Open exchanges, pooled connections, dials under way: no task, no socket, no timer remains."""

    async def main() -> tuple[int, int, int]:
        loop = asyncio.get_running_loop()
        upstream = FakeUpstream((send(ok()),), (wait(500), send(ok())))
        rig = Rig(preset("cloudflare"), preset("nginx"), upstream=upstream, clock=virtual_clock())
        async with rig:
            first = await rig.call(request())
            await first.response()
            await rig.call(request())
            await rig.call(b"POST / HTTP/1.1\r\nHo")
            await asyncio.sleep(1)
        timers = [handle for handle in loop._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]  # only the loop knows
        return len(asyncio.all_tasks()), len(timers), sum(len(hop.callers) for hop in rig.chain.hops)

    assert run_virtual(main()) == (1, 0, 0)


def test_many_at_once_are_each_told_once() -> None:
    """Five hundred requests through two layers: one span a layer each, all cut on the same millisecond."""

    async def main() -> list[Any]:
        rig = Rig(
            layer("edge", first_byte=100),
            layer("gateway", first_byte=60),
            upstream=FakeUpstream((wait(195), send(ok()))),
            clock=virtual_clock(),
        )
        async with rig:
            callers = await asyncio.gather(*(rig.call(request()) for _ in range(500)))
            await asyncio.gather(*(caller.response() for caller in callers))
        return rig.spans

    spans = run_virtual(main())
    cuts = [span for span in spans if span.cut]

    assert len(spans) == 1000
    assert {span.layer for span in cuts} == {"gateway"}
    assert {round(span.cut.at_s, 3) for span in cuts} == {60.0}
    assert len({span.trace_id for span in cuts}) == 500


@pytest.mark.sockets
def test_scaled_time_gives_the_verdict_of_virtual_time() -> None:
    """The same chain at a hundred model seconds a second: the same layer, timer and phase."""

    async def main(clock: Clock, scale: float) -> list[tuple[object, ...]]:
        hops = (layer("edge", first_byte=100), layer("gateway", first_byte=60))
        async with Rig(*hops, upstream=FakeUpstream((wait(195 / scale), send(ok()))), clock=clock) as rig:
            caller = await call(rig.port, request())
            await caller.response()
            caller.transport.abort()
            return sorted(
                (span.layer, *((span.cut.timer, span.cut.phase) if span.cut else (None, None)))
                for span in rig.spans
            )

    async def virtually() -> list[tuple[object, ...]]:
        return await main(virtual_clock(), 1)

    assert run_real(main(Clock(100.0), 100)) == run_virtual(virtually())
