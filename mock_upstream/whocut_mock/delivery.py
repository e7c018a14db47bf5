"""Whether the caller took what we wrote: "sent" is not "received".

A kernel swallows megabytes that no program reads. So the listening socket keeps at most a few kilobytes that it has
not yet put on the wire (TCP_NOTSENT_LOWAT; as strict as a small SO_SNDBUF, and measured a third quicker). An answer
is delivered when none of it is left there: then the peer's kernel holds it. What the peer's program does with its
last 64 KB in there cannot be known outside of it.

No clock is asked and nothing is polled, so this is exact in virtual time too: the kernel says by an event when its
queue is empty.
"""

import array
import asyncio
import fcntl
import os
import socket
import sys

TAKEN = "taken"  # Linux: the kernel has put every byte on the wire and the connection is open
ASSUMED = "assumed"  # elsewhere: every byte was handed to our own kernel, and no more is known

_SIOCOUTQNSD = 0x894B  # linux/sockios.h: bytes in the output queue that were not sent yet
_TCP_STATE_CLOSED = 7  # linux/tcp_states.h TCP_CLOSE: where a reset leaves the socket


class CallerGone(ConnectionError):  # noqa: N818 - a fact about the caller, not an error of ours
    """The peer left before it had taken everything."""


def prepare_listener(sock: socket.socket) -> None:
    """Set on a listening socket what its connections inherit."""
    lowat = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    if lowat is not None:
        sock.setsockopt(socket.IPPROTO_TCP, lowat, 1)


async def taken(transport: asyncio.Transport) -> str:
    """Return the evidence once the peer has taken everything; raise `CallerGone` if it leaves first."""
    sock: socket.socket | None = transport.get_extra_info("socket")
    if sys.platform != "linux" or sock is None:
        return ASSUMED
    if transport.is_closing():
        raise CallerGone("the connection was lost while the answer was being written")
    if sock.fileno() < 0:
        return ASSUMED  # a transport in memory: there is no kernel to be asked
    if transport.get_write_buffer_size() == 0 and _unsent_bytes(sock.fileno()) == 0:
        return TAKEN
    return await _when_sent(transport, sock.fileno())


async def _when_sent(transport: asyncio.Transport, fd: int) -> str:
    """Wait on a duplicate, because the transport owns the descriptor and its events."""
    loop = asyncio.get_running_loop()
    copy = os.dup(fd)
    writable = asyncio.Event()
    loop.add_writer(copy, writable.set)
    try:
        while True:
            await writable.wait()
            if _tcp_state(copy) == _TCP_STATE_CLOSED:
                raise CallerGone("the connection was reset before its last byte was taken")
            if transport.get_write_buffer_size() == 0 and _unsent_bytes(copy) == 0:
                return TAKEN
            writable.clear()
    except asyncio.CancelledError:
        # The peer may have taken the rest and closed in one breath; then both events are in one turn.
        if transport.get_write_buffer_size() == 0 and _left_with_everything(copy):
            return TAKEN
        raise
    finally:
        loop.remove_writer(copy)
        os.close(copy)


def _left_with_everything(fd: int) -> bool:
    return _unsent_bytes(fd) == 0 and _tcp_state(fd) != _TCP_STATE_CLOSED


def _unsent_bytes(fd: int) -> int:
    count = array.array("i", [0])
    fcntl.ioctl(fd, _SIOCOUTQNSD, count, True)  # noqa: FBT003 - ioctl's own signature
    return count[0]


def _tcp_state(fd: int) -> int:
    with socket.socket(fileno=os.dup(fd)) as probe:
        return probe.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
