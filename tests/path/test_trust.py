"""Nothing hangs and nothing grows: whatever a peer sends, and whenever it goes, a hop answers or closes."""

from __future__ import annotations

import asyncio
import socket
import sys
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.path.fakes import (
    BODY,
    CHUNKED_HEAD,
    FIN,
    GET,
    Caller,
    FakeUpstream,
    Part,
    Rig,
    layer,
    ok,
    request,
    reset,
    send,
    wait,
)
from tests.path.test_timers import virtual_clock
from whocut.clock import Clock, run_real, run_virtual
from whocut.clock.clock import cpu_s
from whocut.errors import Malformed
from whocut.path.framing import Chunked, Counted, Framing, UntilClose
from whocut.path.http1 import MAX_HEAD_BYTES, HeadReader, parse_request, parse_response
from whocut.path.upward import Upward
from whocut.trace.records import DownstreamEnd, SpanKind, UpstreamEnd

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

HEAD_GUARD_S, IDLE_GUARD_S = 60.0, 3600.0


def played(*part: Part, act: Callable[[Rig], Awaitable[Any]], **limits_s: float) -> tuple[Any, Rig]:
    """What `act` returns, and the rig after everything was closed."""

    async def main() -> tuple[Any, Rig]:
        rig = Rig(layer("hop", **limits_s), upstream=FakeUpstream(part), clock=virtual_clock())
        async with rig:
            return await act(rig), rig

    return run_virtual(main())


# --- no close waits for ever


@pytest.mark.sockets
def test_callers_that_reset_while_the_hop_dials_do_not_keep_it_from_closing() -> None:
    """A dial that is cancelled after its first callback leaves no connection that the close would wait for."""

    async def main() -> tuple[Rig, int]:
        rig = Rig(layer(), upstream=FakeUpstream((wait(100),)), clock=Clock())
        async with rig:
            for _ in range(20):
                caller = await rig.call(request())
                reset(caller.transport)
            while len(rig.spans) < 20:  # noqa: ASYNC110  # the spans are written by callbacks
                await asyncio.sleep(0.01)
            left = len(rig.hop.upstreams)
            await asyncio.wait_for(rig.chain.close(), 20)
        return rig, left

    rig, left = run_real(main())

    assert left == 0
    assert {span.downstream for span in rig.spans} == {DownstreamEnd.LEFT}


def test_a_connection_whose_end_is_never_told_does_not_hold_the_close() -> None:
    """It is given up, and that is said."""

    async def act(rig: Rig) -> None:
        caller = await rig.call(GET)
        await caller.response()
        (pooled,) = rig.hop.upstreams
        pooled.transport = None  # as after an end that the loop has not told
        with pytest.warns(ResourceWarning, match="1 connections of hop did not end within 1 s"):
            await rig.chain.close()
        assert not rig.hop.upstreams

    played(send(ok()), act=act)


def test_an_upstream_that_ends_while_its_connection_is_being_taken_over_is_an_upstream_that_ended() -> None:
    """The exchange comes to a connection that is gone already: a bad gateway, and no fault of the hop."""

    async def main() -> tuple[bytes, Rig]:
        rig = Rig(layer(), upstream=FakeUpstream((FIN,)), clock=virtual_clock())
        async with rig:
            hop = rig.hop

            async def late(_: object) -> Any:
                upstream = await hop.dial_now()
                upstream.connection_lost(ConnectionResetError())
                return upstream

            hop._dial = late
            caller = await rig.call(GET)
            return await caller.response(), rig

    got, rig = run_virtual(main())

    assert got.startswith(b"HTTP/1.1 502 ")
    assert rig.span.upstream == UpstreamEnd.RESET
    assert rig.hop.fallen is None


# --- interim responses


INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </" + b"x" * 1000 + b">\r\n\r\n"


def test_interim_responses_without_end_are_malformed() -> None:
    """A few of them are usual, thousands are a flood: the caller gets no more than a bound."""

    async def act(rig: Rig) -> bytes:
        caller = await rig.call(GET)
        await caller.until(lambda caller: b" 502 " in caller.got)
        return caller.got

    got, rig = played(*([send(INTERIM * 10)] * 1000), act=act)

    assert got.count(b"HTTP/1.1 103 ") <= 32
    assert rig.span.upstream == UpstreamEnd.MALFORMED


