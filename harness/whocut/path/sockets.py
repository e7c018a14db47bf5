"""Two ways to end a connection that asyncio does not tell apart: with a reset, and without one."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

_LINGER_NOT = struct.pack("ii", 1, 0)


def end_with_reset(transport: asyncio.Transport) -> None:
    """RST: SO_LINGER of zero makes the kernel throw away what is unsent and reset."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    transport.abort()
