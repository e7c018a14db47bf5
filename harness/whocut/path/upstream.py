"""The side towards the model: one connection, lent to one exchange at a time and pooled between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from whocut.path.connection import Connection
from whocut.path.fallen import telling
from whocut.path.replies import Replies
from whocut.path.sockets import end_with_reset
from whocut.trace.records import UpstreamEnd

if TYPE_CHECKING:
    from whocut.path.sides import House, Served


class Upstream(Connection):
    """A connection to the next layer."""

    __slots__ = ("ended", "exchange", "idle_since_s", "replies", "reused")

    def __init__(self, house: House) -> None:
        super().__init__(house)
        self.exchange: Served | None = None
        self.replies = Replies()
        self.reused = False
        self.idle_since_s = 0.0
        self.ended: UpstreamEnd | None = None  # how it ended before any exchange had it

    def buffer_updated(self, count: int) -> None:
        """Bytes of a response; a pooled connection that speaks unasked is not to be trusted."""
        exchange = self.exchange
        if exchange is None:
            self.leave()
            return
        try:
            exchange.upstream_bytes(bytes(self.house.inbox[:count]))
        except BaseException as error:  # a fault of ours: what is known of the exchange is still written down
            self.house.fail(error)
            exchange.stop("hop.failed")
            raise

    def drained(self) -> None:
        """The upstream keeps up again."""
        if self.exchange is not None:
            self.exchange.upstream_drained()

    @telling
    def eof_received(self) -> bool:
        """FIN."""
        self._ended(UpstreamEnd.CLOSED)
        return False

    @telling
    def connection_lost(self, error: Exception | None) -> None:
        """No more connection; with an error it was reset."""
        self.transport = None
        self.house.upstreams.discard(self)
        self.house.pool.pop(self, None)
        self._ended(UpstreamEnd.CLOSED if error is None else UpstreamEnd.RESET)

    def _ended(self, how: UpstreamEnd) -> None:
        if self.ended is None:
            self.ended = how
        if self.exchange is not None:
            self.exchange.upstream_ended(how)

    def leave(self, *, reset: bool = False) -> None:
        """End the connection from our side: FIN or RST, and nothing more is sent."""
        self.exchange = None
        self.house.pool.pop(self, None)
        if self.transport is not None:
            if reset:
                end_with_reset(self.transport)
            else:
                self.transport.abort()

    def stop(self, why: str) -> None:  # noqa: ARG002  # its caller's side has written it down
        """The hop ends."""
        self.leave()
