"""The tap: stands just outside the client, passes every byte on as it came, and writes down what it saw.

It has no timers and no pool: each request gets a connection of its own to the first layer, and each end is handed
on as what it was, a close as a close and a reset as a reset. The one thing it adds is the `traceparent` by which
the layers behind it are joined to the attempt; and, where a check asks for it, a planted fault or answer.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import re
import socket
from typing import TYPE_CHECKING, Any, Final, cast

import orjson

from whocut.errors import Malformed, PortTaken
from whocut.path.framing import Chunked, UntilClose
from whocut.path.http1 import HeadReader, parse_request, parse_response
from whocut.path.sockets import end_with_reset
from whocut.stage.memory import MemoryTransport
from whocut.stage.plants import Canned, MockFault, Plants
from whocut.stage.sighting import Sighting
from whocut.trace.records import UpstreamEnd, parse_traceparent

if TYPE_CHECKING:
    from whocut.clock import Clock
    from whocut.path.framing import Framing

_BACKLOG: Final = 4096
# On a virtual clock a microsecond passes only when nothing else is left to be done at this instant.
_BLINK_S: Final = 1e-6
_WAITS: Final = re.compile(rb"(\r\nretry-after(?:-ms)?:[ \t]*)([0-9.]+)(?=\r\n)", re.IGNORECASE)
FAULT_HEADER: Final = "x-mock-fault"


class ClientTap:
    """Listens where the client dials, and dials the first layer. `seen` holds every request, in order.

    `divides_waits` writes Retry-After as what it is on a scaled clock, for a client whose clock is not.
    """

    def __init__(
        self,
        *,
        upstream: tuple[str, int],
        clock: Clock,
        client: str,
        plants: Plants | None = None,
        divides_waits: bool = False,
    ) -> None:
        self.upstream = upstream
        self.clock = clock
        self.client = client
        self.plants = plants or Plants()
        self.divides_waits = divides_waits
        self.seen: list[Sighting] = []
        self.connections: set[_Caller] = set()
        self.refused: list[str] = []
        self._server: asyncio.Server | None = None

    async def listen(self, port: int = 0) -> None:
        """Begin to take clients on the loopback; 0 is any free port.

        Raises:
            PortTaken: somebody else listens there.
        """
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: _Caller(self), "127.0.0.1", port, backlog=_BACKLOG
            )
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortTaken("127.0.0.1", port) from None
            raise

    @property
    def port(self) -> int:
        """Where clients dial."""
        assert self._server is not None, "the tap is not listening yet"
        return int(self._server.sockets[0].getsockname()[1])

    def calendar_unix_s(self) -> float:
        """The calendar as the client has it: where its waits are not divided, its time is real."""
        now_s = self.clock.now_s()
        return self.clock.epoch_unix_s + (now_s if self.divides_waits else self.clock.real_s(now_s))

    def look(self) -> None:
        """Notice clients that have left in this very turn of the loop, before the loop tells of it."""
        for connection in list(self.connections):
            connection.look()

    async def close(self) -> None:
        """Stop listening and leave no connection behind."""
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.end(True)  # noqa: FBT003  # as above
        while self.connections:  # noqa: ASYNC110  # two turns of the loop at most
            await asyncio.sleep(0)
        if self._server is not None:
            await self._server.wait_closed()

    def _model_s(self, client_s: float | None) -> float | None:
        return None if client_s is None else client_s * self.clock.scale

    def sight(self, raw: bytes, body: bytes) -> Sighting:
        """Write down that an attempt has begun."""
        line, _, rest = raw.partition(b"\r\n")
        method, target, _ = line.decode("latin-1").split(" ", 2)
        headers = _fields(rest)
        path = target.partition("?")[0]
        sighting = Sighting(
            clock=self.clock,
            client=self.client,
            method=method,
            path=path,
            digest=hashlib.sha256(path.encode() + b"\0" + body).hexdigest()[:16],
            body=_json(body),
            retry_count=_number(headers.get("x-stainless-retry-count")),
            read_timeout_s=self._model_s(_seconds(headers.get("x-stainless-read-timeout"))),
            came_in=parse_traceparent(headers.get("traceparent", "")),
        )
        self.seen.append(sighting)
        return sighting


class _Caller(asyncio.Protocol):
    """One connection of the client; one request at a time."""

    def __init__(self, tap: ClientTap) -> None:
        self.tap = tap
        self.transport: asyncio.Transport | None = None
        self.sighting: Sighting | None = None
        self._heads = HeadReader(status=400)
        self._raw: bytes | None = None
        self._framing: Framing | None = None
        self._wire = b""
        self._payload: list[bytes] = []
        self._ahead = b""
        self._upstream: _Upstream | None = None
        self._dialling: asyncio.Task[None] | None = None
        self._answering: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self.transport = cast("asyncio.Transport", transport)
        self.tap.connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Bytes of a request."""
        if self.sighting is not None:
            self._ahead += data
            return
        try:
            self._take(data)
        except Malformed as error:
            self.tap.refused.append(str(error))
            if self.transport is not None:
                self.transport.write(
                    b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                )
                self.transport.close()

    def _take(self, data: bytes) -> None:
        if self._raw is None:
            whole = self._heads.take(data)
            if whole is None:
                return
            data, end = whole
            self._raw, data = data[:end], data[end:]
            self._framing = parse_request(self._raw).framing
            self._payload = []
            if isinstance(self._framing, Chunked):
                self._framing.payload = self._payload
            if b"100-continue" in self._raw.lower() and self.transport is not None:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._framing is not None and not self._framing.done:
            end = self._framing.take(data, 0)
            self._wire += data[:end]
            data = data[end:]
            if not self._framing.done:
                return
        self._ahead = data
        self._begin()

    def _begin(self) -> None:
        raw, wire = self._raw, self._wire
        assert raw is not None
        self._raw, self._wire = None, b""
        body = b"".join(self._payload) if isinstance(self._framing, Chunked) else wire
        sighting = self.sighting = self.tap.sight(raw, body)
        plant = self.tap.plants.next(sighting.digest) if sighting.generates else None
        if isinstance(plant, Canned):
            loop = asyncio.get_running_loop()
            after_real_s = self.tap.clock.real_s(plant.after_s)
            self._answering = loop.call_later(after_real_s, self._answer, plant, sighting)
            return
        added = [f"traceparent: {sighting.traceparent}"]
        if isinstance(plant, MockFault):
            added.append(f"{FAULT_HEADER}: {plant.name}")
        request = _with_fields(raw, added) + wire
        self._dialling = asyncio.ensure_future(self._dial(sighting, request))

    async def _dial(self, sighting: Sighting, request: bytes) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, upstream = await loop.create_connection(lambda: _Upstream(self, sighting), *self.tap.upstream)
        except OSError:
            sighting.broken(UpstreamEnd.REFUSED)
            self.end(True)  # noqa: FBT003  # as above
            return
        finally:
            self._dialling = None
        self._upstream = upstream
        if sighting.over:
            upstream.leave()
        else:
            upstream.send(request)

    def _answer(self, canned: Canned, sighting: Sighting) -> None:
        """Answer in the upstream's place."""
        self._answering = None
        raw = canned.render(self.tap.calendar_unix_s())
        at = raw.index(b"\r\n\r\n") + 4
        sighting.answered(canned.status, _fields(raw[:at].partition(b"\r\n")[2]))
        if at < len(raw):
            sighting.received(raw[at:])
        sighting.finished()
        self.last(self.as_the_client_counts(raw), close=False)

    def as_the_client_counts(self, head: bytes) -> bytes:
        """The head with its waits divided by the clock's scale, where that is wanted."""
        if not self.tap.divides_waits:
            return head
        real_s = self.tap.clock.real_s
        return _WAITS.sub(lambda found: found[1] + f"{real_s(float(found[2])):g}".encode(), head)

    def send(self, data: bytes) -> None:
        """Hand bytes to the client."""
        if self.transport is not None:
            self.transport.write(data)

    def last(self, data: bytes, *, close: bool) -> None:
        """Hand on a response's end, a blink later: by then the layers have seen their own ends of it."""
        self.sighting = None
        self._upstream = None
        asyncio.get_running_loop().call_later(_BLINK_S, self._done, data, close)

    def _done(self, data: bytes, close: bool) -> None:  # noqa: FBT001  # call_later takes no keywords
        """The response is over: the connection is free for the next request, or ends."""
        self.send(data)
        if close:
            self.end(False)  # noqa: FBT003  # as above
        elif self._ahead and self.transport is not None:
            data, self._ahead = self._ahead, b""
            self.data_received(data)

    def end(self, reset: bool) -> None:  # noqa: FBT001  # call_later takes no keywords
        """End the client's connection as the upstream's was ended."""
        self.sighting = None
        self._upstream = None
        if self.transport is None:
            return
        if reset:
            end_with_reset(self.transport)
        else:
            self.transport.close()

    def look(self) -> None:
        """Whether the client has closed its side already."""
        if self.sighting is not None and self.transport is not None and _has_closed(self.transport):
            self._gone()

    def eof_received(self) -> bool:
        """The client has closed its side: it waits for nothing any more."""
        self._gone()
        return False

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002  # gone is gone, however
        """The client's connection is no more."""
        self.transport = None
        self.tap.connections.discard(self)
        self._gone()

    def _gone(self) -> None:
        if self._answering is not None:
            self._answering.cancel()
            self._answering = None
        if self.sighting is not None:
            self.sighting.client_left()
            self.sighting = None
        if self._dialling is not None:
            self._dialling.cancel()
        if self._upstream is not None:
            self._upstream.leave()
            self._upstream = None


