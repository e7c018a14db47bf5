"""The guard of the service: this machine's names only, no page of another origin, and a token.

The token is in a file that only its owner can read, and is never printed. A browser gets it as a cookie: by a link
that works once, or by the token itself in the page's own form.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from whocut.entry import Entry, new_token
from whocut.errors import CouldNotRun
from whocut.path.target import means_this_machine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web

_FROM_HERE: Final = frozenset({"", "none", "same-origin"})
_SHORTEST, _LONGEST = 20, 1_000  # characters of a token, and of what is read of its file


class Refused(Exception):  # noqa: N818  # an answer, no mistake of the program
    """A request that the guard does not let in."""

    def __init__(self, status: int, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code


def token_file(store: Path) -> Path:
    """The file of a store's token."""
    return store.with_name(f"{store.name}.token")


def token_of(store: Path) -> str:
    """The token of a store, in a file of its own that only its owner can read; made once, whole or not at all.

    Raises:
        CouldNotRun: the file cannot be written or read, or holds something else.
    """
    file = token_file(store)
    try:
        found = _read(file)
        if not found:
            found = new_token()
            _write(file, found)
    except OSError as error:
        raise CouldNotRun(f"the token's file {file} cannot be used: {error.strerror}") from None
    if len(found) < _SHORTEST:
        raise CouldNotRun(f"the token's file holds no token: {file}. Delete it, and start again.")
    return found


def _read(file: Path) -> str:
    """What the file holds; nothing where there is no file. A link is not followed."""
    try:
        fd = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return ""
    with os.fdopen(fd, encoding="ascii", errors="replace") as held:
        os.fchmod(fd, 0o600)
        return held.read(_LONGEST).strip()


def _write(file: Path, token: str) -> None:
    """A kill at any instant leaves the whole token or no file of its name."""
    fd, beside = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(fd, "w", encoding="ascii") as out:
            out.write(f"{token}\n")
            out.flush()
            os.fsync(out.fileno())
        Path(beside).replace(file)
    except BaseException:
        with suppress(OSError):
            Path(beside).unlink()
        raise


class Door(Entry):
    """The service's entry: what it does not let in is refused with its sentence."""

    def __init__(self, token: str) -> None:
        super().__init__(token, "jobs")

    def enter(self, code: str) -> None:
        """Let a browser in by the link of the ready line.

        Raises:
            Refused: the code is wrong, or was used before.
        """
        if not self.use(code):
            raise Refused(
                401, "no_token", "the link works once and was used; open the page, and give the token"
            )

    def check(self, request: web.Request) -> None:
        """Let a request in that means this machine, comes from no other page, and knows the token.

        Raises:
            Refused: it does not.
        """
        check_origin(request)
        if not self.lets_in(request.headers.get("Authorization"), request.cookies.get(self.cookie)):
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
    if not means_this_machine(hosts):
        raise Refused(421, "unknown_host", "the Host is not this machine; use the address of the ready line")
