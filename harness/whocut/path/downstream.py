"""The side towards the caller: takes requests one after the other, and wakes the exchange's timers.

One alarm a connection, not one a byte: it is set no later than the next deadline, and when it rings too early
because bytes came meanwhile it is set again. In a held request it is the only timer that exists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whocut.errors import Malformed
from whocut.path import vendors
from whocut.path.connection import Connection
from whocut.path.deadlines import NEVER_S, TOLERANCE_S
from whocut.path.exchange import Exchange
from whocut.path.fallen import telling
from whocut.path.http1 import HeadReader, parse_request
from whocut.path.sockets import end_with_reset

if TYPE_CHECKING:
    import asyncio

    from whocut.path.relay import Piece
    from whocut.path.sides import House, Served

# Requests that come before the last one is answered wait here, so that a caller's leaving is still seen.
_MAX_AHEAD_BYTES: Final = 64 * 1024
# nginx's lingering_timeout: how long a caller that is still sending may go on after its answer.
_LINGER_S: Final = 5.0
# A loop that was blocked has timers that are overdue and bytes that have come: nginx and HAProxy read first. So an
# overdue timer lets the loop turn a few times: uvloop runs timers before it reads, and an answer may have several
# hops of one chain to pass.
_READ_TURNS: Final = 12


class Downstream(Connection):
    """A caller's connection."""

    __slots__ = (
        "_ahead",
        "_alarm",
        "_alarm_at_s",
        "_heads",
        "_lingering",
        "_until_s",
        "exchange",
    )

    def __init__(self, house: House) -> None:
        super().__init__(house)
        self.exchange: Served | None = None
        self._ahead = b""
        self._lingering = False
        self._heads = HeadReader(status=400)
        self._alarm: asyncio.Handle | None = None
        self._alarm_at_s = NEVER_S
        self._until_s = NEVER_S  # by when the head that is waited for has to be whole, or to begin

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A caller has come."""
        super().connection_made(transport)
        self.house.callers.add(self)
        if self.house.closing:
            self.abort()
        else:
            self._wait_until(self.house.now_s(), self.house.head_s)

    def buffer_updated(self, count: int) -> None:
        """Bytes of a request, of its body, or of the one after it."""
        data = bytes(self.house.inbox[:count])
        exchange = self.exchange
        try:
            if exchange is None:
                if not self._lingering:
                    self._head(data)
            elif exchange.request_done:
                self._keep(data)
            else:
                self._body(exchange, data, 0)
        except BaseException as error:  # a fault of ours: what is known of the exchange is still written down
            self.house.fail(error)
            exchange = self.exchange or exchange
            if exchange is not None:
                exchange.stop("hop.failed")
            raise

    def _head(self, data: bytes) -> None:
        house = self.house
        try:
            whole = self._heads.take(data)
            if whole is None:
                if len(self._heads) <= len(data):  # its first bytes
                    self._wait_until(house.now_s(), house.head_s)
                return
            data, end = whole
            head = parse_request(data if end == len(data) else data[:end])
        except Malformed as error:
            self._refuse(error.status)
            return
        self._until_s = NEVER_S
        exchange = self.exchange = Exchange(house, self, head, house.now_s())
        if exchange.request_done:
            if end < len(data):
                self._keep(data[end:])
        elif end < len(data):
            self._body(exchange, data, end)
            if self.exchange is not exchange:
                return  # the body was invalid, and that has been answered
        exchange.begin()

    def _body(self, exchange: Served, data: bytes, at: int) -> None:
        try:
            end = exchange.request_bytes(data, at)
        except Malformed as error:
            exchange.refuse(error.status)
            return
        if end < len(data):
            self._keep(data[end:])

    def _keep(self, data: bytes) -> None:
        self._ahead += data
        if len(self._ahead) > _MAX_AHEAD_BYTES:
            self.pause_reading()

    def _refuse(self, status: int) -> None:
        """Answer what is not a request, or not in time, outside any exchange."""
        answer = vendors.refusal(self.house.layer, status)
        self.send(vendors.render(answer, unix_s=self.house.unix_s(), close=True))
        self.linger()

    def send(self, data: Piece) -> None:
        """Put bytes on their way to the caller; into the void if it has gone."""
        if self.transport is not None:
            self.transport.write(data)

    def drained(self) -> None:
        """The caller keeps up again."""
        if self.exchange is not None:
            self.exchange.downstream_drained()

    @telling
    def eof_received(self) -> bool:
        """The caller has closed its side. True keeps ours open: a layer that is blind does not look."""
        if self.exchange is not None:
            return self.exchange.downstream_ended()
        return False

    @telling
    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002  # gone is gone, however
        """The caller's connection is no more."""
        self.transport = None
        self.writable = True
        self.house.callers.discard(self)
        if self.exchange is not None:
            self.exchange.downstream_ended()
        if self.exchange is None:
            self._silence()

    def next_request(self, now_s: float) -> None:
        """The last exchange is over: wait for the next, or take the one that has come already."""
        self.exchange = None
        if self.transport is None:
            self._silence()
            return
        self._wait_until(now_s, self.house.idle_s)
        self.resume_reading()
        if self._ahead:
            data, self._ahead = self._ahead, b""
            self._head(data)

    def close(self) -> None:
        """FIN, after what is still to be sent."""
        self.exchange = None
        if self.transport is not None:
            self.transport.close()
            self._lingering = True
            self.watch(self.house.now_s(), _LINGER_S)

    def linger(self) -> None:
        """FIN now, and read on for a while: closing on unread bytes would reset the answer away."""
        self.exchange = None
        self._ahead = b""
        if self.transport is None:
            self._silence()
            return
        self._lingering = True
        self.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.watch(self.house.now_s(), _LINGER_S)

    def reset(self) -> None:
        """RST, at once."""
        self.exchange = None
        if self.transport is not None:
            end_with_reset(self.transport)

    def abort(self) -> None:
        """Gone at once, whatever was still to be sent."""
        self.exchange = None
        self._silence()
        if self.transport is not None:
            self.transport.abort()

    def stop(self, why: str) -> None:
        """The hop ends: what is known is written down."""
        if self.exchange is not None:
            self.exchange.stop(why)
        self.abort()

    def watch(self, now_s: float, in_s: float) -> None:
        """See to it that the alarm rings within `in_s`; it may ring sooner."""
        at_s = now_s + in_s
        if at_s < self._alarm_at_s:
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm_at_s = at_s
            self._alarm = self.house.loop.call_later(self.house.clock.real_s(in_s), self._ring)

    def _ring(self, turns: int = 0) -> None:
        now_s = self.house.now_s()
        exchange = self.exchange
        if exchange is not None and turns < _READ_TURNS and exchange.overdue(now_s):
            self._alarm_at_s = now_s
            self._alarm = self.house.loop.call_soon(self._ring, turns + 1)
            return
        self._alarm = None
        self._alarm_at_s = NEVER_S
        if exchange is not None:
            try:
                next_s = exchange.check(now_s)
            except BaseException as error:  # as in `buffer_updated`
                self.house.fail(error)
                exchange.stop("hop.failed")
                raise
        elif self._lingering:
            next_s = None
            if self.transport is not None:
                self.transport.abort()
        else:
            next_s = self._check_head(now_s)
        if next_s is not None:
            self.watch(now_s, next_s - now_s)

    def _wait_until(self, now_s: float, in_s: float) -> None:
        self._until_s = now_s + in_s
        self.watch(now_s, in_s)

    def _check_head(self, now_s: float) -> float | None:
        if self.transport is None or self._until_s > now_s + TOLERANCE_S:
            return self._until_s if self._until_s < NEVER_S else None
        if self._heads:
            self._refuse(408)
        else:
            self.transport.close()
        return None

    def _silence(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
            self._alarm_at_s = NEVER_S
