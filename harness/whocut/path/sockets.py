"""What asyncio's transports do not do by themselves: end with a reset, and say when bytes are the kernel's."""

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


def pending_error(transport: asyncio.BaseTransport) -> bool:
    """Whether the kernel knows of an error that the transport has not met: after a FIN nothing is read any more."""
    sock = transport.get_extra_info("socket")
    if sock is None or not hasattr(sock, "getsockopt"):
        return False
    return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))


def hand_over_at_once(transport: asyncio.WriteTransport) -> None:
    """Make "paused" mean "not yet in the kernel's hands".

    TLS transports, asyncio's and uvloop's, compare with `>=`: a limit of 0 makes an empty buffer a full one, and
    each write changes from paused to not and back. They hand ciphertext to a transport of their own, whose 64 KiB
    are not counted.
    """
    secured = transport.get_extra_info("sslcontext") is not None
    transport.set_write_buffer_limits(high=1 if secured else 0, low=0)
