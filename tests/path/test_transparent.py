"""A tap changes nothing: every ending and every race of kept connections, direct and through a tap, byte for byte.

Each row is played twice in virtual time: a caller dials the upstream itself, and it dials a tap before it. What the
caller got, how and when its connection ended, what the upstream got, and how its own side ended have to be the
same. The tap's `traceparent` is the one thing that it adds.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.path.fakes import (
    BODY,
    CHUNKED_HEAD,
    FIN,
    GET,
    RST,
    Caller,
    FakeUpstream,
    Part,
    call,
    ok,
    request,
    reset,
    send,
    wait,
)
from tests.path.test_timers import virtual_clock
from whocut.chain.layers import Layer
from whocut.clock import run_virtual
from whocut.path import Hop
from whocut.path.tap import Tap

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Act = Callable[[int], Awaitable[Caller]]

COUNTED = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 300
DELIMITED = b"HTTP/1.1 200 OK\r\nServer: s\r\n\r\nhalf of it"
CHUNK = b"5\r\nhello\r\n"
HEAD_OF_FIVE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
TOO_LARGE = b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"
IDLED_OUT = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
SETTLES_S = 30.0  # longer than every row
_ADDED = re.compile(rb"traceparent: [^\r\n]*\r\n", re.IGNORECASE)


@dataclass(frozen=True)
class Seen:
    """What both ends of a way saw. Instants are seconds since the caller dialled."""

    got: bytes
    ended: str
    ended_s: float | None
    received: tuple[bytes, ...]
    upstream_ended: tuple[str, ...]
    dialled: int


def asks(*pieces: bytes | float) -> Act:
    """Send these; a number is a pause."""

    async def act(port: int) -> Caller:
        caller = await call(port)
        for piece in pieces:
            if isinstance(piece, float):
                await asyncio.sleep(piece)
            elif not caller.transport.is_closing():
                caller.transport.write(piece)
        return caller

    return act


def leaves(after_s: float, how: Callable[[Any], None]) -> Act:
    """Ask, and leave in this way after so long."""

    async def act(port: int) -> Caller:
        caller = await call(port, request())
        await asyncio.sleep(after_s)
        how(caller.transport)
        return caller

    return act


def half_closes(transport: Any) -> None:
    """Say that no more will be sent, and read on."""
    transport.write_eof()


def closes(transport: Any) -> None:
    """Close both directions."""
    transport.close()


ASK = asks(request())
AGAIN = asks(request(), 5.0, request())
ENDINGS: dict[str, tuple[tuple[tuple[Part, ...], ...], Act]] = {
    "a counted answer, kept": (((BODY, send(ok())),), ASK),
    "a chunked answer, kept": (((BODY, send(ok(chunked=True))),), ASK),
    "a chunked answer with trailers": (
        ((BODY, send(CHUNKED_HEAD + CHUNK + b"0\r\nDigest: abc\r\n\r\n")),),
        ASK,
    ),
    "an answer, then FIN": (((BODY, send(ok()), FIN),), ASK),
    "an answer, then RST": (((BODY, send(ok()), wait(1.0), RST),), ASK),
    "FIN before the head": (((BODY, wait(1.0), FIN),), ASK),
    "RST before the head": (((BODY, wait(1.0), RST),), ASK),
    "FIN in the head": (((BODY, send(b"HTTP/1.1 200 OK\r\nContent-"), wait(1.0), FIN),), ASK),
    "RST in the head": (((BODY, send(b"HTTP/1.1 200 OK\r\nContent-"), wait(1.0), RST),), ASK),
    "FIN in a counted body": (((BODY, send(COUNTED), wait(1.0), FIN),), ASK),
    "RST in a counted body": (((BODY, send(COUNTED), wait(1.0), RST),), ASK),
    "FIN in a chunk": (((BODY, send(CHUNKED_HEAD + CHUNK[:5]), wait(1.0), FIN),), ASK),
    "RST in a chunk": (((BODY, send(CHUNKED_HEAD + CHUNK[:5]), wait(1.0), RST),), ASK),
    "FIN between two chunks": (((BODY, send(CHUNKED_HEAD + CHUNK), wait(1.0), FIN),), ASK),
    "FIN ends a body without a length": (((BODY, send(DELIMITED), wait(1.0), FIN),), ASK),
    "RST ends a body without a length": (((BODY, send(DELIMITED), wait(1.0), RST),), ASK),
    "no HTTP, then FIN": (((BODY, send(b"\x00\x01 garbage\r\n\r\n"), wait(1.0), FIN),), ASK),
    "an answer to HEAD": (((send(HEAD_OF_FIVE),),), asks(request(b"HEAD", body=b""))),
    "an answer without a body": (((BODY, send(b"HTTP/1.1 204 No Content\r\n\r\n")),), ASK),
    "100 Continue, then an answer": (
        ((send(CONTINUE), BODY, wait(1.0), send(ok())),),
        asks(request(extra=b"Expect: 100-continue\r\n", body=b"x" * 10)[:-10], 1.0, b"x" * 10),
    ),
    "an answer before the body, then FIN": (
        ((send(TOO_LARGE), wait(1.0), FIN),),
        asks(request(body=b"x" * 50)[:-20]),
    ),
    "another protocol from then on": (
        ((send(SWITCHED), wait(1.0), send(b"\x01\x02\x03"), wait(1.0), FIN),),
        asks(request(b"GET", extra=b"Upgrade: x\r\nConnection: Upgrade\r\n", body=b"")),
    ),
    "the caller half-closes, and is answered": (
        ((BODY, wait(5.0), send(ok()), FIN),),
        leaves(1.0, half_closes),
    ),
    "the caller closes while it waits": (((BODY, wait(20.0)),), leaves(1.0, closes)),
    "the caller resets while it waits": (((BODY, wait(20.0)),), leaves(1.0, reset)),
    "the caller closes in mid-body": (((BODY, send(CHUNKED_HEAD + CHUNK), wait(20.0)),), leaves(1.0, closes)),
    "the caller resets in mid-body": (((BODY, send(CHUNKED_HEAD + CHUNK), wait(20.0)),), leaves(1.0, reset)),
}
RACES: dict[str, tuple[tuple[tuple[Part, ...], ...], Act]] = {
    "a kept connection that is closed as it is used again": (((BODY, send(ok())), (FIN,)), AGAIN),
    "a kept connection that is reset as it is used again": (((BODY, send(ok())), (RST,)), AGAIN),
    "a kept connection that was closed before": (((BODY, send(ok()), wait(4.0), FIN), (send(ok()),)), AGAIN),
    "closed a blink before the next request": (((BODY, send(ok()), wait(4.99), FIN), (send(ok()),)), AGAIN),
    "closed when half of the next request had come": (
        ((BODY, send(ok())), (wait(1.0), FIN)),
        asks(request(), 5.0, request(body=b"x" * 50)[:-20]),
    ),
    "told by a 408 that it was idle for too long": (
        ((BODY, send(ok()), wait(3.99), send(IDLED_OUT), FIN),),
        asks(request(), 4.0, request()),
    ),
    "two requests at once, closed after the first": (((send(ok()), FIN), (send(ok()),)), asks(GET + GET)),
}


def seen(parts: tuple[tuple[Part, ...], ...], act: Act, *, through: bool) -> Seen:
    """One row, played direct or through a tap."""

    async def main() -> Seen:
        async with FakeUpstream(*parts) as upstream:
            port, hop = upstream.address[1], None
            if through:
                tap = Layer(name="tap", title="the tap")
                spans: list[object] = []
                hop = Hop(tap, upstream=upstream.address, clock=virtual_clock(), sink=spans.append, tap=Tap())
                await hop.listen()
                port = hop.port
            began_s = asyncio.get_running_loop().time()
            caller = await act(port)
            await asyncio.sleep(SETTLES_S)
            found = Seen(
                caller.got,
                caller.ended,
                None if caller.ended_s is None else round(caller.ended_s - began_s, 3),
                tuple(_ADDED.sub(b"", one.received) for one in upstream.connections),
                tuple(one.ended for one in upstream.connections),
                len(upstream.connections),
            )
            caller.transport.abort()
            if hop is not None:
                await hop.close()
        return found

    return run_virtual(main())


@pytest.mark.parametrize("case", ENDINGS)
def test_an_ending_is_the_same_through_a_tap(case: str) -> None:
    """The same bytes and the same end at the same instant, on both sides."""
    parts, act = ENDINGS[case]

    assert seen(parts, act, through=True) == seen(parts, act, through=False)


@pytest.mark.parametrize("case", RACES)
def test_a_race_of_kept_connections_is_the_same_through_a_tap(case: str) -> None:
    """A tap keeps no pool, and asks nothing twice: who would have failed fails."""
    parts, act = RACES[case]

    assert seen(parts, act, through=True) == seen(parts, act, through=False)


def test_the_rows_tell_endings_apart() -> None:
    """A table in which all rows look alike would hold of anything."""
    ways = {
        (one.got, one.ended, one.upstream_ended)
        for one in (seen(*row, through=False) for row in ENDINGS.values())
    }

    assert len(ENDINGS) >= 20
    assert len(RACES) >= 5
    assert len(ways) >= 20
