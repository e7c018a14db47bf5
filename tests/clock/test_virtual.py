"""Virtual time: it jumps when nothing is ready, and never while there is work anywhere it can see."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from whocut.clock import VirtualLoop, run_virtual
from whocut.clock.clock import pause, wall_s


def now() -> float:
    """The running loop's time."""
    return asyncio.get_running_loop().time()


def test_an_hour_takes_no_time() -> None:
    """Waiting is left out."""

    async def main() -> float:
        await asyncio.sleep(3600)
        return now()

    started_s = wall_s()

    assert run_virtual(main()) == 3600
    assert wall_s() - started_s < 1


def test_a_jump_lands_on_its_deadline() -> None:
    """Each deadline is met exactly, in order, however many and however close."""

    async def main() -> list[tuple[float, float]]:
        met: list[tuple[float, float]] = []
        loop = asyncio.get_running_loop()

        def meet(due: float) -> None:
            met.append((due, loop.time()))

        for index in range(1000):
            due = 60 + index * 0.001 + (index % 7) * 1000
            loop.call_at(due, meet, due)
        await asyncio.sleep(10_000)
        return met

    met = run_virtual(main())

    assert len(met) == 1000
    assert met == sorted(met)
    assert max(abs(due - at) for due, at in met) < 1e-6


def test_it_does_not_jump_while_a_thread_works() -> None:
    """A timer of a minute does not fire while a thread takes a tenth of a real second."""

    async def main() -> tuple[str, float]:
        loop = asyncio.get_running_loop()
        fired: list[float] = []
        loop.call_later(60, lambda: fired.append(loop.time()))
        await loop.run_in_executor(None, pause, 0.1)
        return ("fired" if fired else "stood still"), now()

    assert run_virtual(main()) == ("stood still", 0.0)


def test_it_does_not_jump_while_one_of_several_threads_works() -> None:
    """The last one counts."""

    async def main() -> float:
        asyncio.get_running_loop().call_later(60, lambda: None)
        await asyncio.gather(*(asyncio.to_thread(pause, 0.01 * number) for number in range(8)))
        return now()

    assert run_virtual(main()) == 0.0


def test_a_thread_that_fails_lets_time_go_on() -> None:
    """A failed job is a finished one."""

    def fail() -> None:
        raise RuntimeError("on purpose")

    async def main() -> float:
        with pytest.raises(RuntimeError):
            await asyncio.to_thread(fail)
        await asyncio.sleep(5)
        return now()

    assert run_virtual(main()) == 5.0


def test_names_are_looked_up_without_a_jump() -> None:
    """`getaddrinfo` works in a thread; time stands still until it has answered."""

    async def main() -> float:
        await asyncio.get_running_loop().getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)
        return now()

    assert run_virtual(main()) == 0.0


def test_a_cancelled_job_lets_time_go_on() -> None:
    """Giving up on a thread does not stop the clock for ever."""

    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout_at(0):
                await asyncio.to_thread(pause, 0.02)
        await asyncio.sleep(5)
        return now()

    assert run_virtual(main()) == 5.0


def test_it_does_not_jump_while_bytes_are_on_their_way() -> None:
    """A thousand round trips over real loopback sockets, each under a timer that must not fire."""

    class Echo(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(data)

    async def one(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(20):
            async with asyncio.timeout(0.001):
                writer.write(b"x" * 1000)
                await reader.readexactly(1000)
        writer.close()
        await writer.wait_closed()

    async def main() -> float:
        server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0, backlog=1024)
        port = server.sockets[0].getsockname()[1]
        await asyncio.gather(*(one(port) for _ in range(50)))
        server.close()
        await server.wait_closed()
        return now()

    assert run_virtual(main()) == 0.0


def test_large_bodies_arrive_without_a_jump() -> None:
    """Megabytes cross the loopback in no virtual time."""

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"x" * 5_000_000)
        await writer.drain()
        writer.close()

    async def main() -> tuple[int, float]:
        server = await asyncio.start_server(send, "127.0.0.1", 0)
        async with asyncio.timeout(0.01):
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            got = await reader.read(-1)
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()
        return len(got), now()

    assert run_virtual(main()) == (5_000_000, 0.0)


def test_the_outside_is_waited_for_when_nothing_is_due() -> None:
    """Without any timer the loop waits in real time, for another thread to call."""

    async def main() -> float:
        loop = asyncio.get_running_loop()
        called = asyncio.Event()
        thread = threading.Timer(0.05, lambda: loop.call_soon_threadsafe(called.set))
        thread.start()
        await called.wait()
        thread.join()
        return now()

    assert run_virtual(main()) == 0.0


def test_its_clock_is_a_clock() -> None:
    """Model seconds are the loop's, and the calendar starts where it is told."""

    async def main() -> tuple[float, float, float]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        clock = loop.clock(epoch_unix_s=1000.0)
        await asyncio.sleep(60)
        return clock.now_s(), clock.real_s(5), clock.unix_s(clock.now_s())

    assert run_virtual(main()) == (60.0, 5.0, 1060.0)


def test_two_runs_are_two_clocks() -> None:
    """Each run begins at zero."""

    async def main() -> float:
        started_s = now()
        await asyncio.sleep(1)
        return started_s

    assert [run_virtual(main()) for _ in range(3)] == [0.0, 0.0, 0.0]


def test_a_very_long_wait_is_jumped_too() -> None:
    """A wait beyond the selector's longest (a day) is several jumps, and lands exactly."""

    async def main() -> float:
        await asyncio.sleep(1_000_000)
        return now()

    assert run_virtual(main()) == pytest.approx(1_000_000, abs=1e-3)