class _Upstream(asyncio.Protocol):
    """The tap's side towards the first layer, for one request."""

    def __init__(self, caller: _Caller, sighting: Sighting) -> None:
        self._caller: _Caller | None = caller
        self._sighting = sighting
        self._transport: asyncio.Transport | None = None
        self._heads = HeadReader(status=502)
        self._framing: Framing | None = None
        self._answered = False
        self._close = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self._transport = cast("asyncio.Transport", transport)

    def send(self, data: bytes) -> None:
        """Hand the request on."""
        if self._transport is not None:
            self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        """Bytes of the response."""
        if self._caller is None:
            return
        try:
            if not self._answered:
                whole = self._heads.take(data)
                if whole is None:
                    return
                data = self._head(*whole)
            if self._answered:
                self._body(data)
        except Malformed:
            self._broken(UpstreamEnd.MALFORMED)

    def _head(self, data: bytes, end: int) -> bytes:
        raw, rest = data[:end], data[end:]
        head = parse_response(raw, to_head=self._sighting.method == "HEAD")
        assert self._caller is not None
        self._caller.send(self._caller.as_the_client_counts(raw))
        if head.status < 200:
            whole = self._heads.take(rest)
            return self._head(*whole) if whole is not None else b""
        self._answered = True
        self._close = head.close
        self._framing = head.framing
        self._sighting.answered(head.status, _fields(raw.partition(b"\r\n")[2]))
        return rest

    def _body(self, data: bytes) -> None:
        caller, framing, sighting = self._caller, self._framing, self._sighting
        assert caller is not None
        if framing is not None and data:
            payload: list[bytes] = []
            if isinstance(framing, Chunked):
                framing.payload = payload
            end = framing.take(data, 0)
            for piece in payload if isinstance(framing, Chunked) else (data[:end],):
                sighting.received(piece)
        if framing is None or framing.done:
            sighting.finished()
            self._caller = None
            self.leave()
            caller.last(data, close=self._close)
        else:
            caller.send(data)

    def eof_received(self) -> bool:
        """FIN."""
        if self._caller is not None and isinstance(self._framing, UntilClose):
            caller, self._caller = self._caller, None
            self._sighting.finished()
            caller.end(False)  # noqa: FBT003  # as above
        self._broken(UpstreamEnd.CLOSED)
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """No more connection; with an error it was reset."""
        self._transport = None
        self._broken(UpstreamEnd.CLOSED if error is None else UpstreamEnd.RESET)

    def _broken(self, end: UpstreamEnd) -> None:
        if self._caller is None:
            return
        caller, self._caller = self._caller, None
        self._sighting.broken(end)
        self.leave()
        asyncio.get_running_loop().call_later(_BLINK_S, caller.end, end is UpstreamEnd.RESET)

    def leave(self) -> None:
        """Nothing more is wanted from this side."""
        self._caller = None
        if self._transport is not None:
            self._transport.abort()


