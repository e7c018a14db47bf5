"""A side that is told to pause stays paused, also on a Python whose asyncio forgets it."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.path.test_timers import virtual_clock
from whocut.chain.layers import Layer
from whocut.clock import run_virtual
from whocut.path import Hop
from whocut.path.connection import Connection


class Transport(asyncio.Transport):
    """A transport as Python 3.11.2 has it: it begins to read after `connection_made`, whatever that has said."""

    def __init__(self, protocol: asyncio.BufferedProtocol) -> None:
        super().__init__()
        self._protocol = protocol
        self.reads = False  # whether the loop watches the socket
        self._paused = False
        protocol.connection_made(self)
        self.reads = True  # the fault: it does not look at `_paused`

    def pause_reading(self) -> None:
        """As asyncio's: told twice, it does nothing."""
        if not self._paused:
            self._paused = True
            self.reads = False

    def resume_reading(self) -> None:
        """The same."""
        if self._paused:
            self._paused = False
            self.reads = True

    def is_closing(self) -> bool:
        """Not yet."""
        return False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Not of interest."""

    def arrive(self, data: bytes) -> None:
        """The socket is readable: what the loop does if it watches it."""
        if self.reads:
            self._protocol.get_buffer(-1)[: len(data)] = data  # type: ignore[index]  # a memoryview
            self._protocol.buffer_updated(len(data))


class Slow(Connection):
    """A side that takes nothing from the start."""

    def __init__(self, house: Any) -> None:
        super().__init__(house)
        self.got: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hold the peer back at once."""
        super().connection_made(transport)
        self.pause_reading()

    def buffer_updated(self, count: int) -> None:
        """Keep what has come."""
        self.got.append(bytes(self.house.inbox[:count]))

    def drained(self) -> None:
        """Nothing is held back by this side."""


def test_a_pause_in_connection_made_holds() -> None:
    """Python 3.11.2 undoes it; one read comes through, is kept, and is the last until reading is wanted."""

    async def main() -> tuple[list[bytes], bool, list[bytes]]:
        hop = Hop(Layer(name="hop", title="hop"), upstream=("127.0.0.1", 1), clock=virtual_clock())
        side = Slow(hop)
        transport = Transport(side)
        for piece in (b"a", b"b", b"c"):
            transport.arrive(piece)
        held, reads = list(side.got), transport.reads
        side.resume_reading()
        transport.arrive(b"d")
        return held, reads, side.got

    held, reads, got = run_virtual(main())

    assert (held, reads) == ([b"a"], False)
    assert got == [b"a", b"d"]
