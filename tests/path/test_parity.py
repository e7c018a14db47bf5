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
    ok,
    request,
    send,
    wait,
)
from tests.path.gateways import needed
from whocut.chain.catalogue import overridden, preset
from whocut.chain.products import product
from whocut.chain.timers import TimerKind
from whocut.clock import Clock, run_real
from whocut.path import Hop
from whocut.path.gateways import GATEWAYS, start_gateway

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from whocut.chain.layers import Layer

SCALE = 100.0
# Real seconds. A machine that stands still for a while must not make a limit fire that is not to fire here, nor let
# a silence end before the limit.
SHORT_S, LONG_S = 1.0, 60.0  # Apache counts whole seconds
BEATS_S, BEAT_S, BEATS = 3.0, 0.6, 6  # a limit that all beats together pass, and each by far does not
PATIENCE_S = 30.0

pytestmark = [pytest.mark.gateway, pytest.mark.sockets]


def emulated(name: str, limit_s: float = LONG_S) -> Layer:
    """The layer with one limit, in real seconds, for every silence that it has a timer for."""
    has = product(name).knobs
    limits: dict[TimerKind, float | None] = {TimerKind.TOTAL: None}
    limits |= {
        kind: limit_s * SCALE
        for kind in (TimerKind.CONNECT, TimerKind.FIRST_BYTE, TimerKind.IDLE)
        if kind in has
    }
    if name == "envoy":
        limits[TimerKind.IDLE] = 1.5 * limit_s * SCALE  # it runs in the wait as well, and would end that too
    limits |= {kind: LONG_S * SCALE for kind in (TimerKind.KEEPALIVE,) if kind in has}
    return overridden(preset(name), limits, "this test")


@dataclass(frozen=True)
class Ending:
    """What can be seen of an exchange from both of its ends."""

    status: int
    body: bytes
    caller_saw: str  # how the caller's connection ended; nothing where it stayed open
    upstream_saw: str


# LiteLLM is no relay: it reads what comes and writes its own. Its endings are in `test_parity_times.py`.
RELAYS = sorted(set(GATEWAYS) - {"litellm"})
# What is another in each answer: a version, a number of a request, the host that was asked for.
MADE_UP = (
    (rb"nginx/[0-9.]+", b"nginx"),
    (rb"XID: [0-9]+", b"XID"),
    (rb"trying to proxy: [^/]*/", b"trying to proxy: /"),
    (rb"^\|(Error occurred[^|]*)\|\r\n$", rb"\1"),
)
# Products that keep no connection after a whole answer, as they are configured: Caddy none to the upstream while
# its `read_timeout` is set, http-proxy-middleware none on either side.
KEEPS_NONE = {"caddy", "http-proxy-middleware"}
# Where the hop is known not to do as the product does.
OTHERWISE = {
    (
        "http-proxy-middleware",
        "stall in chunks",
    ): "the caller's connection stays open, and nothing more comes",
    ("http-proxy-middleware", "stall in a counted body"): "as above",
    ("http-proxy-middleware", "close in mid-body"): "as above",
    ("http-proxy-middleware", "reset in mid-body"): "as above",
    ("http-proxy-middleware", "a malformed head"): "it answers 502 to that, and 504 to a close",
    ("apache", "a malformed head"): "it has a page of its own for that",
    ("envoy", "a malformed head"): "it answers 502 to that, and 503 to a close",
    ("traefik", "a malformed head"): "it answers 500 to that, and 502 to a close",
}
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
        if b"transfer-encoding: chunked" in head.lower():
            body = re.sub(rb"(?:^|\r\n)0*[0-9a-f]+\r\n", b"|", body)
        for made_up, plain in MADE_UP:
            body = re.sub(made_up, plain, body)
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
        await until(
            lambda: (
                all(keeps_none(name, seen.ending()) for seen in (one, other))  # that end says nothing
                or bool(one.ending().upstream_saw) == bool(other.ending().upstream_saw)
            )
        )
        one.last, other.last = one.ending(), other.ending()
        one.caller.transport.abort()
        other.caller.transport.abort()
        return one, other


def alike(scenarios: Iterable[str]) -> list[tuple[str, str]]:
    """The gateways and scenarios in which the hop is held to the product."""
    return [
        (name, scenario) for name in RELAYS for scenario in scenarios if (name, scenario) not in OTHERWISE
    ]


def has_timer_for(scenario: str, name: str) -> bool:
    """Whether the product has a timer that ends it."""
    return (TimerKind.FIRST_BYTE if scenario == "hang" else TimerKind.IDLE) in product(name).knobs


@pytest.mark.parametrize(
    ("name", "scenario"), [(name, cut) for name, cut in alike(CUT) if has_timer_for(cut, name)]
)
def test_the_hop_cuts_as_the_real_one_does(name: str, scenario: str) -> None:
    """Same status, same body, same ending on both sides; not before the limit, and not by the silence's end."""
    needed(name)

    hop, real = run_real(beside(name, SHORT_S, CUT[scenario]))

    assert hop.last == real.last
    assert min(hop.took_s, real.took_s) > SHORT_S - 0.01  # their clocks count milliseconds


def seen(one: Seen, name: str) -> tuple[int, bytes, Ending | None]:
    """What came of it: of products that keep no connection, without their ends after a whole answer."""
    last = one.last
    return last.status, last.body, None if keeps_none(name, last) else last


def keeps_none(name: str, last: Ending) -> bool:
    """Whether the product ends its connection after a whole answer, so that the end says nothing."""
    return name in KEEPS_NONE and last.status == 200 and "lost" not in last.upstream_saw


@pytest.mark.parametrize(("name", "scenario"), alike(LET_THROUGH))
def test_the_hop_ends_as_the_real_one_does(name: str, scenario: str) -> None:
    """Same status, same body, same ending on both sides where no limit fires."""
    needed(name)

    hop, real = run_real(beside(name, LONG_S, LET_THROUGH[scenario]))

    assert seen(hop, name) == seen(real, name)


@pytest.mark.parametrize("name", RELAYS)
def test_the_hop_is_kept_by_heartbeats_as_the_real_one_is(name: str) -> None:
    """Each byte sets the limit on silence anew: an answer that takes longer than it comes through both."""
    needed(name)

    hop, real = run_real(beside(name, BEATS_S, HEARTBEATS))

    assert seen(hop, name) == seen(real, name)
    assert hop.last.body.count(b":") == BEATS
    assert min(hop.took_s, real.took_s) > BEATS_S


@pytest.mark.parametrize(
    ("name", "limit_s"),
    [(name, LONG_S if preset(name).notices_abort else SHORT_S) for name in RELAYS],
)
def test_the_hop_sees_a_caller_leave_as_the_real_one_does(name: str, limit_s: float) -> None:
    """As nginx, it turns away at once, a minute before its limit; as HAProxy, it stays until then."""
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

    assert waits == [not preset(name).notices_abort] * 2