def _has_closed(transport: asyncio.Transport) -> bool:
    """Whether nothing but an end is left to be read."""
    if isinstance(transport, MemoryTransport):
        return transport.peer_has_closed
    sock = transport.get_extra_info("socket")
    if sock is None or sock.fileno() < 0:
        return True
    with socket.socket(fileno=os.dup(sock.fileno())) as probe:
        try:
            return not probe.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True


# Fields that this tap replaces or has answered itself: a second `100 Continue` would come for a body already sent.
_OURS = (b"traceparent:", b"expect:")


def _with_fields(raw: bytes, added: list[str]) -> bytes:
    kept = [line for line in raw[:-4].split(b"\r\n") if not line.lower().startswith(_OURS)]
    return b"\r\n".join([*kept, *(line.encode("latin-1") for line in added), b"", b""])


def _fields(lines: bytes) -> dict[str, str]:
    pairs = (line.partition(b":") for line in lines.split(b"\r\n") if line)
    return {name.decode("latin-1").lower(): value.strip().decode("latin-1") for name, _, value in pairs}


def _json(body: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _number(written: str | None) -> int | None:
    return int(written) if written is not None and written.isdigit() else None


def _seconds(written: str | None) -> float | None:
    try:
        return float(written) if written is not None else None
    except ValueError:
        return None
