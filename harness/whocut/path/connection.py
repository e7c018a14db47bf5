"""What both sides of a hop have in common: a connection whose reading and writing can be held back.

A side that cannot write stops the other from reading: that is how a slow caller slows the upstream down.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from whocut.path.fallen import telling
from whocut.path.sockets import hand_over_at_once

if TYPE_CHECKING:
    from whocut.path.sides import House, Served


class Connection(asyncio.BufferedProtocol):
    """One side of a hop; `exchange` is what it serves at the moment, `writable` whether its peer keeps up."""

    __slots__ = ("_paused", "exchange", "house", "transport", "writable")

    def __init__(self, house: House) -> None:
        self.house = house
        self.transport: asyncio.Transport | None = None
        self.exchange: Served | None = None
        self.writable = True
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are none by class
        hand_over_at_once(self.transport)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  # as large as it is
        """Where the next bytes are read into: see `Hop.inbox`."""
        return self.house.inbox

    def pause_reading(self) -> None:
        """Take no more from the peer for now."""
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
        """The peer reads more slowly than we send."""
        self.writable = False

    @telling
    def resume_writing(self) -> None:
        """All that was sent is in the kernel's hands."""
        self.writable = True
        if self.exchange is not None:
            self.drained(self.exchange)

    def drained(self, exchange: Served) -> None:
        """Tell the exchange, which holds the other side back."""
        raise NotImplementedError
