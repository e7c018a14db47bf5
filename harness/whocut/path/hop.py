"""A hop: one layer of a chain, on the loopback, that forwards to the next and cuts as its vendor does."""

from __future__ import annotations

import asyncio
import errno
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from whocut.errors import BadInput, CouldNotRun, PortTaken
from whocut.path.account import Place, row_of, span_of
from whocut.path.deadlines import NEVER_S, TOLERANCE_S, Deadlines
from whocut.path.downstream import Downstream
from whocut.path.fallen import Fallen, why
from whocut.path.looks import SpanLook, Unseen
from whocut.path.relay import Manners
from whocut.path.target import Target, is_loopback
from whocut.path.upstream import Upstream
from whocut.path.wire import Outer
from whocut.trace.ordinary import TakesRows

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    from whocut.chain.layers import Layer
    from whocut.clock import Clock
    from whocut.path.account import Facts, Lineage
    from whocut.path.connection import Connection
    from whocut.path.http1 import RequestHead
    from whocut.path.looks import Look
    from whocut.path.sides import Next, Open, P
    from whocut.path.tap import Tap
    from whocut.trace.ordinary import Row
    from whocut.trace.records import SpanSink

# A burst of callers must not meet a full queue: a lost SYN comes again after a whole real second.
_BACKLOG: Final = 4096
_READ_BYTES: Final = 256 * 1024
# Connections kept open to the upstream between requests; nginx keeps as many as `keepalive` says, often 32.
_MAX_POOLED: Final = 1024
# Nothing waits longer than this for a connection to end; most need one turn of the loop.
_PATIENCE_REAL_S: Final = 1.0
_PATIENT_TURNS: Final = 50
# Guards, not timers of the layer: no caller holds a connection for ever with half a head, or with nothing at all.
# In real time, since they spare the machine. nginx's client_header_timeout; the longest keep-alive of an ALB.
_HEAD_REAL_S: Final = 60.0
_IDLE_REAL_S: Final = 3600.0


