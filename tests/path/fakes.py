"""Fakes that behave: an upstream that plays a written part, a caller that says what it saw."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, cast

from whocut.chain.layers import Layer, Topology
from whocut.chain.timers import Timer, TimerKind
from whocut.path import Hop, start_chain
from whocut.trace.records import SpanKind

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from whocut.clock import Clock

Part = tuple[str, object]
"""One step of an upstream's part: ``("wait", 5.0)``, ``("send", b"…")``, ``("fin", None)`` …"""


def wait(seconds: float) -> Part:
    """Let time pass."""
    return ("wait", seconds)


def send(data: bytes) -> Part:
    """Send bytes."""
    return ("send", data)


FIN: Part = ("fin", None)
RST: Part = ("rst", None)


def ok(body: bytes = b"whole", *, chunked: bool = False, extra: bytes = b"") -> bytes:
    """A whole 200."""
    if chunked:
        framing, body = b"Transfer-Encoding: chunked", b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    else:
        framing = b"Content-Length: %d" % len(body)
    return b"HTTP/1.1 200 OK\r\n" + extra + framing + b"\r\n\r\n" + body


CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def request(
    method: bytes = b"POST", path: bytes = b"/v1/images/generations", extra: bytes = b"", body: bytes = b"{}"
) -> bytes:
    """A request as a client of the Images API sends it."""
    length = b"Content-Length: %d\r\n" % len(body) if body else b""
    return method + b" " + path + b" HTTP/1.1\r\nHost: upstream\r\n" + extra + length + b"\r\n" + body


GET = request(b"GET", body=b"")
# What a gateway understands that is no relay: a request of the API's form, and its answer.
IMAGE = b'{"created": 1, "data": [{"b64_json": "aGVsbG8="}]}'
_JSON = b"Content-Type: application/json\r\n"


def image_request(extra: bytes = b"") -> bytes:
    """A whole request for an image."""
    return request(extra=_JSON + extra, body=b'{"model": "gpt-image-2", "prompt": "a cat"}')


def image() -> bytes:
    """A whole image."""
    return ok(IMAGE, extra=_JSON)


@dataclass
class Seen:
    """What the upstream saw of one connection."""

    received: bytes = b""
    received_at_s: list[float] = field(default_factory=list)
    ended: str = ""
    ended_s: float | None = None


class FakeUpstream:
    """Plays its parts, one for each request (the last one again and again), and remembers what it saw."""

    def __init__(self, *parts: tuple[Part, ...], read: bool = True) -> None:
        self.parts = list(parts)
        self.connections: list[Seen] = []
        self.requests = 0
        self.read = read
        self._server: asyncio.Server | None = None
        self._open: set[_UpstreamSide] = set()

    @property
    def address(self) -> tuple[str, int]:
        """Where the hop dials."""
        assert self._server is not None
        return ("127.0.0.1", self._server.sockets[0].getsockname()[1])

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _UpstreamSide(self), "127.0.0.1", 0, backlog=4096)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for side in list(self._open):
            side.transport.abort()
        while self._open:  # noqa: ASYNC110  # two turns at most
            await asyncio.sleep(0)
        await self._server.wait_closed()


class _UpstreamSide(asyncio.Protocol):
    """One connection of the fake upstream."""

    transport: asyncio.Transport

    def __init__(self, upstream: FakeUpstream) -> None:
        self.upstream = upstream
        self.seen = Seen()
        self.unread = b""
        self.playing: asyncio.Task[None] | None = None
        self.more = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As asyncio calls it."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are none by class
        self.upstream.connections.append(self.seen)
        self.upstream._open.add(self)
        if (
            not self.upstream.read
        ):  # after the loop's own beginning: before Python 3.11.3 it would undo a pause
            asyncio.get_running_loop().call_soon(self.transport.pause_reading)

    def data_received(self, data: bytes) -> None:
        """As asyncio calls it."""
        self.seen.received += data
        self.seen.received_at_s.append(asyncio.get_running_loop().time())
        self.unread += data
        self.more.set()
        if self.playing is None or self.playing.done():
            self._next()

    def _next(self) -> None:
        head, blank, rest = self.unread.partition(b"\r\n\r\n")
        if not blank:
            return
        self.unread = rest
        number = self.upstream.requests
        self.upstream.requests += 1
        parts = self.upstream.parts
        part = parts[min(number, len(parts) - 1)]
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        self.playing = asyncio.get_running_loop().create_task(self._play(part, length))

    async def _play(self, part: tuple[Part, ...], length: int) -> None:
        for what, value in part:
            if what == "wait":
                assert isinstance(value, float | int)
                await asyncio.sleep(value)
            elif what == "body":
                while len(self.unread) < length:
                    self.more.clear()
                    await self.more.wait()
            elif what == "send":
                assert isinstance(value, bytes)
                self.transport.write(value)
            elif what == "fin":
                self.transport.close()
            else:
                reset(self.transport)
        self.unread = self.unread[length:]

    def eof_received(self) -> None:
        """As asyncio calls it."""
        self._ended("fin")

    def connection_lost(self, error: Exception | None) -> None:
        """As asyncio calls it."""
        self._ended("rst" if isinstance(error, ConnectionResetError) else "lost")
        if self.playing is not None:
            self.playing.cancel()
        self.upstream._open.discard(self)

    def _ended(self, how: str) -> None:
        if not self.seen.ended:
            self.seen.ended = how
            self.seen.ended_s = asyncio.get_running_loop().time()


