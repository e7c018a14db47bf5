"""The emulated layer beside the real one: same upstream, same limits, same ending for the caller."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from harness.chain.catalogue import overridden, preset
from harness.chain.timers import TimerKind
from harness.clock import Clock, run_real
from harness.errors import BadInput, ChildDied, NotInstalled
from harness.path import Hop
from harness.path.gateways import GATEWAYS, start_gateway
from harness.path.gateways.nginx import Nginx
from harness.path.gateways.process import start
from harness.trace.logs.formats import FORMATS
from tests.path.fakes import (
    BODY,
    CHUNKED_HEAD,
    FIN,
    RST,
    Caller,
    FakeUpstream,
    Part,
    call,
    layer,
    ok,
    request,
    send,
    wait,
)
from tests.path.gateways import needed

if TYPE_CHECKING:
    from harness.chain.layers import Layer

SCALE = 100.0
LIMIT_S = 45.0  # model seconds: 450 ms of real time

pytestmark = [pytest.mark.gateway, pytest.mark.sockets]


def emulated(name: str) -> Layer:
    """The layer with the limits of this test."""
    limits = {TimerKind.CONNECT: LIMIT_S, TimerKind.FIRST_BYTE: LIMIT_S, TimerKind.IDLE: LIMIT_S}
    return overridden(
        preset(name), {**limits, TimerKind.TOTAL: None, TimerKind.KEEPALIVE: 10 * LIMIT_S}, "this test"
    )


@dataclass(frozen=True)
class Ending:
    """What can be seen of an exchange from both of its ends."""

    status: int
    body: bytes
    caller_saw: str  # how the caller's connection ended; nothing where it stayed open
    upstream_saw: str


SILENCE = wait(1.0)
SCENARIOS: dict[str, tuple[Part, ...]] = {
    "delivered": (BODY, wait(0.05), send(ok())),
    "delivered in chunks": (
        BODY,
        send(CHUNKED_HEAD + b"1\r\nx\r\n"),
        wait(0.2),
        send(b"1\r\ny\r\n0\r\n\r\n"),
    ),
    "hang": (BODY, SILENCE),
    "stall in chunks": (BODY, send(CHUNKED_HEAD + b"1\r\nx\r\n"), SILENCE),
    "stall in a counted body": (
        BODY,
        send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 300),
        SILENCE,
    ),
    "close before the head": (BODY, wait(0.05), FIN),
    "reset before the head": (BODY, wait(0.05), RST),
    "close in mid-body": (BODY, send(CHUNKED_HEAD + b"1\r\nx\r\n"), wait(0.05), FIN),
    "reset in mid-body": (BODY, send(CHUNKED_HEAD + b"1\r\nx\r\n"), wait(0.05), RST),
    # Not just anything: what does not begin with HTTP/1 is HTTP/0.9 to nginx, and passes.
    "a malformed head": (BODY, send(b"HTTP/1.1 200 OK\r\nX\x00: y\r\n\r\n")),
    "heartbeats": (
        BODY,
        send(CHUNKED_HEAD),
        *((wait(0.35), send(b"1\r\n:\r\n")) * 3),  # 300 ms and less do not re-arm nginx: see its file
        send(b"0\r\n\r\n"),
    ),
}


async def ending(port: int, upstream: FakeUpstream) -> tuple[Ending, float]:
    """One POST: how it ended, and after how long the answer (or the cut) came."""
    started_s = asyncio.get_running_loop().time()
    caller = await call(port, request())
    got = await caller.response()
    took_s = asyncio.get_running_loop().time() - started_s
    await asyncio.sleep(0.02)
    saw = caller.ended
    caller.transport.abort()
    head, _, body = got.partition(b"\r\n\r\n")
    body = re.sub(rb"nginx/[0-9.]+", b"nginx", body)
    seen = upstream.connections[0].ended
    return Ending(int(head[9:12] or b"0"), body, saw, seen), took_s


async def beside(name: str, part: tuple[Part, ...]) -> tuple[tuple[Ending, float], tuple[Ending, float]]:
    """The same through the hop and through the real one."""
    clock = Clock(SCALE)
    of = emulated(name)
    async with AsyncExitStack() as stack:
        for_hop = await stack.enter_async_context(FakeUpstream(part))
        for_real = await stack.enter_async_context(FakeUpstream(part))
        hop = Hop(of, upstream=for_hop.address, clock=clock)
        await hop.listen()
        stack.push_async_callback(hop.close)
        real = await stack.enter_async_context(
            await start_gateway(name, of, upstream=for_real.address, clock=clock)
        )
        return await asyncio.gather(ending(hop.port, for_hop), ending(real.port, for_real))


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("name", sorted(GATEWAYS))
def test_the_hop_ends_as_the_real_one_does(name: str, scenario: str) -> None:
    """Same status, same body, same ending on both sides, and within 60 ms of the same instant."""
    needed(name)

    (hop, hop_s), (real, real_s) = run_real(beside(name, SCENARIOS[scenario]))

    assert hop == real
    assert hop_s == pytest.approx(real_s, abs=0.06)


@pytest.mark.parametrize("name", sorted(GATEWAYS))
def test_the_hop_sees_a_caller_leave_as_the_real_one_does(name: str) -> None:
    """The one turns away from the upstream at once (nginx), the other keeps it (HAProxy)."""
    needed(name)

    async def left(port: int, upstream: FakeUpstream) -> float:
        loop = asyncio.get_running_loop()
        caller = await call(port, request())
        await asyncio.sleep(0.1)
        gone_s = loop.time()
        caller.transport.close()
        while not upstream.connections[0].ended:  # noqa: ASYNC110  # a peer's socket tells no event
            await asyncio.sleep(0.005)
        return loop.time() - gone_s

    async def main() -> tuple[float, float]:
        clock = Clock(SCALE)
        of = emulated(name)
        async with FakeUpstream((SILENCE,)) as for_hop, FakeUpstream((SILENCE,)) as for_real:
            hop = Hop(of, upstream=for_hop.address, clock=clock)
            await hop.listen()
            async with await start_gateway(name, of, upstream=for_real.address, clock=clock) as real:
                both = await asyncio.gather(left(hop.port, for_hop), left(real.port, for_real))
            await hop.close()
        return both[0], both[1]

    hop_s, real_s = run_real(main())

    assert hop_s == pytest.approx(real_s, abs=0.06)


@pytest.mark.parametrize("name", sorted(GATEWAYS))
def test_a_real_gateway_carries_the_trace_and_logs_it(name: str) -> None:
    """It hands the caller's `traceparent` on as it came, as any proxy does, and its log names the caller's span."""
    needed(name)
    came = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"

    async def main() -> tuple[bytes, str]:
        async with FakeUpstream((send(ok()),)) as upstream:
            gateway = await start_gateway(name, emulated(name), upstream=upstream.address, clock=Clock())
            async with gateway:
                caller: Caller = await call(gateway.port, request(extra=f"traceparent: {came}\r\n".encode()))
                await caller.response()
                caller.transport.abort()
                await asyncio.sleep(0.05)
                return upstream.connections[0].received, gateway.log("access.log") + gateway.log(
                    "haproxy.log"
                )

    received, log = run_real(main())

    assert f"traceparent: {came}\r\n".encode() in received
    (account,) = [account for line in log.splitlines() if (account := FORMATS[name].read(line))]
    assert (account.trace_id, account.parent_id, account.status) == ("a" * 32, "b" * 16, 200)


@pytest.mark.parametrize("name", sorted(GATEWAYS))
def test_a_gateway_leaves_nothing_behind(name: str) -> None:
    """Closed, its process is gone and so is its folder."""
    needed(name)

    async def main() -> tuple[int | None, bool]:
        gateway = await start_gateway(name, emulated(name), upstream=("127.0.0.1", 9), clock=Clock())
        await gateway.close()
        return gateway.returncode, gateway.folder.exists()

    code, folder = run_real(main())

    assert code is not None
    assert not folder


@pytest.mark.parametrize("name", sorted(GATEWAYS))
def test_limits_a_gateway_cannot_have_are_said_so(name: str) -> None:
    """A total, or two limits for one knob, is refused before anything starts."""
    needed(name)

    async def main(of: Layer) -> None:
        await start_gateway(name, of, upstream=("127.0.0.1", 9), clock=Clock())

    with pytest.raises(BadInput, match="total"):
        run_real(main(layer(total=5)))
    with pytest.raises(BadInput, match="at once"):
        run_real(main(layer(first_byte=5, idle=6)))


def test_an_unknown_gateway_is_named_with_the_nearest() -> None:
    """A misspelling is answered with the right spelling."""
    with pytest.raises(BadInput, match="did you mean 'nginx'"):
        run_real(start_gateway("ngnix", layer(), upstream=("127.0.0.1", 9), clock=Clock()))


def test_a_gateway_that_is_not_installed_says_how_to() -> None:
    """The package is named."""
    missing = type("Missing", (Nginx,), {"program": "whocut-no-such-program"})()

    with pytest.raises(NotInstalled, match="apt-get install nginx-light"):
        run_real(start(missing, layer(), upstream=("127.0.0.1", 9), clock=Clock()))


def test_a_gateway_that_dies_at_once_says_why() -> None:
    """Its last words are in the message."""
    needed("nginx")
    broken = type("Broken", (Nginx,), {"config": lambda *_, **__: "nonsense;"})()

    with pytest.raises(ChildDied, match="nonsense"):
        run_real(start(broken, layer(), upstream=("127.0.0.1", 9), clock=Clock()))
