"""No test reaches the outside by accident: while a fixture of ours is alive, only the loopback can be dialled.

What is raised is pytest's own failure, which no client takes for an error of the network and tries again.
"""

from __future__ import annotations

import ipaddress
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCAL_NAMES: Final = frozenset({"localhost", "", "0.0.0.0", "::"})  # noqa: S104  # to listen, not to dial


@contextmanager
def loopback_only(allow: frozenset[str] = frozenset()) -> Iterator[list[str]]:
    """Let nothing be dialled, and no name be looked up, beyond this machine; yields what was tried."""
    tried: list[str] = []
    connect, connect_ex, look_up = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def checked(where: str, host: object) -> None:
        __tracebackhide__ = True
        if _local(host) or host in allow:
            return
        sentence = (
            f"this test dialled {where}: while a whocut fixture is in use only this machine can be reached. "
            "Give the client base_url=whocut_chain.base_url"
        )
        tried.append(sentence)
        pytest.fail(sentence, pytrace=False)

    def guarded_connect(self: socket.socket, address: Any) -> None:
        __tracebackhide__ = True
        if isinstance(address, tuple):
            checked(f"{address[0]}:{address[1]}", address[0])
        return connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        __tracebackhide__ = True
        if isinstance(address, tuple):
            checked(f"{address[0]}:{address[1]}", address[0])
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


def _local(host: object) -> bool:
    if host is None or host in _LOCAL_NAMES:
        return True
    try:
        return ipaddress.ip_address(str(host).partition("%")[0]).is_loopback
    except ValueError:
        return False
