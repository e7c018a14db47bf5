"""Which timer cuts in which phase: the names are the matrix, and a missing cell shows."""

from __future__ import annotations

import asyncio
import socket
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.path.fakes import (
    BODY,
    CHUNKED_HEAD,
    FakeUpstream,
    Part,
    Rig,
    call,
    layer,
    ok,
    request,
    send,
    topology,
    wait,
)
from whocut.chain.layers import Answer, Layer
from whocut.clock import Clock, VirtualLoop, run_real, run_virtual
from whocut.clock.clock import pause
from whocut.path import start_chain
from whocut.trace.records import DownstreamEnd, UpstreamEnd

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from whocut.path import Hop
    from whocut.path.upstream import Upstream

MS = 0.001


def virtual_clock() -> Clock:
    """The running loop's clock."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop.clock()


def exchange(
    of: Layer, *part: Part, pieces: tuple[bytes, ...] = (request(),), dial_s: float = 0.0, gap_s: float = 0.0
) -> tuple[bytes, Any, float]:
    """What the caller got, the hop's span, and when the upstream saw its connection end."""

    async def main() -> tuple[bytes, Any, float]:
        async with Rig(of, upstream=FakeUpstream(part), clock=virtual_clock()) as rig:
            if dial_s:
                rig.hop._dial = slow_dial(dial_s)
            caller = await rig.call(pieces[0])
            for piece in pieces[1:]:
                await asyncio.sleep(gap_s)
                caller.transport.write(piece)
            got = await caller.response()
            await asyncio.sleep(MS)
            seen = rig.upstream.connections
            ended_s = seen[0].ended_s if seen and seen[0].ended_s is not None else -1.0
            caller.transport.abort()
            return got, rig.span, ended_s

    return run_virtual(main())


def slow_dial(seconds: float) -> Callable[[Hop], Awaitable[Upstream]]:
    """A way to connect that takes its time: the loopback itself takes none."""

    async def dial(hop: Hop) -> Upstream:
        await asyncio.sleep(seconds)
        return await hop.dial_now()

    return dial


def cut(span: Any) -> tuple[object, object, float]:
    """Timer, phase and instant of a span's cut, in whole milliseconds."""
    return (
        span.cut.timer,
        span.cut.phase,
        round(span.cut.at_s, 3),
    )


def test_connect_cuts_connect() -> None:
    """A connection that takes longer than `connect` is given up, and the caller told so."""
    got, span, _ = exchange(layer(connect=5), send(ok()), dial_s=5 + MS)

    assert got.startswith(b"HTTP/1.1 504 ")
    assert cut(span) == ("connect", "connect", 5.0)


def test_connect_allows_connect() -> None:
    """A connection made just within `connect` is used."""
    got, span, _ = exchange(layer(connect=5), send(ok()), dial_s=5 - MS)

    assert got == ok()
    assert span.cut is None


def test_total_cuts_connect() -> None:
    """`total` runs from the first moment, also while dialling."""
    _, span, _ = exchange(layer(total=3), send(ok()), dial_s=4)

    assert cut(span) == ("total", "connect", 3.0)


def test_idle_cuts_send() -> None:
    """A caller that stops in the middle of its body is cut by `idle`, under the directive for sending."""
    upload = request(body=b"x" * 20)

    got, span, ended_s = exchange(
        layer(idle=10), BODY, send(ok()), pieces=(upload[:-5], upload[-5:]), gap_s=10.5
    )

    assert got.startswith(b"HTTP/1.1 504 ")
    assert cut(span) == ("idle", "send", 10.0)
    assert ended_s == pytest.approx(10.0)


def test_idle_is_rearmed_by_send() -> None:
    """Every piece of the body re-arms `idle`."""
    upload = request(body=b"x" * 20)

    got, _, _ = exchange(
        layer(idle=10), BODY, send(ok()), pieces=(upload[:-9], upload[-9:-5], upload[-5:]), gap_s=9
    )

    assert got == ok()


def test_total_cuts_send() -> None:
    """Sending does not re-arm `total`."""
    upload = request(body=b"x" * 20)

    _, span, _ = exchange(
        layer(total=10), BODY, send(ok()), pieces=(upload[:-9], upload[-9:-5], upload[-5:]), gap_s=6
    )

    assert cut(span) == ("total", "send", 10.0)