def test_a_slow_caller_holds_back_interim_responses() -> None:
    """They wait in the kernel, not in the hop."""
    big = b"HTTP/1.1 103 Early Hints\r\nLink: </" + b"x" * 60_000 + b">\r\n\r\n"

    async def act(rig: Rig) -> int:
        caller = await rig.call(GET)
        caller.transport.pause_reading()
        most = 0
        for _ in range(50):
            await asyncio.sleep(0.01)
            most = max(
                most,
                *(side.transport.get_write_buffer_size() for side in rig.hop.callers if side.transport),
            )
        return most

    async def main() -> int:
        part = (*([send(big)] * 31), send(ok()))
        rig = Rig(layer(), upstream=FakeUpstream(part), clock=virtual_clock())
        async with rig:
            (server,) = rig.hop._server.sockets if rig.hop._server else ()
            server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            return await act(rig)

    assert run_virtual(main()) <= 400_000  # one read of the upstream's; all of them are 1.9 MB


# --- callers that hold a connection


def test_half_a_head_is_answered_and_ended() -> None:
    """A caller that does not finish its head is told so, a minute after it began, however it trickles on."""

    async def act(rig: Rig) -> Caller:
        caller = await rig.call(b"POST / HTTP/1.1\r\nHost: a\r\n")
        for _ in range(100):
            await asyncio.sleep(1)
            caller.transport.write(b"x")
        await caller.until(lambda caller: bool(caller.ended))
        return caller

    caller, rig = played(send(ok()), act=act)

    assert caller.got.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert caller.got_at_s == [pytest.approx(HEAD_GUARD_S)]
    assert rig.spans == []


@pytest.mark.parametrize(("asks", "closed_s"), [(0, HEAD_GUARD_S), (1, IDLE_GUARD_S)])
def test_an_idle_caller_is_closed_in_the_end(asks: int, closed_s: float) -> None:
    """One that never asks after a minute, one that has asked after an hour, also where no keep-alive timer runs."""

    async def act(rig: Rig) -> Caller:
        caller = await rig.call(GET * asks)
        await caller.until(lambda caller: bool(caller.ended))
        return caller

    caller, _ = played(send(ok()), act=act)

    assert caller.ended == "fin"
    assert caller.ended_s == pytest.approx(closed_s)


def test_the_guards_run_in_real_time() -> None:
    """A scaled clock does not hurry them: they spare the machine, and are no timers of the layer."""

    async def main() -> tuple[float, float]:
        rig = Rig(layer(keepalive=75), upstream=FakeUpstream((FIN,)), clock=Clock(100.0))
        async with rig:
            return rig.hop.head_s, rig.hop.idle_s

    assert run_virtual(main()) == (HEAD_GUARD_S * 100, 75)


# --- any bytes at all


TOKENS = [
    b"GET / HTTP/1.1\r\n", b"POST /v1 HTTP/1.1\r\n", b"GET http://a/ HTTP/1.1\r\n", b"OPTIONS * HTTP/1.0\r\n",
    b"Host: a\r\n", b"Host: b\r\n", b"Content-Length: 5\r\n", b"Content-Length: 0\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b"Connection: x, y\r\n",
    b"Expect: 100-continue\r\n",
    b"traceparent: 00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01\r\n", b"X: y\r\n",
    b"\r\n", b"\r\n", b"\n", b"\r", b"\x00", b"5\r\nabcde\r\n", b"0\r\n\r\n", b"ffffffff\r\n", b"abcde",
    b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 103 Early Hints\r\n\r\n", b"HTTP/1.0 204 No\r\n", b"HTTP/1.1 101 S\r\n",
]  # fmt: skip
BYTES = st.lists(st.one_of(st.sampled_from(TOKENS), st.binary(max_size=40)), max_size=40).map(b"".join)
CUTS = st.lists(st.integers(0, 3000), max_size=30)
# Calls of functions while one connection is served: for it, for each piece and for each byte. Most bytes cost
# nothing, but a few of them may be a message or a chunk.
_STEPS, _STEPS_A_PIECE, _STEPS_A_BYTE = 3_000, 400, 60


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    """The bytes, split at these places."""
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(places)]


