"""Virtual time without a single socket: servers and connections of one loop, joined in memory.

Protocols do not notice: they get a transport that hands bytes over in the loop's next turn and takes a pause. It
ends with a close or, where its "socket" has the option not to linger, with a reset. Nothing outside this loop can
dial in.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct
from typing import TYPE_CHECKING, Any, Final, cast

from whocut.clock import VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_HOST: Final = "127.0.0.1"
_FIRST_PORT: Final = 61_001
_HIGH_WATER_BYTES: Final = 64 * 1024


class MemorySocket:
    """As much of a socket as transports are asked for: options are forgotten, save the one that means reset."""

    family = socket.AF_INET
    type = socket.SOCK_STREAM
    proto = socket.IPPROTO_TCP

    def __init__(self, port: int) -> None:
        self._port = port
        self.resets = False

    def setsockopt(self, level: int, option: int, value: object) -> None:
        """Remember a linger of zero."""
        if (level, option) == (socket.SOL_SOCKET, socket.SO_LINGER):
            self.resets = value == struct.pack("ii", 1, 0)

    def getsockname(self) -> tuple[str, int]:
        """Its address, as far as it has one."""
        return (_HOST, self._port)

    getpeername = getsockname

    def fileno(self) -> int:
        """There is no descriptor behind it."""
        return -1


class MemoryTransport(asyncio.Transport):
    """One end of a connection."""

    def __init__(self, loop: MemoryLoop, protocol: asyncio.BaseProtocol, port: int) -> None:
        names = {"socket": MemorySocket(port), "peername": (_HOST, port), "sockname": (_HOST, port)}
        super().__init__(names)
        self._loop = loop
        self._protocol = protocol
        self.peer: MemoryTransport | None = None
        self._inbox: list[bytes] = []
        self._eof = False  # the other end will send no more
        self._lost: Exception | None = None
        self._gone = False  # the other end is no more
        self._reading = True
        self._closing = False
        self._wrote_eof = False
        self._over = False
        self._paused_writer = False
        self._high = _HIGH_WATER_BYTES

    # what its protocol does

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Speak to another protocol from now on."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Who is spoken to."""
        return self._protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Hand bytes to the other end."""
        if self._closing or self._wrote_eof or self.peer is None or not data:
            return
        self.peer.arrive(bytes(data))
        if not self._paused_writer and self.get_write_buffer_size() > self._high:
            self._paused_writer = True
            cast("asyncio.Protocol", self._protocol).pause_writing()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """The same, in pieces."""
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        """It can."""
        return True

    def write_eof(self) -> None:
        """Send no more, and go on reading."""
        if not self._wrote_eof:
            self._wrote_eof = True
            if self.peer is not None:
                self.peer.end(None, gone=False)

    def close(self) -> None:
        """End it, after what was written."""
        self._finish(reset=False)

    def abort(self) -> None:
        """End it at once; a socket that does not linger resets."""
        self._finish(reset=self.get_extra_info("socket").resets)

    def is_closing(self) -> bool:
        """Whether it was ended from this side."""
        return self._closing

    def pause_reading(self) -> None:
        """Take nothing for now."""
        self._reading = False

    def resume_reading(self) -> None:
        """Take again what has come."""
        self._reading = True
        self._loop.call_soon(self._deliver)

    def is_reading(self) -> bool:
        """Whether it takes bytes."""
        return self._reading and not self._closing

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """How much may wait at the other end before the writer is paused."""
        del low
        self._high = _HIGH_WATER_BYTES if high is None else max(high, _HIGH_WATER_BYTES)

    def get_write_buffer_size(self) -> int:
        """What waits at the other end."""
        return sum(map(len, self.peer._inbox)) if self.peer is not None else 0  # noqa: SLF001  # its other half

    def _finish(self, *, reset: bool) -> None:
        if self._closing:
            return
        self._closing = True
        self._inbox.clear()
        if self.peer is not None:
            self.peer.end(ConnectionResetError(104, "Connection reset by peer") if reset else None, gone=True)
        self._loop.call_soon(self._over_with, None)

    @property
    def peer_has_closed(self) -> bool:
        """Whether the other end has ended it, told or not."""
        return self._gone or self._eof

    # what the other end does

    def arrive(self, data: bytes) -> None:
        """Bytes from the other end."""
        if not self._closing:
            self._inbox.append(data)
            self._loop.call_soon(self._deliver)

    def end(self, error: Exception | None, *, gone: bool) -> None:
        """The other end sends no more, and may be gone altogether."""
        if self._over:
            return
        self._eof = True
        self._gone = self._gone or gone
        if error is not None:
            self._lost = error
            self._inbox.clear()
        self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        protocol = self._protocol
        while self._inbox and self._reading and not self._closing:
            data = self._inbox.pop(0)
            if isinstance(protocol, asyncio.BufferedProtocol):
                _into_buffer(protocol, data)
            else:
                cast("asyncio.Protocol", protocol).data_received(data)
        if self.peer is not None:
            self.peer.drained()
        if self._inbox or not self._eof or self._closing or not self._reading:
            return
        self._eof = False
        if self._lost is not None:
            self._closing = True
            self._over_with(self._lost)
            return
        stays = cast("asyncio.Protocol", protocol).eof_received()
        if not stays:
            self.close()

    def drained(self) -> None:
        """The other end has taken something."""
        if self._paused_writer and not self._closing and self.get_write_buffer_size() == 0:
            self._paused_writer = False
            cast("asyncio.Protocol", self._protocol).resume_writing()

    def _over_with(self, error: Exception | None) -> None:
        if not self._over:
            self._over = True
            self._protocol.connection_lost(error)


def _into_buffer(protocol: asyncio.BufferedProtocol, data: bytes) -> None:
    while data:
        buffer = memoryview(cast("Any", protocol.get_buffer(len(data))))
        size = min(len(buffer), len(data))
        buffer[:size] = data[:size]
        protocol.buffer_updated(size)
        data = data[size:]


class MemoryServer:
    """Listens in memory."""

    def __init__(self, loop: MemoryLoop, port: int) -> None:
        self._loop = loop
        self._port = port
        self.sockets = (MemorySocket(port),)

    def close(self) -> None:
        """Take no more connections."""
        self._loop.listening.pop(self._port, None)

    async def wait_closed(self) -> None:
        """At once."""

    def is_serving(self) -> bool:
        """Whether it takes connections."""
        return self._port in self._loop.listening


class MemoryLoop(VirtualLoop):
    """A loop of virtual time whose servers and connections are its own."""

    def __init__(self) -> None:
        super().__init__()
        self._jumping.settle_real_s = 0.0
        self.listening: dict[int, Callable[[], asyncio.BaseProtocol]] = {}
        self._ports = itertools.count(_FIRST_PORT)

    def listener(self) -> MemorySocket:
        """A "listening socket" for a server that wants one."""
        return MemorySocket(next(self._ports))

    async def create_server(self, protocol_factory: Any, *_: Any, **known: Any) -> Any:
        """Listen in memory, at the port of `sock` or at a new one."""
        given = known.get("sock")
        port = given.getsockname()[1] if given is not None else next(self._ports)
        self.listening[port] = protocol_factory
        return MemoryServer(self, port)

    async def create_connection(
        self, protocol_factory: Any, host: Any = None, port: Any = None, **_: Any
    ) -> Any:
        """Connect to a listener of this loop.

        Raises:
            ConnectionRefusedError: there is no listener on this port.
        """
        make = self.listening.get(port) if host == _HOST else None
        if make is None:
            raise ConnectionRefusedError(111, f"there is no listener at {host}:{port} in memory")
        here, there = protocol_factory(), make()
        near, far = MemoryTransport(self, here, port), MemoryTransport(self, there, port)
        near.peer, far.peer = far, near
        there.connection_made(far)
        here.connection_made(near)
        await asyncio.sleep(0)
        return near, here

    async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> Any:
        """Only the loopback has an address here."""
        if host not in {_HOST, "localhost"}:
            raise socket.gaierror(f"{host} cannot be looked up in memory")
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (_HOST, port))]
