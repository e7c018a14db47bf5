"""An address to send requests on to, as people write it: ``https://api.example/v1``."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import re
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from whocut.errors import BadFile, BadInput, CouldNotRun

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_PORTS = {"http": 80, "https": 443}
# A `Host` header: RFC 9110, 7.2.
_HOST = re.compile(r"(?:\[(?P<six>[^\[\]]+)\]|(?P<name>[^\[\]:]+))(?::[0-9]{1,5})?")
_CA_VARIABLE = "SSL_CERT_FILE"
_KNOCK_REAL_S = 15.0


@dataclass(frozen=True, slots=True)
class Target:
    """A host, how it is spoken to, and the path under which its API lies; `trust` is a file of certificates."""

    scheme: str
    host: str
    port: int
    path: str
    trust: Path | None = None

    @classmethod
    def parse(cls, written: str, *, trust: Path | None = None, plain: bool = False) -> Self:
        """Read a URL. `plain`: a key may go in the clear to an address of a private network.

        Raises:
            BadInput: it is invalid, it carries a secret, or a key would go over the network in the clear.
        """
        try:
            url = urlsplit(written)
            port = url.port
        except ValueError as error:
            raise BadInput(f"'{written}' is no URL: {error}", field="to") from None
        if url.scheme not in _PORTS or not url.hostname:
            raise BadInput(
                f"'{written}' is no URL; write it whole, like https://api.openai.com/v1", field="to"
            )
        if url.username or url.password or url.query or url.fragment:
            raise BadInput(
                "a URL with a user, a query or a fragment is not taken; it may hold a secret", field="to"
            )
        host = url.hostname.lower()
        found = cls(url.scheme, host, port or _PORTS[url.scheme], url.path.rstrip("/"), trust)
        if url.scheme == "http" and not found.loopback:
            found.refuse_in_the_clear(plain=plain)
        return found

    def refuse_in_the_clear(self, *, plain: bool) -> None:
        """Whether a key may go there without TLS: inside a private network, and only where that is wanted.

        Raises:
            BadInput: it may not.
        """
        if not plain:
            hint = ", or --plain inside a private network" if is_private(self.host) else ""
            raise BadInput(f"the key would go to {self.host} in the clear; use https{hint}", field="to")
        if not is_private(self.host):
            raise BadInput(
                f"{self.host} is not an address of a private network. Use https; --plain is for private networks.",
                field="to",
            )

    @property
    def authority(self) -> str:
        """The `Host` it expects."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The base URL for a client that dials it directly."""
        return f"{self.scheme}://{self.authority}{self.path}"

    @property
    def loopback(self) -> bool:
        """Whether it is this machine."""
        return is_loopback(self.host)

    @property
    def address(self) -> tuple[str, int]:
        """What to dial."""
        return self.host, self.port

    def context(self) -> ssl.SSLContext | None:
        """How its certificate is checked: against `trust`, ``SSL_CERT_FILE``, or the system's; None without TLS.

        Raises:
            BadFile: the certificates cannot be read.
        """
        if self.scheme == "http":
            return None
        named = self.trust or os.environ.get(_CA_VARIABLE)
        try:
            context = ssl.create_default_context(cafile=named)
        except OSError as error:
            raise BadFile(str(named), f"no certificates can be read: {error.strerror or error}") from None
        context.set_alpn_protocols(["http/1.1"])
        return context

    async def knock(self) -> None:
        """Connect, and shake hands where there is TLS, and leave: nothing is asked.

        Raises:
            CouldNotRun: it is not there, or its certificate is not to be trusted.
        """
        context = self.context()
        try:
            async with asyncio.timeout(_KNOCK_REAL_S):
                _, writer = await asyncio.open_connection(
                    *self.address, ssl=context, server_hostname=self.host if context else None
                )
        except TimeoutError:
            raise CouldNotRun(f"{self.authority} cannot be reached within {_KNOCK_REAL_S:.0f} s") from None
        except ssl.SSLCertVerificationError as error:
            raise CouldNotRun(
                f"the certificate of {self.authority} is not to be trusted: {error.verify_message}; name the right "
                f"authority with --ca FILE or {_CA_VARIABLE}"
            ) from None
        except OSError as error:
            raise CouldNotRun(f"{self.authority} cannot be reached: {error.strerror or error}") from None
        writer.transport.abort()


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def means_this_machine(hosts: Sequence[str]) -> bool:
    """Whether the `Host` headers of a request are one, and name this machine: a page elsewhere cannot."""
    if len(hosts) != 1:
        return False
    written = _HOST.fullmatch(hosts[0])
    return written is not None and is_loopback((written["six"] or written["name"]).lower())


def is_private(host: str) -> bool:
    """Whether all addresses of a host are of private networks, or of this machine."""
    try:
        found = {str(address[4][0]) for address in socket.getaddrinfo(host, None)}
        addresses = [ipaddress.ip_address(address.partition("%")[0]) for address in found]
    except (OSError, ValueError):
        return False
    return bool(addresses) and all(
        address.is_loopback or (address.is_private and not address.is_unspecified) for address in addresses
    )
