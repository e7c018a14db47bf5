"""Every preset, every timer: a millisecond below the limit is delivered, a millisecond above is cut."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.path.fakes import BODY, CHUNKED_HEAD, FakeUpstream, Part, Rig, ok, request, send, wait
from tests.path.test_timers import slow_dial
from whocut.chain.catalogue import catalogue, editions, preset
from whocut.chain.layers import Buffering, Layer, MidBody, Role
from whocut.chain.timers import Phase, Timer, TimerKind
from whocut.clock import VirtualLoop, run_virtual
from whocut.path import vendors
from whocut.trace.records import DownstreamEnd, UpstreamEnd

MS = 0.001
UPLOAD = request(body=b"x" * 20)
CHUNK = b"1\r\nx\r\n"
END = b"0\r\n\r\n"


@dataclass(frozen=True)
class Cell:
    """One timer of one preset, in one phase in which it can fire."""

    layer: Layer
    timer: Timer
    phase: Phase

    def __str__(self) -> str:
        return f"{self.layer.name}-{self.timer.kind}-{self.phase}"


@dataclass(frozen=True)
class Play:
    """How a silence of some seconds is put into a phase: while dialling, sending, waiting or streaming."""

    parts: tuple[Part, ...]
    dial_s: float = 0.0
    gap_s: float = 0.0

    @classmethod
    def with_silence(cls, phase: Phase, silence_s: float) -> Play:
        """The silence in this phase, and none elsewhere."""
        if phase is Phase.CONNECT:
            return cls((BODY, send(ok())), dial_s=silence_s)
        if phase is Phase.SEND:
            return cls((BODY, send(ok())), gap_s=silence_s)
        if phase is Phase.WAIT:
            return cls((BODY, wait(silence_s), send(ok())))
        return cls((BODY, send(CHUNKED_HEAD + CHUNK), wait(silence_s), send(CHUNK + END)))


PHASES = {
    TimerKind.CONNECT: (Phase.CONNECT,),
    TimerKind.FIRST_BYTE: (Phase.WAIT,),
    TimerKind.IDLE: (Phase.SEND, Phase.WAIT, Phase.STREAM),
    TimerKind.TOTAL: tuple(Phase),
    TimerKind.KEEPALIVE: (),
}


def cells() -> list[Cell]:
    """The whole catalogue, in every edition; a timer hidden behind an earlier one has no cell."""
    found = []
    for name in catalogue():
        for edition in editions():
            layer = preset(name, edition)
            layer = replace(layer, name=f"{name}@{edition}")
            if layer.role is not Role.HOP or (edition != "today" and layer.timers == preset(name).timers):
                continue
            found += [
                Cell(layer, timer, phase)
                for timer in layer.timers.values()
                for phase in PHASES[timer.kind]
                if fires_first(layer, timer, phase)
            ]
    return found


def fires_first(layer: Layer, timer: Timer, phase: Phase) -> bool:
    """Whether this timer is the one that ends a silence in this phase."""
    idle_sleeps = phase is Phase.WAIT and (TimerKind.FIRST_BYTE in layer.timers or not layer.idle_waits)
    if timer.kind is TimerKind.IDLE and idle_sleeps:
        return False
    others = [other for other in layer.timers.values() if other is not timer and phase in PHASES[other.kind]]
    if idle_sleeps:
        others = [other for other in others if other.kind is not TimerKind.IDLE]
    return all(timer.limit_s < other.limit_s for other in others)


CELLS = cells()


async def played(layer: Layer, play: Play) -> tuple[bytes, str, Any, FakeUpstream]:
    """Play it once: what the caller got, how its connection ended, the span, the upstream."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    async with Rig(layer, upstream=FakeUpstream(play.parts), clock=loop.clock()) as rig:
        if play.dial_s:
            rig.hop._dial = slow_dial(play.dial_s)
        caller = await rig.call(UPLOAD[:-5])
        if play.gap_s:
            await asyncio.sleep(play.gap_s)
        caller.transport.write(UPLOAD[-5:])
        got = await caller.response()
        await asyncio.sleep(MS)
        return got, caller.ended, rig.span, rig.upstream


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_a_millisecond_below_the_limit_is_delivered(cell: Cell) -> None:
    """Nobody cuts before the limit."""
    play = Play.with_silence(cell.phase, cell.timer.limit_s - MS)

    got, _, span, _ = run_virtual(played(cell.layer, play))

    assert got.startswith(b"HTTP/1.1 200 OK\r\n")
    assert got.endswith((b"whole", END))
    assert span.cut is None
    assert span.upstream == UpstreamEnd.COMPLETE


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_a_millisecond_above_the_limit_is_cut_as_the_vendor_cuts(cell: Cell) -> None:
    """The timer fires on its millisecond, under its directive, and the caller sees the vendor's ending."""
    layer, timer, phase = cell.layer, cell.timer, cell.phase
    # Tries of its own: see below.
    layer = replace(layer, retries=replace(layer.retries, on_timeout=False, connects=1))
    play = Play.with_silence(phase, timer.limit_s + MS)

    got, ended, span, upstream = run_virtual(played(layer, play))

    assert span.cut.timer == timer.kind
    assert span.cut.phase == phase
    assert span.cut.directive == timer.named_in(phase)
    assert span.cut.limit_s == timer.limit_s
    assert span.cut.at_s == pytest.approx(timer.limit_s, abs=MS / 100)
    assert span.upstream == UpstreamEnd.CUT
    if phase is not Phase.CONNECT:
        assert upstream.connections[0].ended == ("rst" if layer.closes_upstream_with_reset else "fin")
    if phase is Phase.STREAM and layer.buffering is not Buffering.ALL:
        assert_truncated(layer, got, ended)
        assert span.downstream == DownstreamEnd.TRUNCATED
    elif layer.silent:
        assert got == b""
        assert ended == ("rst" if layer.mid_body is MidBody.RST else "fin")
        assert span.downstream == DownstreamEnd.TRUNCATED
    else:
        answer = vendors.answer_for(layer, timer.kind)
        assert got.startswith(f"HTTP/1.1 {answer.status} {answer.reason}\r\n".encode())
        assert span.status == answer.status
        assert span.downstream == DownstreamEnd.OWN_ANSWER


