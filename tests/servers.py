"""Fake upstreams for tests: a server that reads one request and then does exactly what its script says."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

Step = bytes | float | str
"""Bytes are sent, a number is waited for (in the loop's seconds), ``"fin"`` and ``"rst"`` end the connection."""


class Scripted(asyncio.Protocol):
    """Plays a script each time a request's head and body have come."""

    def __init__(self, script: Iterable[Step], seen: list[bytes]) -> None:
        self._script = list(script)
        self._seen = seen
        self._received = b""
        self._playing: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Collect the request, then play."""
        self._received += data
        head, _, body = self._received.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        if self._playing is None and len(body) >= length:
            self._seen.append(self._received)
            self._received = b""
            self._playing = asyncio.ensure_future(self._play())

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """Stop playing to nobody."""
        if self._playing:
            self._playing.cancel()

    async def _play(self) -> None:
        for step in self._script:
            if isinstance(step, bytes):
                self._transport.write(step)
            elif isinstance(step, str):
                self._end(step)
            else:
                await asyncio.sleep(step)
        self._playing = None

    def _end(self, step: str) -> None:
        if step == "fin":
            self._transport.close()
            return
        # Closing a socket that lingers for no time sends a reset instead of a close.
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


class Server:
    """Where it listens, and the requests it has read."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.base_url = f"http://127.0.0.1:{port}/v1"
        self.requests: list[bytes] = []


@asynccontextmanager
async def scripted(script: Callable[[], Iterable[Step]]) -> AsyncIterator[Server]:
    """A server that plays `script()` for each connection."""
    server = Server(0)
    listening = await asyncio.get_running_loop().create_server(
        lambda: Scripted(script(), server.requests), "127.0.0.1", 0, backlog=4096
    )
    server.port = listening.sockets[0].getsockname()[1]
    server.base_url = f"http://127.0.0.1:{server.port}/v1"
    try:
        yield server
    finally:
        listening.close()
        await listening.wait_closed()


def head(status: str = "200 OK", kind: str = "application/json", length: int | None = None) -> bytes:
    """A response's head; without a length it is chunked."""
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{framing}\r\n\r\n".encode()


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; of no bytes, its end."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def whole(body: bytes, status: str = "200 OK", kind: str = "application/json") -> bytes:
    """A whole response."""
    return head(status, kind, len(body)) + body
