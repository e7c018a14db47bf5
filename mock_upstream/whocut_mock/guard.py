"""Who may speak to a server of the mock: a Host that is this machine, and on the control a token besides.

A page of another origin reaches the loopback too, by a name of its own that points there; only its Host header
tells. The control is a socket of its own, so no chain leads to it, and its token is in no address.
"""

import hmac
import ipaddress
import secrets
from collections.abc import Collection

from aiohttp import web

from whocut_mock.errors import ApiError

TOKEN_HEADER = "x-mock-token"  # noqa: S105 - the name of the header, not a token


def new_token() -> str:
    """A token for one run."""
    return secrets.token_urlsafe(24)


def check_host(request: web.Request, hosts: Collection[str]) -> None:
    """Refuse a request that was meant for another name; one without a Host was meant for none.

    Raises:
        ApiError: the Host is neither a loopback address nor one of `hosts`.
    """
    strange = [name for name in request.headers.getall("Host", []) if not _is_ours(_host_of(name), hosts)]
    if strange:
        raise ApiError(
            421,
            f"The Host header names another machine: '{strange[0][:100]}'. Call the mock by its loopback"
            " address, or name the host in its settings under 'hosts'.",
            type="mock_error",
            code="unknown_host",
            param="Host",
        )


def check_token(request: web.Request, token: str) -> None:
    """Refuse a request to the control without its token.

    Raises:
        ApiError: there is no token, or another one.
    """
    given = request.headers.get(TOKEN_HEADER, "")
    if not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), token.encode()):
        raise ApiError(
            403,
            f"The control's token is missing or wrong. Send the one of the ready line as {TOKEN_HEADER}.",
            type="mock_error",
            code="wrong_token",
            param=TOKEN_HEADER,
        )


def _host_of(named: str) -> str:
    """The host without its port, in lower case and without the brackets of an IPv6 address."""
    named = named.strip().lower()
    if named.startswith("["):
        return named[1:].partition("]")[0]
    return named.partition(":")[0].removesuffix(".")


def _is_ours(host: str, hosts: Collection[str]) -> bool:
    if host == "localhost" or host in hosts:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