def test_first_byte_cuts_wait() -> None:
    """`first_byte` runs from the request sent in full to the first byte of the response."""
    got, span, ended_s = exchange(layer(first_byte=60), wait(60 + MS), send(ok()))

    assert got.startswith(b"HTTP/1.1 504 ")
    assert cut(span) == ("first_byte", "wait", 60.0)
    assert ended_s == pytest.approx(60.0)


def test_first_byte_counts_from_the_request_sent_in_full() -> None:
    """A slow upload is not held against the upstream."""
    upload = request(body=b"x" * 20)

    got, _, _ = exchange(
        layer(first_byte=60), BODY, wait(59), send(ok()), pieces=(upload[:-5], upload[-5:]), gap_s=30
    )

    assert got == ok()


def test_first_byte_lets_stream() -> None:
    """Once a byte has come, `first_byte` has nothing more to say."""
    got, _, _ = exchange(layer(first_byte=60), send(CHUNKED_HEAD), wait(300), send(b"0\r\n\r\n"))

    assert got.endswith(b"0\r\n\r\n")


def test_idle_cuts_wait() -> None:
    """A layer with `idle` alone counts the wait as silence too."""
    _, span, _ = exchange(layer(idle=60), wait(60 + MS), send(ok()))

    assert cut(span) == ("idle", "wait", 60.0)


def test_idle_leaves_wait_to_first_byte() -> None:
    """Where there is a timer for the first byte, the limit between bytes does not end the wait."""
    got, _, _ = exchange(layer(first_byte=60, idle=10), wait(59), send(ok()))

    assert got == ok()


def test_total_cuts_wait() -> None:
    """`total` fires while waiting."""
    _, span, _ = exchange(layer(total=15, first_byte=60), wait(60), send(ok()))

    assert cut(span) == ("total", "wait", 15.0)


def test_idle_cuts_stream() -> None:
    """A silence between two bytes of the response longer than `idle` ends it."""
    got, span, _ = exchange(
        layer(first_byte=60, idle=10), send(CHUNKED_HEAD + b"3\r\nabc\r\n"), wait(10 + MS), send(b"0\r\n\r\n")
    )

    assert got == CHUNKED_HEAD + b"3\r\nabc\r\n"
    assert cut(span) == ("idle", "stream", 10.0)
    assert span.downstream == DownstreamEnd.TRUNCATED


def test_idle_is_rearmed_by_stream() -> None:
    """Bytes of the response re-arm `idle`: streaming helps here."""
    silence = [wait(9), send(b"1\r\nx\r\n")] * 10

    got, span, _ = exchange(layer(idle=10), send(CHUNKED_HEAD), *silence, send(b"0\r\n\r\n"))

    assert got.endswith(b"0\r\n\r\n")
    assert span.largest_gap_s == pytest.approx(9.0)


def test_total_cuts_stream() -> None:
    """Bytes of the response do not re-arm `total`: streaming does not help."""
    silence = [wait(9), send(b"1\r\nx\r\n")] * 10

    _, span, _ = exchange(layer(idle=10, total=50), send(CHUNKED_HEAD), *silence, send(b"0\r\n\r\n"))

    assert cut(span) == ("total", "stream", 50.0)


def test_keepalive_closes_between_requests() -> None:
    """A connection that nobody uses is closed after `keepalive`, on both sides, and nobody writes of it."""

    async def main() -> tuple[str, float | None, float | None, int]:
        async with Rig(
            layer(keepalive=5), upstream=FakeUpstream((send(ok()),)), clock=virtual_clock()
        ) as rig:
            caller = await rig.call(request())
            await caller.response()
            await caller.until(lambda caller: bool(caller.ended))
            await asyncio.sleep(1)
            return caller.ended, caller.ended_s, rig.upstream.connections[0].ended_s, len(rig.spans)

    ended, ended_s, upstream_s, spans = run_virtual(main())

    assert ended == "fin"
    assert ended_s == pytest.approx(5.0)
    assert upstream_s == pytest.approx(5.0)
    assert spans == 1


def test_keepalive_is_rearmed_by_the_next_request() -> None:
    """Each answer starts `keepalive` anew."""

    async def main() -> int:
        async with Rig(
            layer(keepalive=5), upstream=FakeUpstream((send(ok()),)), clock=virtual_clock()
        ) as rig:
            caller = await rig.call(request())
            for _ in range(5):
                assert await caller.response() == ok()
                await asyncio.sleep(4)
                caller.transport.write(request())
            assert await caller.response() == ok()
            caller.transport.abort()
            return len(rig.upstream.connections)

    assert run_virtual(main()) == 1


