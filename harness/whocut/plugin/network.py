"""No test reaches the outside by accident: while a fixture of ours is alive, only the loopback can be dialled.

What is raised is pytest's own failure, which no client takes for an error of the network and tries again.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whocut.plugin.outsiders import Outsiders

_LOCAL_NAMES: Final = frozenset({"localhost", "", "0.0.0.0", "::"})  # noqa: S104  # to listen, not to dial


@contextmanager
def loopback_only(virtual: Outsiders | None = None) -> Iterator[list[str]]:
    """Let nothing be dialled, and no name be looked up, beyond this machine; yields what was tried.

    In `virtual` time a connection that blocks the loop's own thread, or comes from another loop while this one
    rests, is refused too: it would never be answered. One from another thread is an outsider's.
    """
    tried: list[str] = []
    connect, connect_ex, look_up = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def checked(where: str, host: object, dialling: socket.socket | None = None) -> None:
        __tracebackhide__ = True
        if _local(host):
            return
        sentence = (
            f"this test dialled {where}: while a whocut fixture is in use only this machine can be reached. "
            "Give the client base_url=whocut_chain.base_url"
        )
        tried.append(sentence)
        if dialling is not None:
            dialling.close()
        pytest.fail(sentence, pytrace=False)

    def guarded_connect(self: socket.socket, address: Any) -> None:
        __tracebackhide__ = True
        if virtual is not None and self.gettimeout() != 0 and isinstance(address, tuple) and _in_a_loop():
            self.close()  # its maker expects an OSError, and closes it only then
            pytest.fail(
                "this test dialled with a client that blocks, and in virtual time that stops everybody who could "
                "answer: use the async client (openai.AsyncOpenAI), or tier='scaled' and a plain function",
                pytrace=False,
            )
        if isinstance(address, tuple):
            checked(f"{address[0]}:{address[1]}", address[0], self)
            if virtual is not None:
                refusal = virtual.dials(self, address[1])
                if refusal is not None:
                    tried.append(refusal)
                    self.close()
                    pytest.fail(refusal, pytrace=False)
        return connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        __tracebackhide__ = True
        if isinstance(address, tuple):
            checked(f"{address[0]}:{address[1]}", address[0], self)
        return connect_ex(self, address)

    def guarded_look_up(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        name = host.decode() if isinstance(host, bytes) else host
        checked(f"{name}:{port}", name)
        return look_up(host, port, *args, **kwargs)

    socket.socket.connect = guarded_connect  # type: ignore[method-assign, assignment]
    socket.socket.connect_ex = guarded_connect_ex  # type: ignore[method-assign, assignment]
    socket.getaddrinfo = guarded_look_up
    try:
        yield tried
    finally:
        socket.socket.connect = connect  # type: ignore[method-assign]
        socket.socket.connect_ex = connect_ex  # type: ignore[method-assign]
        socket.getaddrinfo = look_up


def _in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _local(host: object) -> bool:
    if host is None or host in _LOCAL_NAMES:
        return True
    try:
        return ipaddress.ip_address(str(host).partition("%")[0]).is_loopback
    except ValueError:
        return False
