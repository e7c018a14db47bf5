"""The guard of the service: this machine's names only, no page of another origin, and a token."""

from __future__ import annotations

import hmac
import os
import secrets
from typing import TYPE_CHECKING, Final

from whocut.errors import CouldNotRun
from whocut.path.target import is_loopback

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from aiohttp import web

COOKIE: Final = "whocut_jobs"
_FROM_HERE: Final = frozenset({"", "none", "same-origin"})


class Refused(Exception):  # noqa: N818  # an answer, no mistake of the program
    """A request that the guard does not let in."""

    def __init__(self, status: int, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code


def token_of(store: Path) -> str:
    """The token of a store, in a file of its own that only its owner can read; made once.

    Raises:
        CouldNotRun: the file cannot be written or read.
    """
    file = store.with_name(f"{store.name}.token")
    try:
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        found = file.read_text(encoding="ascii").strip()
        if len(found) >= 20:
            return found
        raise CouldNotRun(f"the token's file {file} holds no token; delete it") from None
    except OSError as error:
        raise CouldNotRun(f"the token's file {file} cannot be written: {error.strerror}") from None
    token = secrets.token_urlsafe(24)
    with os.fdopen(fd, "w", encoding="ascii") as out:
        out.write(token)
    return token


def check(request: web.Request, token: str) -> None:
    """Let a request in that means this machine, comes from no other page, and knows the token.

    Raises:
        Refused: it does not.
    """
    check_origin(request)
    given = _given(request)
    if given is None or not same(given, token):
        raise Refused(
            401, "no_token", "the token is missing or wrong; send it as Authorization: Bearer TOKEN"
        )


def check_origin(request: web.Request) -> None:
    """Let in what means this machine and comes from no page of another origin.

    Raises:
        Refused: it does not.
    """
    hosts = request.headers.getall("Host", [])
    check_host(hosts)
    origin = request.headers.get("Origin")
    if origin is not None and origin != f"http://{hosts[0]}":
        raise Refused(403, "foreign_origin", "the request comes from a page of another origin")
    if request.headers.get("Sec-Fetch-Site", "") not in _FROM_HERE:
        raise Refused(403, "foreign_origin", "the request comes from a page of another origin")


def check_host(hosts: Sequence[str]) -> None:
    """Let in what means this machine.

    Raises:
        Refused: it does not.
    """
    if len(hosts) != 1 or not is_loopback(_name(hosts[0])):
        raise Refused(421, "unknown_host", "the Host is not this machine; use the address of the ready line")


def same(given: str, token: str) -> bool:
    """Whether this is the token, told in the same time whatever it is."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())


def _name(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


def _given(request: web.Request) -> str | None:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return given.strip()
    return request.cookies.get(COOKIE)