BODY: Part = ("body", None)
"""Wait until the request's counted body has come."""


def reset(transport: asyncio.WriteTransport) -> None:
    """End a connection with RST."""
    sock = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class Caller(asyncio.Protocol):
    """A caller that keeps what it got and how its connection ended."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.got = b""
        self.got_at_s: list[float] = []
        self.ended = ""
        self.ended_s: float | None = None
        self._news = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As asyncio calls it."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """As asyncio calls it."""
        self.got += data
        self.got_at_s.append(asyncio.get_running_loop().time())
        self._news.set()

    def eof_received(self) -> None:
        """As asyncio calls it."""
        self._end("fin")

    def connection_lost(self, error: Exception | None) -> None:
        """As asyncio calls it."""
        self._end("rst" if isinstance(error, ConnectionResetError) else "lost")

    def _end(self, how: str) -> None:
        if not self.ended:
            self.ended = how
            self.ended_s = asyncio.get_running_loop().time()
            self._news.set()

    async def until(self, condition: Callable[[Caller], bool]) -> None:
        """Wait until what was seen satisfies the condition, or the connection has ended."""
        while not condition(self) and not self.ended:
            self._news.clear()
            await self._news.wait()

    async def response(self) -> bytes:
        """Wait for one whole response (or the connection's end) and take it."""
        await self.until(lambda caller: whole(caller.got) > 0)
        end = whole(self.got) or len(self.got)
        taken, self.got = self.got[:end], self.got[end:]
        return taken

    @property
    def status(self) -> int:
        """The status of the last response."""
        return int(self.got[9:12])


def whole(got: bytes) -> int:
    """Where the first response in `got` ends; 0 where it does not end yet."""
    head, blank, body = got.partition(b"\r\n\r\n")
    if not blank:
        return 0
    start = len(head) + 4
    fields = head.lower()
    if b"transfer-encoding: chunked" in fields:
        end = body.find(b"0\r\n\r\n")
        return start + end + 5 if end >= 0 else 0
    for line in fields.split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line[15:])
            return start + length if len(body) >= length else 0
    return 0


async def call(port: int, *pieces: bytes) -> Caller:
    """Dial and send."""
    _, caller = await asyncio.get_running_loop().create_connection(Caller, "127.0.0.1", port)
    for piece in pieces:
        caller.transport.write(piece)
    return caller


def layer(name: str = "hop", **limits_s: float) -> Layer:
    """A layer with these limits and no other manners."""
    return Layer(
        name=name,
        title=name,
        timers={
            TimerKind(kind): Timer(kind=TimerKind(kind), limit_s=limit_s, directive=f"{kind}_directive")
            for kind, limit_s in limits_s.items()
        },
    )


def topology(*layers: Layer) -> Topology:
    """A chain of these hops."""
    return Topology(name="test", client=layer("client"), hops=layers)


class Rig:
    """A hop (or a chain) between a fake upstream and whoever calls, and the spans they wrote."""

    def __init__(self, *layers: Layer, upstream: FakeUpstream, clock: Clock) -> None:
        self.spans: list[Any] = []
        self.upstream = upstream
        self._layers = layers
        self._clock = clock
        self._callers: list[Caller] = []

    async def __aenter__(self) -> Self:
        await self.upstream.__aenter__()
        self.chain = await start_chain(
            topology(*self._layers), upstream=self.upstream.address, clock=self._clock, sink=self.spans.append
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.chain.close()
        await self.upstream.__aexit__(kind, error, trace)
        for caller in self._callers:
            caller.transport.abort()
        await asyncio.sleep(0)

    @property
    def port(self) -> int:
        """Where the caller dials."""
        return self.chain.port

    @property
    def hop(self) -> Hop:
        """The outermost hop."""
        return self.chain.hops[0]

    @property
    def span(self) -> Any:
        """The only span of a request there is."""
        (span,) = (span for span in self.spans if span.kind is SpanKind.HOP)
        return span

    async def call(self, *pieces: bytes) -> Caller:
        """Dial the chain and send."""
        caller = await call(self.port, *pieces)
        self._callers.append(caller)
        return caller