def test_a_tap_never_cuts() -> None:
    """A layer without timers waits as long as it takes."""
    got, span, _ = exchange(layer(), wait(100_000), send(ok()))

    assert got == ok()
    assert span.upstream == UpstreamEnd.COMPLETE


def test_the_earlier_deadline_wins() -> None:
    """Two timers in one phase: the one that is due first cuts, and only that one."""
    _, span, _ = exchange(layer(first_byte=60, total=60 - MS), wait(61), send(ok()))

    assert cut(span) == ("total", "wait", 59.999)
    assert span.cut_tries == []


def test_a_cut_is_named_by_its_directive() -> None:
    """A knob with another name while sending is named so, and its limit and instant are written down."""
    nginx = layer("nginx", idle=10)
    timers = {
        kind: replace(timer, sending_directive="proxy_send_timeout") for kind, timer in nginx.timers.items()
    }
    upload = request(body=b"x" * 20)

    _, span, _ = exchange(replace(nginx, timers=timers), BODY, pieces=(upload[:-5], upload[-5:]), gap_s=11)

    assert span.cut.directive == "proxy_send_timeout"
    assert span.cut.limit_s == 10
    assert span.error == "cut by proxy_send_timeout after 10 s, while sending the request"


def test_each_timer_has_its_own_answer() -> None:
    """The layer's answer is looked up by timer first, then as any expiry."""
    answers = {
        "connect": Answer(status=522, reason="Connection timed out", body="522 {ray}"),
        "expiry": Answer(
            status=524, reason="A timeout occurred", headers=(("Date", "{date}"),), body='{"a": 1}'
        ),
    }
    cloudflare = replace(layer(connect=5, first_byte=60), answers=answers)

    connecting, span, _ = exchange(cloudflare, send(ok()), dial_s=6)
    waiting, _, _ = exchange(cloudflare, wait(61), send(ok()))

    assert connecting.startswith(b"HTTP/1.1 522 Connection timed out\r\n")
    assert span.status == 522
    assert b"Date: Thu, 01 Jan 1970 00:01:00 GMT\r\n" in waiting
    assert waiting.endswith(b'\r\n\r\n{"a": 1}')


@pytest.mark.sockets
def test_first_byte_cuts_wait_in_scaled_time() -> None:
    """A hundred model seconds a second: the same cut, and not before the same model instant."""

    async def main() -> tuple[bytes, Any]:
        clock = Clock(100.0)
        async with Rig(
            layer(first_byte=30), upstream=FakeUpstream((wait(60), send(ok()))), clock=clock
        ) as rig:
            caller = await call(rig.port, request())
            got = await caller.response()
            caller.transport.abort()
            return got, rig.span

    got, span = run_real(main())

    assert got.startswith(b"HTTP/1.1 504 ")
    # The loop's clock counts milliseconds; how late a stalled machine is, nobody can say.
    assert span.cut.at_s - span.request_sent_s > 30 - 0.5


class Blocking:
    """An upstream in a thread, which answers while the loop of the hops stands still."""

    def __init__(self, loop: asyncio.AbstractEventLoop, beyond_s: float) -> None:
        self._loop = loop
        self._beyond_s = beyond_s
        self._answered = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = ("127.0.0.1", self._server.getsockname()[1])
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        side, _ = self._server.accept()
        with side:
            side.recv(65_536)
            self._loop.call_soon_threadsafe(self._stand_still)
            side.sendall(ok())
            self._answered.set()
            side.recv(65_536)

    def _stand_still(self) -> None:
        self._answered.wait()
        pause(self._beyond_s)

    def close(self) -> None:
        """When the hops have gone."""
        self._thread.join()
        self._server.close()


@pytest.mark.sockets
def test_what_came_while_the_loop_stood_still_is_read_before_a_timer_fires() -> None:
    """As nginx and HAProxy do, and through two layers: the answer was there, and late was only the machine."""

    async def main() -> bytes:
        upstream = Blocking(asyncio.get_running_loop(), beyond_s=2.2)
        chain = await start_chain(
            topology(layer("outer", first_byte=2), layer("inner", first_byte=2)),
            upstream=upstream.address,
            clock=Clock(),
            sink=None,
        )
        caller = await call(chain.port, request())
        got = await caller.response()
        caller.transport.abort()
        await chain.close()
        upstream.close()
        return got

    assert run_real(main()).startswith(b"HTTP/1.1 200 ")
