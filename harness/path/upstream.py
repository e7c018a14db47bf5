"""The side towards the model: one connection, lent to one exchange at a time and pooled between them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from harness.path.fallen import telling
from harness.path.http1 import HeadReader
from harness.path.sockets import end_with_reset
from harness.trace.records import UpstreamEnd

if TYPE_CHECKING:
    from harness.path.exchange import Exchange
    from harness.path.hop import Hop


class Upstream(asyncio.BufferedProtocol):
    """A connection to the next layer."""

    __slots__ = ("_paused", "exchange", "heads", "hop", "idle_since_s", "reused", "transport", "writable")

    def __init__(self, hop: Hop) -> None:
        self.hop = hop
        self.transport: asyncio.Transport | None = None
        self.exchange: Exchange | None = None
        self.heads = HeadReader(status=502)
        self.writable = True
        self.reused = False
        self.idle_since_s = 0.0
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are none by class
        self.transport.set_write_buffer_limits(0)  # "paused" then means: not yet in the kernel's hands
        self.hop.upstreams.add(self)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  # as large as it is
        """Where the next bytes are read into: see `Hop.inbox`."""
        return self.hop.inbox

    def buffer_updated(self, count: int) -> None:
        """Bytes of a response; a pooled connection that speaks unasked is not to be trusted."""
        exchange = self.exchange
        if exchange is None:
            self.leave()
            return
        try:
            exchange.upstream_bytes(bytes(self.hop.inbox[:count]))
        except BaseException as error:  # a fault of ours: what is known of the exchange is still written down
            self.hop.fail(error)
            exchange.stop("hop.failed")
            raise

    def pause_reading(self) -> None:
        """Take no more from the upstream: the caller is behind."""
        if not self._paused and self.transport is not None:
            self._paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Take bytes again."""
        if self._paused:
            self._paused = False
            if self.transport is not None and not self.transport.is_closing():
                self.transport.resume_reading()

    def pause_writing(self) -> None:
        """The upstream reads more slowly than the caller sends."""
        self.writable = False

    @telling
    def resume_writing(self) -> None:
        """All that was sent is in the kernel's hands."""
        self.writable = True
        if self.exchange is not None:
            self.exchange.upstream_drained()

    @telling
    def eof_received(self) -> bool:
        """FIN."""
        if self.exchange is not None:
            self.exchange.upstream_ended(UpstreamEnd.CLOSED)
        return False

    @telling
    def connection_lost(self, error: Exception | None) -> None:
        """No more connection; with an error it was reset."""
        self.transport = None
        self.hop.upstreams.discard(self)
        self.hop.pool.pop(self, None)
        if self.exchange is not None:
            self.exchange.upstream_ended(UpstreamEnd.CLOSED if error is None else UpstreamEnd.RESET)

    def leave(self, *, reset: bool = False) -> None:
        """End the connection from our side: FIN or RST, and nothing more is sent."""
        self.exchange = None
        self.hop.pool.pop(self, None)
        if self.transport is not None:
            if reset:
                end_with_reset(self.transport)
            else:
                self.transport.abort()
