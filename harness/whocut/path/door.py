"""The door of a chain on an address other than the loopback: a caller that proves the token is the chain's.

A stranger's bytes reach no parser of HTTP: it has a few lines and a few seconds for its proof (`whocut.token`).
Behind it the connection is handed to the outermost layer as it is, so that every end of it stays what it was.
"""

from __future__ import annotations

import asyncio
import errno
from typing import TYPE_CHECKING, Final, cast

from whocut.errors import BadInput, CouldNotRun, PortTaken
from whocut.token import MOST_BYTES, new_nonce, nonce_of_hello, proven

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_BACKLOG: Final = 4096
_PATIENCE_REAL_S: Final = 10.0
_MOST_WAITING: Final = 1_024  # callers whose proof has not come yet; one more is sent away
_SENTENCE: Final = (
    b"this address takes processes of one run, with its token. Start them with: whocut worker\n"
)
_REFUSAL: Final = (
    b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(_SENTENCE), _SENTENCE)
)


class Door:
    """Listens beside a chain's own port; `behind` makes what a proven caller talks to."""

    def __init__(self, key: bytes, behind: Callable[[], asyncio.BufferedProtocol]) -> None:
        self.key = key
        self.behind = behind
        self.refused = 0
        self.waiting: set[Porter] = set()
        self._server: asyncio.Server | None = None
        self._behind_goes: Callable[[], Awaitable[None]] | None = None

    def on_close(self, behind_goes: Callable[[], Awaitable[None]]) -> None:
        """What is behind it is the door's own, and goes with it."""
        self._behind_goes = behind_goes

    @property
    def port(self) -> int:
        """Where callers from other machines dial."""
        assert self._server is not None, "the door is not open yet"
        return int(self._server.sockets[0].getsockname()[1])

    async def open(self, host: str, port: int = 0) -> None:
        """Begin to take callers.

        Raises:
            BadInput: `host` is no address of this machine.
            PortTaken: another program listens there.
            CouldNotRun: the system refuses it for another reason.
        """
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(lambda: Porter(self), host, port, backlog=_BACKLOG)
        except OSError as error:
            raise refusal_of(error, host, port) from None

    async def close(self) -> None:
        """Take no more callers; one that is inside is the chain's."""
        if self._server is not None:
            self._server.close()
        for porter in [*self.waiting]:
            porter.drop()
        if self._behind_goes is not None:
            await self._behind_goes()


def refusal_of(error: OSError, host: str, port: int) -> CouldNotRun | BadInput:
    """Why nothing can listen there, in a sentence."""
    if error.errno == errno.EADDRINUSE:
        return PortTaken(host, port)
    if error.errno == errno.EADDRNOTAVAIL or error.errno is None or error.errno < 0:
        return BadInput(
            f"{host} is no address of this machine. Name one that `ip address` shows.", field="listen"
        )
    return CouldNotRun(f"cannot listen on {host} port {port}: {error.strerror or error}")


class Porter(asyncio.BufferedProtocol):
    """One caller before its proof; afterwards the connection belongs to what is behind."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._inbox = bytearray(MOST_BYTES)
        self._came = b""
        self._caller: bytes | None = None
        self._mine = new_nonce()
        self._transport: asyncio.Transport | None = None
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody has come."""
        self._transport = cast("asyncio.Transport", transport)
        if len(self._door.waiting) >= _MOST_WAITING:
            self._transport.abort()
            return
        self._door.waiting.add(self)
        self._patience = asyncio.get_running_loop().call_later(_PATIENCE_REAL_S, self.drop)

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002  # never more than this
        """Where the next bytes are read into."""
        return self._inbox

    def buffer_updated(self, count: int) -> None:
        """A part of the handshake, and perhaps of what follows it."""
        self._came += bytes(self._inbox[:count])
        while (end := self._came.find(b"\n")) >= 0:
            line, self._came = self._came[:end], self._came[end + 1 :]
            if self._caller is None:
                self._caller = nonce_of_hello(line)
                if self._caller is None:
                    self._refuse()
                    return
                assert self._transport is not None
                self._transport.write(self._mine + b"\n")
            elif proven(self._door.key, self._caller, self._mine, line):
                self._hand_over()
                return
            else:
                self._refuse()
                return
        if len(self._came) >= MOST_BYTES // 2:
            self._refuse()

    def eof_received(self) -> bool:
        """It left without a proof."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone."""
        del exc
        self._leave()

    def drop(self) -> None:
        """It took too long, or the door is closed."""
        if self._transport is not None:
            self._transport.abort()

    def _leave(self) -> None:
        self._door.waiting.discard(self)
        if self._patience is not None:
            self._patience.cancel()

    def _refuse(self) -> None:
        self._door.refused += 1
        self._leave()
        assert self._transport is not None
        self._transport.write(_REFUSAL)
        self._transport.close()

    def _hand_over(self) -> None:
        self._leave()
        transport, rest = self._transport, self._came
        assert transport is not None
        inside = self._door.behind()
        transport.set_protocol(inside)
        inside.connection_made(transport)
        while rest and not transport.is_closing():
            room = memoryview(inside.get_buffer(len(rest)))
            count = min(len(rest), len(room))
            room[:count] = rest[:count]
            inside.buffer_updated(count)
            rest = rest[count:]
