"""Neither a slow reader nor a slow upstream makes the hop hold what it cannot pass on."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from tests.path.fakes import BODY, FakeUpstream, Rig, layer, ok, request, send, wait
from tests.path.test_timers import virtual_clock
from whocut.clock import run_virtual
from whocut.trace.records import DownstreamEnd, UpstreamEnd

if TYPE_CHECKING:
    from whocut.path.sides import Open

IMAGE = b"i" * 8_000_000
MAX_HELD_BYTES = 600_000  # one read in each direction; the kernel's own buffers are not the hop's


def held(rig: Rig) -> int:
    """Bytes that wait in the hop's own buffers."""
    sides: list[Open] = [*rig.hop.callers, *rig.hop.upstreams]
    return sum(side.transport.get_write_buffer_size() for side in sides if side.transport is not None)


def test_a_slow_reader_holds_the_upstream_back() -> None:
    """A caller that does not read stops the flow; when it reads, every byte comes."""

    async def main() -> tuple[int, bytes]:
        rig = Rig(layer(), upstream=FakeUpstream((send(ok(IMAGE)),)), clock=virtual_clock())
        async with rig:
            caller = await rig.call(request())
            caller.transport.pause_reading()
            most = 0
            for _ in range(200):
                await asyncio.sleep(0.01)
                most = max(most, held(rig))
            caller.transport.resume_reading()
            return most, await caller.response()

    most, got = run_virtual(main())

    assert 0 < most < MAX_HELD_BYTES
    assert got == ok(IMAGE)


def test_a_slow_upstream_holds_the_caller_back() -> None:
    """An upstream that does not read stops the upload; when it reads, every byte comes."""

    async def main() -> tuple[int, int, bytes]:
        rig = Rig(layer(), upstream=FakeUpstream((BODY, send(ok())), read=False), clock=virtual_clock())
        async with rig:
            upload = request(body=IMAGE)
            caller = await rig.call(upload)
            most = 0
            for _ in range(200):
                await asyncio.sleep(0.01)
                most = max(most, held(rig))
            for side in rig.upstream._open:
                side.transport.resume_reading()
            got = await caller.response()
            return most, len(rig.upstream.connections[0].received), got

    most, received, got = run_virtual(main())

    assert 0 < most < MAX_HELD_BYTES
    assert received > len(IMAGE)
    assert got == ok()


def test_a_reader_that_stops_is_cut_by_idle() -> None:
    """Silence is silence, whoever is silent: the response had come whole, the caller did not take it."""

    async def main() -> Rig:
        rig = Rig(layer(idle=30), upstream=FakeUpstream((send(ok(IMAGE)),)), clock=virtual_clock())
        async with rig:
            caller = await rig.call(request())
            caller.transport.pause_reading()
            await asyncio.sleep(31)
        return rig

    rig = run_virtual(main())

    assert rig.span.cut.timer == "idle"
    assert rig.span.cut.phase == "stream"
    assert rig.span.downstream == DownstreamEnd.TRUNCATED
    assert rig.span.upstream == UpstreamEnd.CUT


def test_a_slow_reader_that_reads_on_is_not_cut() -> None:
    """Each byte taken re-arms `idle`."""

    async def main() -> bytes:
        rig = Rig(layer(idle=30), upstream=FakeUpstream((send(ok(IMAGE)),)), clock=virtual_clock())
        async with rig:
            caller = await rig.call(request())
            for _ in range(20):
                caller.transport.pause_reading()
                await asyncio.sleep(20)
                caller.transport.resume_reading()
                await asyncio.sleep(0.000_1)
            return await caller.response()

    assert run_virtual(main()) == ok(IMAGE)


def test_the_request_is_sent_when_the_kernel_has_it() -> None:
    """`first_byte` does not run while the upload is stuck on its way up: that is the phase `send`."""

    async def main() -> Rig:
        upstream = FakeUpstream((BODY, wait(100)), read=False)
        rig = Rig(layer(first_byte=10, total=60), upstream=upstream, clock=virtual_clock())
        async with rig:
            caller = await rig.call(request(body=IMAGE))
            sock = caller.transport.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            await asyncio.sleep(61)
        return rig

    rig = run_virtual(main())

    assert rig.span.cut.timer == "total"
    assert rig.span.cut.phase == "send"