class Hop:
    """One layer that forwards, or a tap beside a real one. `position` counts from the client, which is 0.

    `upstream` is a host and port, or a `Target` with a name of its own and perhaps TLS.
    """

    def __init__(
        self,
        layer: Layer,
        *,
        upstream: tuple[str, int] | Target,
        clock: Clock,
        sink: SpanSink | None = None,
        position: int = 1,
        tap: Tap | None = None,
        dial: Callable[[Hop], Awaitable[Upstream]] | None = None,
        complain: Callable[[str], None] | None = None,
    ) -> None:
        self.layer = layer
        self.tap = tap
        self.place = Place(
            layer.name, position, *((tap.side, tap.lazy_s, tap.clock) if tap is not None else ())
        )
        self.clock = clock
        self._row: Callable[[Row], None] | None = None
        self.sink = sink
        self.now_s = clock.now_s
        self.deadlines = Deadlines(layer)
        self.head_s = clock.model_s(_HEAD_REAL_S)
        self.idle_s = min(self.deadlines.keepalive_s, clock.model_s(_IDLE_REAL_S))
        self.manners = Manners.of(layer)
        self.replays_posts = layer.retries.tries > 1 and layer.retries.post
        self.closing = False
        self.fallen: Fallen | None = None
        self.callers: set[Open] = set()
        self.upstreams: set[Open] = set()
        self.pool: dict[Next, None] = {}  # in the order in which they were given back
        # One buffer for all connections, read into and copied from in the same turn. A plain `recv` makes and
        # shrinks 256 KiB for each read, which the allocator may map and unmap: 17 µs were seen instead of 2.
        self.inbox = memoryview(bytearray(_READ_BYTES))
        self.authority: bytes | None = None  # the `Host` to send; None: as it came
        self._tls: dict[str, Any] = {}
        if isinstance(upstream, Target):
            if tap is None or not tap.keeps_host:
                self.authority = upstream.authority.encode()
            if (context := upstream.context()) is not None:
                self._tls = {"ssl": context, "server_hostname": upstream.host}
            upstream = upstream.address
        self._address = upstream
        self._dial = dial
        self._complain = complain
        self._complaints: set[str] = set()
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop the hop listens in."""
        assert self._loop is not None, "the hop is not listening yet"
        return self._loop

    @property
    def port(self) -> int:
        """Where callers dial."""
        assert self._server is not None, "the hop is not listening yet"
        return int(self._server.sockets[0].getsockname()[1])

    async def listen(self, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        """Begin to take callers, over TLS where there is a context.

        Raises:
            PortTaken: another program listens there.
            BadInput: `host` is not this machine's loopback.
        """
        if not is_loopback(host):
            raise BadInput(f"a hop listens on the loopback only, not on {host}; use 127.0.0.1")
        self._loop = asyncio.get_running_loop()
        try:
            self._server = await self._loop.create_server(
                self.caller,
                host,
                port,
                backlog=_BACKLOG,
                ssl=tls,
            )
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortTaken(host, port) from None
            raise CouldNotRun(f"cannot listen on {host} port {port}: {error.strerror or error}") from None

    def caller(self) -> Connection:
        """What a caller's connection talks to."""
        return Downstream(self) if self.tap is None else Outer(self)

    async def close(self) -> None:
        """Stop listening, write down what is open, and leave no connection, task or timer behind.

        It takes a second at most: a connection whose end the loop has not told by then is given up with a
        `ResourceWarning`.
        """
        self.closing = True
        if self._server is not None:
            self._server.close()
        for side in [*self.callers, *self.upstreams]:
            side.stop("hop.closed")
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        await self._all_gone()
        if self._server is not None:
            with suppress(TimeoutError):  # from Python 3.12 on it waits for connections that are gone
                await asyncio.wait_for(self._server.wait_closed(), _PATIENCE_REAL_S)

    async def _all_gone(self) -> None:
        """An aborted transport gives its socket back in the loop's next turn, or the one after it."""
        for turn in range(2 * _PATIENT_TURNS):
            if not (self.callers or self.upstreams):
                return
            await asyncio.sleep(0 if turn < _PATIENT_TURNS else _PATIENCE_REAL_S / _PATIENT_TURNS)
        left = len(self.callers) + len(self.upstreams)
        self.callers.clear()
        self.upstreams.clear()
        warnings.warn(
            f"{left} connections of {self.layer.name} did not end within {_PATIENCE_REAL_S:g} s",
            ResourceWarning,
            stacklevel=2,
        )

    def fail(self, error: BaseException) -> None:
        """A fault of ours: nothing this hop does from now on is evidence, and its runner has to know."""
        if self.fallen is None:
            self.fallen = Fallen(self.layer.name, self.now_s(), why(error))
            if self._sink is not None:
                with suppress(Exception):  # what failed may have been the sink
                    self._sink(self.fallen.span())

    def look(self) -> Fallen | None:
        """How it ended by itself, or None while it serves."""
        if self._server is not None and not self.closing and not self._server.is_serving():
            self.fail(CouldNotRun("it no longer listens"))
        return self.fallen

    def unix_s(self) -> float:
        """The calendar's instant, in model time."""
        return self.clock.unix_s(self.now_s())

    @property
    def sink(self) -> SpanSink | None:
        """Where spans go; None: no spans are made."""
        return self._sink

    @sink.setter
    def sink(self, sink: SpanSink | None) -> None:
        self._sink = sink
        self._row = sink.rows_of(self.place.form()) if isinstance(sink, TakesRows) else None

    def account(self, facts: Facts, lineage: Lineage, at_s: float) -> None:
        """Write down an exchange that ended at `at_s`: as a row where that says it all, else as a span."""
        if self._row is not None:
            row = row_of(facts, lineage, at_s)
            if row is not None:
                self._row(row)
                return
        if self._sink is not None:
            self._sink(span_of(facts, lineage, self.place, at_s))

    async def dial(self) -> Upstream:
        """A new connection to the next layer.

        It is the hop's from here on, not from its first callback on: a dial may be cancelled between the two, and
        then uvloop closes the connection without a word.
        """
        upstream = await (self.dial_now() if self._dial is None else self._dial(self))
        if upstream.ended is None:
            self.upstreams.add(upstream)
        return upstream

    async def dial_now(self) -> Upstream:
        """Connect; what `dial` does when nothing was put in its place."""
        return await self.connect(lambda: Upstream(self))

    async def connect(self, make: Callable[[], P]) -> P:
        """Connect a protocol to the next layer.

        Raises:
            OSError: nothing takes the connection, or TLS fails.
        """
        connected: tuple[object, P] = await self.loop.create_connection(make, *self._address, **self._tls)
        return connected[1]

    def look_at(self, head: RequestHead, raw: bytes, connection: int, now_s: float) -> Look:
        """What follows a request that passes this tap."""
        if self.tap is not None and self.tap.onlooker is not None:
            return self.tap.onlooker.look(head, raw, connection, now_s)
        return Unseen() if self.sink is None else SpanLook(head, self.account, now_s)

    def complain(self, sentence: str) -> None:
        """Say something to the person who runs this, once."""
        if self._complain is not None and sentence not in self._complaints:
            self._complaints.add(sentence)
            self._complain(sentence)

    def take_pooled(self) -> Next | None:
        """The connection that was used last, so that the others may grow old and go."""
        while self.pool:
            upstream, _ = self.pool.popitem()
            if upstream.transport is not None and not upstream.transport.is_closing():
                upstream.reused = True
                return upstream
        return None

    def give_back(self, upstream: Next, now_s: float) -> None:
        """Keep a connection for the next request."""
        if len(self.pool) >= _MAX_POOLED:
            upstream.leave()
            return
        upstream.idle_since_s = now_s
        upstream.resume_reading()
        self.pool[upstream] = None
        if self._sweeper is None and self.deadlines.keepalive_s < NEVER_S:
            self._sweep_in(self.deadlines.keepalive_s)

    def _sweep_in(self, model_s: float) -> None:
        self._sweeper = self.loop.call_later(self.clock.real_s(model_s), self._sweep)

    def _sweep(self) -> None:
        """Close the pooled connections whose keep-alive is over; the oldest are first."""
        self._sweeper = None
        now_s = self.now_s()
        for upstream in list(self.pool):
            left_s = upstream.idle_since_s + self.deadlines.keepalive_s - now_s
            if left_s > TOLERANCE_S:
                self._sweep_in(left_s)
                return
            upstream.leave()