def assert_truncated(layer: Layer, got: bytes, ended: str) -> None:
    """The bytes so far, and the ending the catalogue says."""
    if layer.mid_body is MidBody.TERMINATED:
        assert got == CHUNKED_HEAD + CHUNK + END
        assert ended == ""
    elif layer.mid_body is MidBody.RST:
        assert ended == "rst"
    else:
        assert got == CHUNKED_HEAD + CHUNK
        assert ended == "fin"


HOPS = [name for name in catalogue() if preset(name).role is Role.HOP]


@pytest.mark.parametrize("name", HOPS)
def test_every_answer_of_the_catalogue_is_http(name: str) -> None:
    """Each page a layer may send is one whole response with nothing left to fill in."""
    layer = preset(name)

    for answer in layer.answers.values():
        got = vendors.render(answer, unix_s=0.0, close=False)
        head, _, body = got.partition(b"\r\n\r\n")
        fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
        lengths = [value for field, value in fields.items() if field.lower() == b"content-length"]

        assert [int(length) for length in lengths] == [len(body)]
        assert not any(left in got for left in (b"{date}", b"{ray}", b"{request_id}"))


@pytest.mark.parametrize("name", HOPS)
def test_a_layer_that_tries_again_by_itself_multiplies_its_limit(name: str) -> None:
    """So many tries, so many waits, one answer and one cut (for a POST only where the vendor dares)."""
    layer = preset(name)
    kind = TimerKind.FIRST_BYTE if TimerKind.FIRST_BYTE in layer.timers else TimerKind.IDLE
    if kind not in layer.timers or not fires_first(layer, layer.timers[kind], Phase.WAIT):
        return  # it has no timer for the wait, or another one ends it
    tries = layer.retries.tries if layer.retries.post and layer.retries.on_timeout else 1

    _, _, span, _ = run_virtual(played(layer, Play((BODY, wait(100_000)))))

    expected_s = min(tries * layer.timers[kind].limit_s, layer.limit_s(TimerKind.TOTAL) or float("inf"))
    assert span.cut.at_s == pytest.approx(expected_s, abs=MS)


@pytest.mark.parametrize("name", HOPS)
def test_a_layer_that_waits_for_several_connections_multiplies_its_limit(name: str) -> None:
    """So many connections that do not come, so many waits, one answer and one cut."""
    layer = preset(name)
    limit_s = layer.limit_s(TimerKind.CONNECT)
    if limit_s is None:
        return  # it waits as long as the machine does
    play = Play((BODY, send(ok())), dial_s=10 * limit_s)

    _, _, span, _ = run_virtual(played(layer, play))

    tries = max(layer.retries.connects, layer.retries.tries if layer.retries.on_timeout else 1)
    assert span.cut.at_s == pytest.approx(
        min(tries * limit_s, layer.limit_s(TimerKind.TOTAL) or float("inf")), abs=MS
    )
