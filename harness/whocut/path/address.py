"""Addresses between machines, as people write them: where a master listens, and where a worker finds it."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from whocut.errors import BadInput

MASTER_PORT: Final = 5557  # Locust's own
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}|[0-9A-Fa-f:.]{2,45}(%[\w.-]{1,15})?")


def parse_listen(written: str) -> tuple[str, int]:
    """Where a master listens: an address of this machine, and a port.

    Raises:
        BadInput: it is no address.
    """
    host, port = _host_and_port(written, "listen")
    try:
        return str(ipaddress.ip_address(host)), port
    except ValueError:
        raise BadInput(
            f"'{written}' is no address. Write one like 10.0.0.1:{MASTER_PORT}.", field="listen"
        ) from None


def parse_master(written: str) -> tuple[str, int]:
    """Where a worker's master is: an address or a name, and a port.

    Raises:
        BadInput: it is neither.
    """
    host, port = _host_and_port(written, "master")
    if not _NAME.fullmatch(host):
        raise BadInput(
            f"'{written}' is no address of a master. Write one like 10.0.0.1:{MASTER_PORT}.", field="master"
        )
    return host, port


def _host_and_port(written: str, field: str) -> tuple[str, int]:
    """Read ``10.0.0.1``, ``10.0.0.1:5557``, ``[fd00::1]:5557``, ``fd00::1``."""
    host, port = written, str(MASTER_PORT)
    if written.startswith("["):
        host, _, after = written[1:].partition("]")
        port = after.removeprefix(":") if after else port
    elif written.count(":") == 1:
        host, _, port = written.partition(":")
    if not (port.isascii() and port.isdecimal() and 0 < int(port) <= 65535):
        raise BadInput(f"'{port}' is no port. Write a number from 1 to 65535.", field=field)
    return host, int(port)


def address_of(host: str, port: int) -> str:
    """As a person writes it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
