"""The emulated layer beside the real one: same upstream, same limits, same ending for the caller."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

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
from whocut.chain.catalogue import overridden, preset
from whocut.chain.timers import TimerKind
from whocut.clock import Clock, run_real
from whocut.errors import BadInput, ChildDied, NotInstalled
from whocut.path import Hop
from whocut.path.gateways import GATEWAYS, start_gateway
from whocut.path.gateways.nginx import Nginx
from whocut.path.gateways.process import start
from whocut.trace.logs.formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable

    from whocut.chain.layers import Layer
    from whocut.path.gateways.process import RunningGateway
    from whocut.trace.logs.records import Account

SCALE = 100.0
# Real seconds. A machine that stands still for a while must not make a limit fire that is not to fire here, nor let
# a silence end before the limit.
SHORT_S, LONG_S = 0.45, 60.0
BEATS_S, BEAT_S, BEATS = 3.0, 0.6, 6  # a limit that all beats together pass, and each by far does not
PATIENCE_S = 30.0

pytestmark = [pytest.mark.gateway, pytest.mark.sockets]


def emulated(name: str, limit_s: float = LONG_S) -> Layer:
    """The layer with one limit, in real seconds, for every silence."""
    model_s = limit_s * SCALE
    limits = {TimerKind.CONNECT: model_s, TimerKind.FIRST_BYTE: model_s, TimerKind.IDLE: model_s}
    return overridden(
        preset(name), {**limits, TimerKind.TOTAL: None, TimerKind.KEEPALIVE: LONG_S * SCALE}, "this test"
    )


@dataclass(frozen=True)
class Ending:
    """What can be seen of an exchange from both of its ends."""

    status: int
    body: bytes
    caller_saw: str  # how the caller's connection ended; nothing where it stayed open
    upstream_saw: str


SILENCE = wait(LONG_S)
CUT: dict[str, tuple[Part, ...]] = {
    "hang": (BODY, SILENCE, FIN),
    "stall in chunks": (BODY, send(CHUNKED_HEAD + b"1\r\nx\r\n"), SILENCE, FIN),
    "stall in a counted body": (
        BODY,
        send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 300),
        SILENCE,
        FIN,
    ),
}
LET_THROUGH: dict[str, tuple[Part, ...]] = {
    "delivered": (BODY, wait(0.05), send(ok())),
    "delivered in chunks": (
        BODY,
        send(CHUNKED_HEAD + b"1\r\nx\r\n"),
        wait(0.2),
        send(b"1\r\ny\r\n0\r\n\r\n"),
    ),
    "close before the head": (BODY, wait(0.05), FIN),
    "reset before the head": (BODY, wait(0.05), RST),
    "close in mid-body": (BODY, send(CHUNKED_HEAD + b"1\r\nx\r\n"), wait(0.05), FIN),
    "reset in mid-body": (BODY, send(CHUNKED_HEAD + b"1\r\nx\r\n"), wait(0.05), RST),
    # Not just anything: what does not begin with HTTP/1 is HTTP/0.9 to nginx, and passes.
    "a malformed head": (BODY, send(b"HTTP/1.1 200 OK\r\nX\x00: y\r\n\r\n")),
}
# 300 ms and less do not re-arm nginx: see its file.
HEARTBEATS = (BODY, send(CHUNKED_HEAD), *((wait(BEAT_S), send(b"1\r\n:\r\n")) * BEATS), send(b"0\r\n\r\n"))


@dataclass
class Seen:
    """One exchange as it is seen from both of its ends."""

    caller: Caller
    upstream: FakeUpstream
    got: bytes
    took_s: float
    last: Ending = field(init=False)

    def ending(self) -> Ending:
        """How it ended."""
        head, _, body = self.got.partition(b"\r\n\r\n")
        body = re.sub(rb"nginx/[0-9.]+", b"nginx", body)
        seen = self.upstream.connections[0].ended
        return Ending(int(head[9:12] or b"0"), body, self.caller.ended, seen)


async def exchange(port: int, upstream: FakeUpstream) -> Seen:
    """One POST, until the answer (or the cut) has come."""
    started_s = asyncio.get_running_loop().time()
    caller = await call(port, request())
    got = await caller.response()
    return Seen(caller, upstream, got, asyncio.get_running_loop().time() - started_s)


async def until(happened: Callable[[], object]) -> None:
    """Wait for what tells no event; where it does not come, whoever looks will say what is missing."""
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            while not happened():  # noqa: ASYNC110  # a peer's socket tells no event
                await asyncio.sleep(0.005)


async def beside(name: str, limit_s: float, part: tuple[Part, ...]) -> tuple[Seen, Seen]:
    """The same through the hop and through the real one."""
    clock = Clock(SCALE)
    of = emulated(name, limit_s)
    async with AsyncExitStack() as stack:
        for_hop = await stack.enter_async_context(FakeUpstream(part))
        for_real = await stack.enter_async_context(FakeUpstream(part))
        hop = Hop(of, upstream=for_hop.address, clock=clock)
        await hop.listen()
        stack.push_async_callback(hop.close)
        real = await stack.enter_async_context(
            await start_gateway(name, of, upstream=for_real.address, clock=clock)
        )
        one, other = await asyncio.gather(exchange(hop.port, for_hop), exchange(real.port, for_real))
        await asyncio.sleep(
            0.02
        )  # who closes, does it now; where the other one does so later, it is waited for
        await until(lambda: bool(one.caller.ended) == bool(other.caller.ended))
        await until(lambda: bool(one.ending().upstream_saw) == bool(other.ending().upstream_saw))
        one.last, other.last = one.ending(), other.ending()
        one.caller.transport.abort()
        other.caller.transport.abort()
        return one, other


@pytest.mark.parametrize("scenario", CUT)
@pytest.mark.parametrize("name", sorted(GATEWAYS))
def test_the_hop_cuts_as_the_real_one_does(name: str, scenario: str) -> None:
    """Same status, same body, same ending on both sides; not before the limit, and not by the silence's end."""
    needed(name)

    hop, real = run_real(beside(name, SHORT_S, CUT[scenario]))

    assert hop.last == real.last
    assert min(hop.took_s, real.took_s) > SHORT_S - 0.01  # their clocks count milliseconds


