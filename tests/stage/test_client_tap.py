"""The tap before a client under test, on the wire."""

from __future__ import annotations

import asyncio

from whocut.clock import Clock
from whocut.clock.virtual import run_virtual
from whocut.stage.client_tap import ClientTap
from whocut.stage.sighting import Sighting

BODY = b'{"prompt": "a cat"}'
HEAD = (
    b"POST /v1/images/generations HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
    b"Content-Type: application/json\r\nContent-Length: 19\r\n\r\n"
)


def test_expectation_is_answered_once() -> None:
    """A client that waits for `100 Continue` gets it once; the upstream never sees the expectation."""
    seen: list[bytes] = []

    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        seen.append(head)
        if b"expect" in head.lower():
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await reader.readexactly(len(BODY))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        writer.close()

    async def play() -> bytes:
        server = await asyncio.start_server(upstream, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()[:2]
        tap = ClientTap(upstream=(host, port), clock=Clock(), client="curl")
        await tap.listen(0)
        reader, writer = await asyncio.open_connection("127.0.0.1", tap.port)
        writer.write(HEAD)
        first = await reader.readuntil(b"\r\n\r\n")
        writer.write(BODY)
        rest = await reader.readuntil(b"{}")
        writer.close()
        await tap.close()
        server.close()
        return first + rest

    answer = run_virtual(play())

    assert answer.count(b"100 Continue") == 1
    assert answer.endswith(b"{}")
    assert b"expect" not in seen[0].lower()


def test_a_span_that_came_in_is_the_parent_of_the_sighting() -> None:
    """A tap further out wrote it: whoever dials the stage is then not the client."""
    sighting = Sighting(
        clock=Clock(), client="openai-python", method="POST", path="/v1/images/generations", digest="d",
        body={"prompt": "a cat"}, retry_count=None, read_timeout_s=None, came_in=("a" * 32, "b" * 16),
    )  # fmt: skip

    span = sighting.span()

    assert (span.trace_id, span.parent_id) == ("a" * 32, "b" * 16)
    assert span.span_id in sighting.traceparent