def hosted(asked: list[bytes], answered: list[bytes]) -> tuple[Caller, Rig, int]:
    """A caller that sends these pieces, an upstream that sends those in any case, and the steps it took."""
    steps = 0

    def count(frame: Any, event: str, _: object) -> None:
        nonlocal steps
        steps += event in {"call", "c_call"} and "whocut/path" in frame.f_code.co_filename

    async def main() -> tuple[Caller, Rig]:
        rig = Rig(
            layer(first_byte=10, idle=10, keepalive=10),
            upstream=FakeUpstream(tuple(send(piece) for piece in answered)),
            clock=virtual_clock(),
        )
        async with rig:
            caller = await rig.call()
            sys.setprofile(count)
            for piece in asked:
                caller.transport.write(piece)
                await asyncio.sleep(0.001)
            await caller.until(lambda caller: bool(caller.ended))
            sys.setprofile(None)
            await asyncio.sleep(1)
        return caller, rig

    try:
        return *run_virtual(main()), steps
    finally:
        sys.setprofile(None)


@settings(max_examples=60, deadline=None)
@given(BYTES, CUTS, BYTES, CUTS)
@example(GET * 5, [], ok() * 5, [])
@example(b"\r\n" * 1000, list(range(30)), b"", [])
@example(request(), [], INTERIM * 50, list(range(0, 3000, 100)))
@example(request(extra=b"Transfer-Encoding: chunked\r\n"), [], CHUNKED_HEAD + b"1\r\nx\r\n" * 300, [])
@example(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: " + b"a,b,c," * 500 + b"\r\n\r\n", [], ok(), [])
def test_any_bytes_from_either_side_end_in_an_answer_or_a_close(
    asked: bytes, cuts: list[int], answered: bytes, other_cuts: list[int]
) -> None:
    """The caller is answered in HTTP or closed, every request has one span, and the work grows with the bytes."""
    sent, given_back = pieces_of(asked, cuts), pieces_of(answered, other_cuts)

    caller, rig, steps = hosted(sent, given_back)

    assert caller.ended
    assert caller.got[:9] in {b"", b"HTTP/1.1 "}
    assert rig.hop.fallen is None
    assert [span for span in rig.spans if span.kind is not SpanKind.HOP] == []
    assert all(span.end_s >= span.start_s for span in rig.spans)
    assert not rig.hop.callers
    assert not rig.hop.upstreams
    exchanges = 1 + len(rig.spans)
    pieces = len(sent) + exchanges * len(given_back)
    bytes_ = len(asked) + exchanges * len(answered)
    assert steps <= _STEPS * exchanges + _STEPS_A_PIECE * pieces + _STEPS_A_BYTE * bytes_


# --- the cost of each state of the parser


def head_of(start: bytes) -> Callable[[list[bytes]], None]:
    """A head that begins so and goes on with these pieces."""

    def read(pieces: list[bytes]) -> None:
        reader = HeadReader(status=400)
        for piece in (start, *pieces):
            reader.take(piece)

    return read


def heads(pieces: list[bytes]) -> None:
    """Whole heads, one after the other."""
    for piece in pieces:
        for head in piece.split(b"|"):
            parse_request(head).forwarded(b"00-new", b"b")


def responses(pieces: list[bytes]) -> None:
    """The same from an upstream."""
    for piece in pieces:
        for head in piece.split(b"|"):
            parse_response(head, to_head=False).forwarded(close=True, chunk=True)


def body(make: Callable[[], Framing], start: bytes = b"") -> Callable[[list[bytes]], None]:
    """A body that begins so."""

    def read(pieces: list[bytes]) -> None:
        framing = make()
        for piece in (start, *pieces):
            if not framing.done:
                framing.take(piece, 0)

    return read


def kept(pieces: list[bytes]) -> None:
    """A request that waits for its connection."""
    upward = Upward(b"", Counted(1 << 30), idempotent=True)
    for piece in pieces:
        upward.take(piece, 0, waiting=True)


NAMES = b",".join(b"n%d" % number for number in range(4000))
TALKS_OF = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: %b\r\n%b\r\n" % (NAMES, b"n1: x\r\n" * 150)
ANSWERS_OF = b"HTTP/1.1 200 OK\r\nConnection: %b\r\n%b\r\n" % (NAMES, b"n1: x\r\n" * 150)
# What a state is fed with, how often at its smallest, and in pieces of how many bytes (0: in one).
STATES: dict[str, tuple[Callable[[list[bytes]], None], bytes, int, int]] = {
    "empty lines before a head": (head_of(b""), b"\r\n", 15_000, 0),
    "empty lines, byte by byte": (head_of(b""), b"\r\n", 15_000, 1),
    "one long line": (head_of(b"GET /"), b"x", 30_000, 0),
    "one long line, byte by byte": (head_of(b"GET /"), b"x", 30_000, 1),
    "many fields, byte by byte": (head_of(b"GET / HTTP/1.1\r\n"), b"a:\r\n", 7_500, 1),
    "heads that name what ends here": (heads, TALKS_OF + b"|", 4, 0),
    "responses that name what ends here": (responses, ANSWERS_OF + b"|", 4, 0),
    "small chunks": (body(lambda: Chunked(status=400)), b"1\r\nx\r\n", 30_000, 0),
    "small chunks, byte by byte": (body(lambda: Chunked(status=400)), b"1\r\nx\r\n", 10_000, 1),
    "one large chunk, byte by byte": (body(lambda: Chunked(status=400), b"fffffff\r\n"), b"x", 60_000, 1),
    "trailers, byte by byte": (body(lambda: Chunked(status=400), b"0\r\n"), b"a:\r\n", 2_000, 1),
    "a counted body, byte by byte": (body(lambda: Counted(1 << 30)), b"x", 60_000, 1),
    "until the close, byte by byte": (body(UntilClose), b"x", 60_000, 1),
    "a request that waits, byte by byte": (kept, b"x", 60_000, 1),
}
_GROWS_AT_MOST = 3.0  # twice the bytes are twice the work; the square of it would be four times


@pytest.mark.real_time
@pytest.mark.parametrize(("feed", "unit", "times", "size"), STATES.values(), ids=STATES.keys())
def test_no_state_of_the_parser_costs_more_than_its_bytes(
    feed: Callable[[list[bytes]], None], unit: bytes, times: int, size: int
) -> None:
    """Twice the bytes cost about twice the processor's time. The least of several tries leaves neighbours out."""

    def cost_s(times: int) -> float:
        data = (unit * times).rstrip(b"|")
        pieces = [data[at : at + size] for at in range(0, len(data), size)] if size else [data]
        least_s = float("inf")
        for _ in range(5):
            began_s = cpu_s()
            feed(pieces)
            least_s = min(least_s, cpu_s() - began_s)
        return least_s

    ratios = []
    for _ in range(3):
        ratios.append(cost_s(2 * times) / max(cost_s(times), 20e-6))
        if ratios[-1] <= _GROWS_AT_MOST:
            return
    pytest.fail(f"twice the bytes cost {min(ratios):.1f} times as much")


@pytest.mark.parametrize("status", [400, 502])
def test_empty_lines_count_into_the_bound_of_the_head(status: int) -> None:
    """They are skipped, and not for ever."""
    reader = HeadReader(status=status)
    assert reader.take(b"\r\n" * (MAX_HEAD_BYTES // 2)) is None

    with pytest.raises(Malformed) as refused:
        reader.take(b"\r\n")

    assert refused.value.status == (431 if status == 400 else 502)


def test_a_few_empty_lines_before_a_head_are_skipped() -> None:
    """Also where they come in pieces, and where they come between two requests."""

    async def act(rig: Rig) -> list[bytes]:
        caller = await rig.call(b"\r", b"\n\r\n", GET, b"\r\n\r\n", GET)
        return [await caller.response() for _ in range(2)]

    got, _ = played(BODY, send(ok()), act=act)

    assert got == [ok(), ok()]
