"""The door of a chain on another address: who proves the token is its caller, and a stranger is sent away."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from tests.path.fakes import FakeUpstream, layer, ok, request
from whocut.clock import Clock, run_real
from whocut.errors import BadInput, PortTaken
from whocut.path import door as doors
from whocut.path.door import Door
from whocut.path.hop import Hop
from whocut.token import hello, is_nonce, key_of, new_nonce, proof

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

pytestmark = pytest.mark.sockets

KEY = key_of("0123456789abcdef0123456789abcdef", "chain")
OTHER = key_of("another-token-another-token", "chain")


@asynccontextmanager
async def open_door(upstream: FakeUpstream) -> AsyncIterator[tuple[Door, Hop]]:
    """A hop with a door beside it."""
    hop = Hop(layer("nginx"), upstream=upstream.address, clock=Clock())
    await hop.listen()
    door = Door(KEY, hop.caller)
    await door.open("127.0.0.1")
    try:
        yield door, hop
    finally:
        await door.close()
        await hop.close()


async def until(happened: Callable[[], object]) -> None:
    """Let the others go on until it is so."""
    async with asyncio.timeout(60):
        while not happened():  # noqa: ASYNC110  # a fake says nothing of itself
            await asyncio.sleep(0.01)


async def knock(door: Door, key: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """As a worker does."""
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    mine = new_nonce()
    writer.write(hello(mine))
    theirs = (await reader.readline())[:-1]
    assert is_nonce(theirs)
    writer.write(proof(key, mine, theirs) + b"\n")
    return reader, writer


def test_who_proves_the_token_talks_to_the_chain() -> None:
    """What follows the proof in the same packet is the request's beginning, and no byte of it is lost."""

    async def play() -> None:
        async with FakeUpstream((("send", ok(b"an image")),)) as upstream, open_door(upstream) as (door, _):
            for body in (b"{}", b"x" * 1000):
                reader, writer = await knock(door, KEY)
                writer.write(request(body=body))
                assert (await reader.readuntil(b"an image")).startswith(b"HTTP/1.1 200 OK")
                writer.close()

            assert upstream.requests == 2
            assert door.refused == 0
            assert not door.waiting

    run_real(play())


def test_another_token_is_refused_in_one_sentence() -> None:
    """And nothing of what follows reaches the chain."""

    async def play() -> None:
        async with FakeUpstream((("send", ok()),)) as upstream, open_door(upstream) as (door, _):
            reader, writer = await knock(door, OTHER)
            writer.write(request())

            said = await reader.read()

            assert said.endswith(b"Start them with: whocut worker\n")
            assert said.startswith(b"HTTP/1.1 403 ")
            assert door.refused == 1
            assert upstream.connections == []
            writer.close()

    run_real(play())


@pytest.mark.parametrize(
    "said",
    [
        request(),
        b"WHOCUT/1 " + b"a" * 31 + b"\n",
        b"WHOCUT/2 " + b"a" * 32 + b"\n",
        b"\n",
        b"\x00" * 300,
        hello(b"a" * 32) + b"0" * 64 + b"\n" + request(),
        hello(b"a" * 32) + b"0" * 1000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 40,
    ],
)
def test_stranger_is_sent_away(said: bytes) -> None:
    """Whatever it says: a request without a proof, half a hello, TLS, or no line at all."""

    async def play() -> None:
        async with FakeUpstream((("send", ok()),)) as upstream, open_door(upstream) as (door, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
            writer.write(said)

            with suppress(ConnectionError):  # what it still had to say may have met a closed socket
                answered = await asyncio.wait_for(reader.read(), 30)
                assert b"403 Forbidden" in answered

            assert door.refused == 1
            assert upstream.connections == []
            writer.close()

    run_real(play())


def test_silent_strangers_are_bounded_in_time_and_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more than may wait is dropped at once; the others when their time is up. A caller then comes through."""

    async def play() -> None:
        monkeypatch.setattr(doors, "_MOST_WAITING", 3)
        monkeypatch.setattr(doors, "_PATIENCE_REAL_S", 0.5)
        async with FakeUpstream((("send", ok()),)) as upstream, open_door(upstream) as (door, _):
            silent = [await asyncio.open_connection("127.0.0.1", door.port) for _ in range(4)]

            for reader, writer in silent:
                with suppress(ConnectionError):
                    assert await asyncio.wait_for(reader.read(), 30) == b""
                writer.close()
            reader, writer = await knock(door, KEY)
            writer.write(request())

            assert (await reader.readuntil(b"whole")).startswith(b"HTTP/1.1 200")
            assert not door.waiting
            writer.close()

    run_real(play())


def test_end_of_a_caller_is_what_it_was() -> None:
    """A reset by a caller behind the door reaches the chain as one, and is no fault of the hop."""

    async def play() -> None:
        async with FakeUpstream((("wait", 60.0),)) as upstream, open_door(upstream) as (door, hop):
            _, writer = await knock(door, KEY)
            writer.write(request())
            await until(lambda: upstream.requests)

            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

            await until(lambda: upstream.connections[0].ended)
            assert hop.look() is None

    run_real(play())


def test_port_and_address_that_cannot_be_had_are_named() -> None:
    """Taken: could not run. Not of this machine: bad input."""

    async def play() -> None:
        async with FakeUpstream() as upstream:
            door = Door(KEY, Hop(layer("nginx"), upstream=upstream.address, clock=Clock()).caller)
            with pytest.raises(PortTaken, match="is already taken"):
                await door.open(*upstream.address)
            with pytest.raises(BadInput, match=r"192\.0\.2\.1 is no address of this machine") as refused:
                await door.open("192.0.2.1")
            assert refused.value.field == "listen"

    run_real(play())
