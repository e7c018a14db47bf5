"""A plain proxy that writes down what passes: it knows sockets and a request's first line, and nothing of ours.

It is the second opinion on every count and wait of a score card.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Exchange:
    """One request on one connection: its first line, when it was whole, when the last byte of its answer came."""

    line: str
    asked_s: float
    ended_s: float = 0.0
    down: bytearray = field(default_factory=bytearray)

    @property
    def body_bytes(self) -> int:
        """How much came behind the answer's head."""
        return len(self.down.partition(b"\r\n\r\n")[2])


@dataclass(slots=True)
class Recorder:
    """Listens on a free port of the loopback and hands everything on to another one."""

    port: int
    exchanges: list[Exchange] = field(default_factory=list)
    _listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    def __post_init__(self) -> None:
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        """Where a client dials."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"

    @property
    def posts(self) -> list[Exchange]:
        """The requests for images, in their order."""
        posts = [one for one in self.exchanges if one.line.startswith("POST /v1/images/")]
        return sorted(posts, key=lambda one: one.asked_s)

    @property
    def waits_s(self) -> list[float]:
        """From the end of each answer to the next request."""
        return [new.asked_s - old.ended_s for old, new in zip(self.posts, self.posts[1:], strict=False)]

    def close(self) -> None:
        """Take nobody any more."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass_on, args=(near,), daemon=True).start()

    def _pass_on(self, near: socket.socket) -> None:
        with near, socket.create_connection(("127.0.0.1", self.port)) as far:
            now: Exchange | None = None
            while True:
                for ready in select.select([near, far], [], [])[0]:
                    try:
                        data = ready.recv(1 << 16)
                    except ConnectionResetError:
                        _reset(near if ready is far else far)
                        data = b""
                    if not data:
                        if now is not None and not now.ended_s:
                            now.ended_s = time.monotonic()  # noqa: TID251  # it keeps its own time
                        return
                    (far if ready is near else near).sendall(data)
                    instant_s = time.monotonic()  # noqa: TID251  # as above
                    if ready is near and data.startswith((b"POST ", b"GET ")):
                        now = Exchange(data.partition(b"\r\n")[0].decode(), instant_s)
                        self.exchanges.append(now)
                    elif ready is near and now is not None:
                        now.asked_s = instant_s
                    elif now is not None:
                        now.ended_s = instant_s
                        now.down += data


def _reset(end: socket.socket) -> None:
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
