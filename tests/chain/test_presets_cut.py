"""Every preset and timer: a millisecond below its limit all is well, one above it is cut, as its vendor cuts."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.path.fakes import CHUNKED_HEAD, FakeUpstream, Part, Rig, ok, request, send, wait
from whocut.chain.catalogue import catalogue, preset
from whocut.chain.layers import Buffering, Layer, LayerRetries, MidBody, Role
from whocut.chain.timers import TimerKind
from whocut.clock import VirtualLoop, run_virtual

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from whocut.path import Hop
    from whocut.path.upstream import Upstream

MS = 0.001
FIRST = b"1\r\nx\r\n"
HOPS = [name for name, entry in catalogue().items() if entry.role is Role.HOP]
WAITS = [
    (name, kind)
    for name in HOPS
    for kind in (TimerKind.FIRST_BYTE, TimerKind.IDLE, TimerKind.TOTAL)
    if kind in preset(name).timers
    and not (
        kind is TimerKind.IDLE
        and (TimerKind.FIRST_BYTE in preset(name).timers or not preset(name).idle_waits)
    )
]
STREAMS = [
    (name, kind) for name in HOPS for kind in (TimerKind.IDLE, TimerKind.TOTAL) if kind in preset(name).timers
]

TAPS = [name for name in HOPS if not set(preset(name).timers) - {TimerKind.CONNECT, TimerKind.KEEPALIVE}]
DIALS = [name for name in HOPS if TimerKind.CONNECT in preset(name).timers]


def alone(name: str, kind: TimerKind) -> Layer:
    """The layer with this timer only, and one try: another timer might fire first."""
    layer = preset(name)
    return replace(layer, timers={kind: layer.timers[kind]}, retries=LayerRetries())


def exchange(layer: Layer, *part: Part, dial_s: float = 0.0) -> tuple[bytes, Any]:
    """What the caller got of one exchange, and what the layer wrote of it."""

    async def main() -> tuple[bytes, Any]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        async with Rig(layer, upstream=FakeUpstream(part), clock=loop.clock()) as rig:
            if dial_s:
                rig.hop._dial = slow_dial(dial_s)
            caller = await rig.call(request())
            got = await caller.response()
            await asyncio.sleep(MS)
            caller.transport.abort()
            return got, rig.span

    return run_virtual(main())


def slow_dial(seconds: float) -> Callable[[Hop], Awaitable[Upstream]]:
    """A way to connect that takes its time: the loopback itself takes none."""

    async def dial(hop: Hop) -> Upstream:
        await asyncio.sleep(seconds)
        return await hop.dial_now()

    return dial


@pytest.mark.parametrize("name", DIALS)
def test_a_slow_connection_is_given_up_at_the_limit(name: str) -> None:
    """While connecting: 522, 503 or 504, as the vendor says it."""
    layer = alone(name, TimerKind.CONNECT)
    limit_s = layer.timers[TimerKind.CONNECT].limit_s

    got, _ = exchange(layer, send(ok()), dial_s=limit_s - MS)
    cut, span = exchange(layer, send(ok()), dial_s=limit_s + MS)

    assert got == ok()
    assert span.cut.timer == TimerKind.CONNECT
    answer = layer.answers.get("connect") or layer.answers.get("expiry")
    if answer is not None:
        assert cut.startswith(f"HTTP/1.1 {answer.status} {answer.reason}\r\n".encode())


@pytest.mark.parametrize(("name", "kind"), WAITS)
def test_a_silent_upstream_is_cut_at_the_limit(name: str, kind: TimerKind) -> None:
    """While waiting: the vendor's own answer, and not a millisecond before its limit."""
    layer = alone(name, kind)
    limit_s = layer.timers[kind].limit_s

    got, _ = exchange(layer, wait(limit_s - MS), send(ok()))
    cut, span = exchange(layer, wait(limit_s + MS), send(ok()))

    assert got == ok()
    assert span.cut.timer == kind
    assert span.cut.at_s == pytest.approx(limit_s, abs=MS / 2)
    assert span.cut.directive == layer.timers[kind].directive
    answer = layer.answers.get(kind) or layer.answers.get("expiry")
    if layer.silent:
        assert cut == b""
    elif answer is not None:
        assert cut.startswith(f"HTTP/1.1 {answer.status} {answer.reason}\r\n".encode())
        assert span.status == answer.status


@pytest.mark.parametrize(("name", "kind"), STREAMS)
def test_a_stream_is_cut_at_the_limit(name: str, kind: TimerKind) -> None:
    """In mid-body: too few bytes, a reset or a clean end, as the vendor does; an answer where it held the head."""
    layer = alone(name, kind)
    limit_s = layer.timers[kind].limit_s
    began = send(CHUNKED_HEAD + FIRST)

    got, _ = exchange(layer, began, wait(limit_s - MS), send(b"0\r\n\r\n"))
    cut, span = exchange(layer, began, wait(limit_s + MS), send(b"0\r\n\r\n"))

    assert got.endswith(b"0\r\n\r\n")
    assert span.cut.timer == kind
    assert span.cut.at_s == pytest.approx(limit_s, abs=MS / 2)
    if layer.buffering is Buffering.ALL:
        assert not cut.startswith(b"HTTP/1.1 200")
    else:
        assert FIRST in cut
        assert cut.endswith(b"0\r\n\r\n") == (layer.mid_body is MidBody.TERMINATED)


@pytest.mark.parametrize("name", [name for name in HOPS if not preset(name).idle_waits])
def test_an_idle_timer_of_streams_alone_ends_no_wait(name: str) -> None:
    """New API's STREAMING_TIMEOUT: twice as long in silence before the head, and the answer passes."""
    layer = alone(name, TimerKind.IDLE)

    got, _ = exchange(layer, wait(2 * layer.timers[TimerKind.IDLE].limit_s), send(ok()))

    assert got == ok()


@pytest.mark.parametrize(
    "name", [name for name in HOPS if not set(preset(name).timers) - {TimerKind.CONNECT, TimerKind.KEEPALIVE}]
)
def test_a_layer_without_such_timers_waits_for_ever(name: str) -> None:
    """Half an hour of silence, and the answer passes."""
    got, _ = exchange(preset(name), wait(1_800), send(ok()))

    assert got == ok()
