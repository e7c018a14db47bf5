"""Clients of a virtual stage that are not on its loop: in a thread of the test's, or on another plugin's loop.

One in a thread is answered: while it waits for the stage, virtual time jumps. One that dials while the loop rests
would wait for ever, and gets an error at once.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    import socket

    from whocut.stage.runners import VirtualRunner

_PATIENCE_REAL_S: Final = 1.0
# More than any generation takes, and any client waits for one.
_LONG_S: Final = 700.0
_RESTS: Final = (
    "this test dialled the chain from an event loop that is not the test's own, as a fixture of pytest-asyncio, "
    "anyio, trio or unittest does: virtual time does not move there. Ask in the test itself, or use tier='scaled'"
)
_STILL: Final = (
    "a client in a thread waits for an answer, and in virtual time none is due: its own timers are real. Use the "
    "async client, or tier='scaled'"
)


class Outsiders:
    """What a loop of virtual time asks about clients outside it."""

    def __init__(self, runner: VirtualRunner) -> None:
        self._runner = runner
        self._dialling: list[socket.socket] = []
        self._open: frozenset[int] = frozenset()
        self._since_s = 0.0
        self._waited_real_s = 0.0
        self.came = False

    def dials(self, dialling: socket.socket, port: int) -> str | None:
        """Note a socket that dials; a sentence if the stage cannot answer it."""
        try:
            here: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        loop = self._runner.loop
        if here is loop or not self._runner.stage.serves(port):
            return None
        if not loop.is_running():
            return _RESTS
        self._dialling.append(dialling)
        self.came = True
        return None

    def waits(self) -> bool:
        """Whether one of them has asked and is not answered yet."""
        tap = self._runner.stage.tap
        now_open = frozenset(id(one) for one in tap.seen if not one.over)
        if now_open != self._open:
            self._open, self._since_s, self._waited_real_s = now_open, self._runner.loop.time(), 0.0
        return bool(now_open) and bool(self._ports() & tap.callers)

    def waited(self, real_s: float, *, due: bool) -> None:
        """Fails after a second in which nothing came, and nothing is due any more or for minutes."""
        __tracebackhide__ = True
        self._waited_real_s += real_s
        long = not due or self._runner.loop.time() - self._since_s > _LONG_S
        if long and self._waited_real_s > _PATIENCE_REAL_S:
            self._waited_real_s = 0.0
            self._let_go()
            pytest.fail(_STILL, pytrace=False)

    def _ports(self) -> set[int]:
        self._dialling = [one for one in self._dialling if one.fileno() >= 0]
        return {one.getsockname()[1] for one in self._dialling}

    def _let_go(self) -> None:
        """End the connections, so that no thread is left waiting."""
        for one in self._dialling:
            one.shutdown(2)
