"""A port for a program that cannot choose one itself: chosen here, passed to it, listened on by it."""

from __future__ import annotations

import socket
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def held_port() -> Iterator[int]:
    """A free port of the loopback, which no other program gets by chance as long as this lasts.

    A socket that is bound there and does not listen keeps the kernel from handing the port out, to listeners and to
    callers; a listener that names it, as servers do with SO_REUSEADDR, may have it. So Linux has it; elsewhere a
    bound socket would keep the listener off too, and the port is let go at once.
    """
    with socket.socket() as holding:
        holding.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holding.bind(("127.0.0.1", 0))
        port: int = holding.getsockname()[1]
        if sys.platform != "linux":
            holding.close()
        yield port