@pytest.mark.parametrize("scenario", LET_THROUGH)
@pytest.mark.parametrize("name", sorted(GATEWAYS))
def test_the_hop_ends_as_the_real_one_does(name: str, scenario: str) -> None:
    """Same status, same body, same ending on both sides where no limit fires."""
    needed(name)

    hop, real = run_real(beside(name, LONG_S, LET_THROUGH[scenario]))

    assert hop.last == real.last


@pytest.mark.parametrize("name", sorted(GATEWAYS))
def test_the_hop_is_kept_by_heartbeats_as_the_real_one_is(name: str) -> None:
    """Each byte sets the limit on silence anew: an answer that takes longer than it comes through both."""
    needed(name)

    hop, real = run_real(beside(name, BEATS_S, HEARTBEATS))

    assert hop.last == real.last
    assert hop.last.body.count(b":") == BEATS
    assert min(hop.took_s, real.took_s) > BEATS_S


@pytest.mark.parametrize(("name", "limit_s"), [("haproxy", SHORT_S), ("nginx", LONG_S)])
def test_the_hop_sees_a_caller_leave_as_the_real_one_does(name: str, limit_s: float) -> None:
    """As nginx does, it turns away at once, a minute before its limit; as HAProxy does, it stays until then."""
    needed(name)

    async def left(port: int, upstream: FakeUpstream) -> float:
        loop = asyncio.get_running_loop()
        asked_s = loop.time()
        caller = await call(port, request())
        await until(lambda: upstream.requests)
        caller.transport.close()
        await until(lambda: upstream.connections[0].ended)
        assert upstream.connections[0].ended_s is not None
        return upstream.connections[0].ended_s - asked_s

    async def main() -> tuple[float, float]:
        clock = Clock(SCALE)
        of = emulated(name, limit_s)
        async with FakeUpstream((SILENCE,)) as for_hop, FakeUpstream((SILENCE,)) as for_real:
            hop = Hop(of, upstream=for_hop.address, clock=clock)
            await hop.listen()
            async with await start_gateway(name, of, upstream=for_real.address, clock=clock) as real:
                both = await asyncio.gather(left(hop.port, for_hop), left(real.port, for_real))
            await hop.close()
        return both[0], both[1]

    waits = [s > limit_s - 0.01 for s in run_real(main())]

    assert waits == [name == "haproxy"] * 2


def accounts(name: str, gateway: RunningGateway) -> list[Account]:
    """What a gateway's log tells so far."""
    log = gateway.log("access.log") + gateway.log("haproxy.log")
    return [account for line in log.splitlines() if (account := FORMATS[name].read(line))]


@pytest.mark.parametrize("name", sorted(GATEWAYS))
def test_a_real_gateway_carries_the_trace_and_logs_it(name: str) -> None:
    """It hands the caller's `traceparent` on as it came, as any proxy does, and its log names the caller's span."""
    needed(name)
    came = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"

    async def main() -> tuple[bytes, list[Account]]:
        async with FakeUpstream((send(ok()),)) as upstream:
            gateway = await start_gateway(name, emulated(name), upstream=upstream.address, clock=Clock())
            async with gateway:
                caller: Caller = await call(gateway.port, request(extra=f"traceparent: {came}\r\n".encode()))
                await caller.response()
                caller.transport.abort()
                await until(lambda: accounts(name, gateway))
                return upstream.connections[0].received, accounts(name, gateway)

    received, told = run_real(main())

    assert f"traceparent: {came}\r\n".encode() in received
    (account,) = told
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
