"""The mock on a socket: loopback only, ready for thousands of callers at once, and quick to close."""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from whocut_mock import delivery
from whocut_mock.app import create_app
from whocut_mock.clock import ModelClock
from whocut_mock.control import create_control
from whocut_mock.guard import new_token
from whocut_mock.images import Shape
from whocut_mock.ledger import Ledger
from whocut_mock.network import Path, Relay
from whocut_mock.settings import Settings
from whocut_mock.upstream import UPSTREAM, Upstream
from whocut_mock.wire import Wire, wire_options

BACKLOG = 8_192  # above any concurrency a test holds: on a virtual clock nothing accepts while time jumps
_CLOSING_S = 0.01  # what handlers get to end; their callers learn of it by the close itself

# What most requests ask for; encoded before the first of them.
COMMON_SHAPES = (Shape(1024, 1024),)


class NotServing(Exception):  # noqa: N818 - it says what is the case
    """The mock could not begin to serve; the text says why."""


@dataclass(frozen=True, slots=True)
class Doors:
    """Where the mock's own doors are to be, and the word that opens them."""

    sock: socket.socket
    token: str

    @classmethod
    def new(cls, host: str) -> "Doors":
        """On a free port of this loopback address, with a token of their own."""
        return cls(listen(host, 0), new_token())


@dataclass
class Control:
    """The mock's own doors on their socket."""

    port: int
    token: str
    _runner: web.AppRunner
    _server: asyncio.Server

    async def close(self) -> None:
        """Take no more connections."""
        self._server.close()
        await self._runner.cleanup()


@dataclass
class Running:
    """A mock that serves."""

    host: str
    port: int
    upstream: Upstream
    control: Control | None
    _runner: web.AppRunner
    _server: asyncio.Server

    @property
    def base_url(self) -> str:
        """What an SDK takes as its base URL."""
        return f"http://{in_url(self.host)}:{self.port}/v1"

    @property
    def ledger(self) -> Ledger:
        """Its books."""
        return self.upstream.ledger

    async def close(self) -> None:
        """Stop accepting, mark what still runs as stopped, end every connection, close the books."""
        self._server.close()
        self.upstream.stop()
        if self.upstream.relay is not None:
            await self.upstream.relay.close()
        if self.control is not None:
            await self.control.close()
        await self._runner.cleanup()
        self.upstream.ledger.close()


async def serve(
    settings: Settings | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    clock: ModelClock | None = None,
    ledger: Ledger | None = None,
    warm: Sequence[Shape] = COMMON_SHAPES,
    sock: socket.socket | None = None,
    worker: int = 0,
    control: Doors | None = None,
) -> Running:
    """Serve on a loopback address; port 0 takes a free one.

    Its own doors are served only where `control` asks for them: who serves it in one's own process holds it.
    """
    settings = settings or Settings()
    clock = clock or ModelClock()
    app = create_app(settings, clock=clock, ledger=ledger, worker=worker)
    for shape in warm:
        app[UPSTREAM].press.plate(shape)
    listener = sock or listen(host, port)
    clock.now_s()  # the origin is now, unless one was given
    path = Path.of(settings.network)
    behind = listener if path is None else listen("127.0.0.1", 0)
    options = wire_options(settings.limits, clock.scale)
    runner, server = await _listening(app, behind, options)
    if path is not None:
        app[UPSTREAM].relay = relay = Relay(path, clock, settings.seed, behind.getsockname()[:2])
        await relay.start(listener, BACKLOG)
    doors = None if control is None else await _open(control, app[UPSTREAM], options)
    bound_host, bound_port = listener.getsockname()[:2]
    return Running(bound_host, bound_port, app[UPSTREAM], doors, runner, server)


async def _open(doors: Doors, upstream: Upstream, options: dict[str, Any]) -> Control:
    runner, server = await _listening(create_control(upstream, doors.token), doors.sock, options)
    return Control(doors.sock.getsockname()[1], doors.token, runner, server)


async def _listening(
    app: web.Application, sock: socket.socket, options: dict[str, Any]
) -> tuple[web.AppRunner, asyncio.Server]:
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=_CLOSING_S)
    await runner.setup()
    loop, manager = asyncio.get_running_loop(), runner.server
    assert manager is not None
    server = await loop.create_server(lambda: Wire(manager, loop=loop, **options), sock=sock, backlog=BACKLOG)
    return runner, server


def in_url(host: str) -> str:
    """A host as a URL carries it: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def loopback(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address of this host; the mock serves this machine only."""
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise NotServing(f"'{host}' is not an address; the mock serves on 127.0.0.1 or ::1") from None
    if not address.is_loopback:
        raise NotServing(f"{address} is not a loopback address; the mock serves only this machine")
    return address


def listen(host: str, port: int, *, shared: bool = False, ears: bool = True) -> socket.socket:
    """A listening socket on a loopback address.

    `shared` lets other processes listen on the same port; without `ears` the port is only held.
    """
    address = loopback(host)
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        delivery.prepare_listener(sock)
        sock.bind((str(address), port))
        if ears:
            sock.listen(BACKLOG)
        sock.setblocking(False)  # noqa: FBT003 - the socket's own signature
    except OSError as error:
        sock.close()
        raise NotServing(f"port {port} on {address} cannot be taken: {error.strerror}") from error
    return sock
