"""The mock on a socket: loopback only, ready for thousands of callers at once, and quick to close."""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from whocut_mock import delivery
from whocut_mock.app import create_app
from whocut_mock.clock import ModelClock
from whocut_mock.images import Shape
from whocut_mock.ledger import Ledger
from whocut_mock.network import Path, Relay
from whocut_mock.settings import Settings
from whocut_mock.upstream import UPSTREAM, Upstream
from whocut_mock.wire import Wire, wire_options

BACKLOG = 8_192  # above any concurrency a test holds: on a virtual clock nobody accepts while time jumps
_CLOSING_S = 0.01  # what handlers get to end; their callers are told by the close itself

# What most requests ask for; encoded before the first of them.
COMMON_SHAPES = (Shape(1024, 1024),)


class NotServing(Exception):  # noqa: N818 - it says what is the case
    """The mock could not begin to serve; the text says why."""


@dataclass
class Running:
    """A mock that serves."""

    host: str
    port: int
    upstream: Upstream
    _runner: web.AppRunner
    _server: asyncio.Server

    @property
    def base_url(self) -> str:
        """What an SDK takes as its base URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/v1"

    @property
    def ledger(self) -> Ledger:
        """Its books."""
        return self.upstream.ledger

    async def close(self) -> None:
        """Stop accepting, mark what still runs as stopped, end every connection, close the books."""
        self._server.close()
        self.upstream.workshop.stop_all()
        if self.upstream.relay is not None:
            await self.upstream.relay.close()
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
) -> Running:
    """Serve on a loopback address; port 0 takes a free one."""
    settings = settings or Settings()
    clock = clock or ModelClock()
    app = create_app(settings, clock=clock, ledger=ledger, worker=worker)
    for shape in warm:
        app[UPSTREAM].press.plate(shape)
    listener = sock or listen(host, port)
    clock.now_s()  # the origin is now, if nobody gave one
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=_CLOSING_S)
    await runner.setup()
    assert runner.server is not None
    loop, manager = asyncio.get_running_loop(), runner.server
    options = wire_options(settings.limits, clock.scale)
    path = Path.of(settings.network)
    behind = listener if path is None else listen("127.0.0.1", 0)
    server = await loop.create_server(
        lambda: Wire(manager, loop=loop, **options), sock=behind, backlog=BACKLOG
    )
    if path is not None:
        app[UPSTREAM].relay = relay = Relay(path, clock, settings.seed, behind.getsockname()[:2])
        await relay.start(listener, BACKLOG)
    bound_host, bound_port = listener.getsockname()[:2]
    return Running(bound_host, bound_port, app[UPSTREAM], runner, server)


def loopback(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address of this host; the mock serves this machine and nobody else."""
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
