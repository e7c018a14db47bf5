"""What both sides of a hop or a tap have in common: a connection whose reading and writing can be held back.

A side that cannot write stops the other from reading: that is how a slow caller slows the upstream down.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from whocut.path.fallen import telling
from whocut.path.sockets import hand_over_at_once

if TYPE_CHECKING:
    from whocut.path.sides import House


class Connection(asyncio.BufferedProtocol):
    """One side; `writable` is whether its peer keeps up."""

    __slots__ = ("_paused", "house", "transport", "writable")

    def __init__(self, house: House) -> None:
        self.house = house
        self.transport: asyncio.Transport | None = None
        self.writable = True
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's has another class
        hand_over_at_once(self.transport)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  # as large as it is
        """Where the next bytes are read into: see `Hop.inbox`."""
        if self._paused and self.transport is not None:
            # Before 3.11.3 asyncio begins to read after `connection_made` even if that has said not to. What comes
            # is taken once, and then the transport is paused again.
            self.transport.resume_reading()
            self.transport.pause_reading()
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
        self.drained()

    def drained(self) -> None:
        """The peer keeps up again: let the other side go on."""
        raise NotImplementedError
