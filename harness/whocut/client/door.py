"""Through the door of a chain on another machine: the proof of the token, as each connection is made.

Its place is below the HTTP library's pool, which takes the backend that makes its connections. So neither a
request nor the SDK knows of it: they dial the loopback, as they do on the machine of the run, and the connection
goes to the door instead. It takes part of the time of the client's own `connect` timer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from whocut.client.transports import wire
from whocut.token import hello, is_nonce, new_nonce, proof

if TYPE_CHECKING:
    from collections.abc import Mapping

LOOPBACK: Final = "127.0.0.1"
_LINE: Final = 33  # a nonce and its end
_PATIENCE_REAL_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class WayIn:
    """The doors' key, the machine they are on, and the port of each, by the port of what is behind it there."""

    key: bytes
    host: str
    doors: Mapping[int, int]


class _Backend:
    """What makes connections; those to what is behind a door go there, and begin with the proof."""

    def __init__(self, inner: Any, way_in: WayIn) -> None:
        self._inner = inner
        self._way_in = way_in

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, **more: Any) -> Any:
        door = self._way_in.doors.get(port) if host == LOOPBACK else None
        if door is None:
            return self._inner.connect_tcp(host, port, timeout=timeout, **more)
        stream = self._inner.connect_tcp(self._way_in.host, door, timeout=timeout, **more)
        try:
            self._prove(stream, timeout)
        except BaseException:
            stream.close()
            raise
        return stream

    def _prove(self, stream: Any, timeout: float | None) -> None:
        mine, patience_s = new_nonce(), timeout or _PATIENCE_REAL_S
        stream.write(hello(mine), timeout=patience_s)
        answer = b""
        while len(answer) < _LINE:
            came = stream.read(_LINE - len(answer), timeout=patience_s)
            if not came:
                break
            answer += came
        if not (answer.endswith(b"\n") and is_nonce(answer[:-1])):
            raise wire.ConnectError("the chain's door did not answer as one of this run does")
        stream.write(proof(self._way_in.key, mine, answer[:-1]) + b"\n", timeout=patience_s)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def through(pool: wire.HTTPTransport, way_in: WayIn) -> wire.HTTPTransport:
    """The same pool, whose new connections prove the token at the door."""
    inner: Any = pool._pool  # noqa: SLF001  # the library takes a backend for its pool, and its transport hands none on
    inner._network_backend = _Backend(inner._network_backend, way_in)  # noqa: SLF001  # as above
    return pool
