"""One end of a wire: a connection that is ended as the other end was, by FIN in one direction, or by RST."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whocut.path.connection import Connection
from whocut.path.fallen import telling
from whocut.path.sockets import end_with_reset, pending_error

if TYPE_CHECKING:
    from whocut.path.sides import House

# When to look whether late bytes were answered by a reset: a round trip later, however long it is.
_LOOKS_REAL_S: Final = (0.001, 0.004, 0.016, 0.064, 0.256, 1.024)


class End(Connection):
    """One end of a wire. `fin`: the peer has sent its last byte; `closed`: ours is sent, or about to be."""

    __slots__ = ("_reset_seen", "_reset_when_sent", "closed", "fin")

    def __init__(self, house: House) -> None:
        super().__init__(house)
        self.fin = False
        self.closed = False
        self._reset_when_sent = False
        self._reset_seen = False

    @property
    def secured(self) -> bool:
        """Whether it speaks TLS, which knows no half-closed connection."""
        return self.transport is not None and self.transport.get_extra_info("sslcontext") is not None

    def send(self, data: bytes) -> None:
        """Hand bytes to the peer, if it is still there."""
        if self.transport is not None and data and not self.closed:
            self.transport.write(data)
            if self.fin and not self.secured:
                self._look_for_reset(0)

    def _look_for_reset(self, number: int) -> None:
        """A peer whose FIN has come is not read from: its answer to late bytes is found by asking the kernel."""
        if self.transport is None or number == len(_LOOKS_REAL_S):
            return
        if number and pending_error(self.transport):
            self._reset_seen = True
            self.transport.abort()
            return
        self.house.loop.call_later(_LOOKS_REAL_S[number], self._look_for_reset, number + 1)

    def finish(self) -> None:
        """FIN, after what is still to be sent; the connection itself stays until both sides have sent theirs."""
        if self.closed or self.transport is None:
            return
        self.closed = True
        if self.fin or not self.transport.can_write_eof():
            self.transport.close()
        else:
            self.transport.write_eof()

    def reset(self) -> None:
        """RST, after the bytes that came before it."""
        if self.transport is None:
            return
        self._reset_when_sent = True
        self.closed = True
        if self.writable:
            end_with_reset(self.transport)

    @telling
    def resume_writing(self) -> None:
        """All that was sent is in the kernel's hands."""
        self.writable = True
        if self._reset_when_sent and self.transport is not None:
            end_with_reset(self.transport)
        else:
            self.drained()

    @telling
    def eof_received(self) -> bool:
        """FIN. True keeps our direction open, where the connection can be half closed."""
        self.fin = True
        if self.closed and self.transport is not None:
            self.transport.close()
        self.ended()
        return not self.secured and not self.closed

    def abort(self) -> None:
        """End it at once."""
        self.closed = True
        if self.transport is not None:
            self.transport.abort()

    @telling
    def connection_lost(self, error: Exception | None) -> None:
        """The connection is no more."""
        self.transport = None
        self.lost(reset=error is not None or self._reset_seen)

    def ended(self) -> None:
        """The peer has sent its last byte."""
        raise NotImplementedError

    def lost(self, *, reset: bool) -> None:
        """The connection is no more; `reset`: by a reset of the peer's."""
        raise NotImplementedError
