"""The token between processes of one run on several machines: where it comes from, and how it is proven unsaid.

It comes from ``WHOCUT_TOKEN``, or from the file that ``WHOCUT_TOKEN_FILE`` names. It never crosses a network: keys
are made of it, one for each purpose. A caller of the chain's door proves that it has the key in three lines::

    caller   WHOCUT/1 <its nonce>
    door     <the door's nonce>
    caller   <HMAC-SHA256 over both>, and then whatever it has to say

Nonces are fresh, so that what is overheard opens nothing. They are 32 hex digits, the proof is 64.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Final

from whocut.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE: Final = "WHOCUT_TOKEN"
FILE_VARIABLE: Final = "WHOCUT_TOKEN_FILE"
MOST_BYTES: Final = 256  # of all that a caller may say before its proof has been read
_SHORTEST: Final = 20  # characters; whoever overhears a proof can try short ones at leisure
_LONGEST: Final = 512
_HELLO: Final = re.compile(rb"WHOCUT/1 ([0-9a-f]{32})")
_NONCE: Final = re.compile(rb"[0-9a-f]{32}")


def new_token() -> str:
    """A token that was never there before."""
    return secrets.token_urlsafe(32)


def told_token(environ: Mapping[str, str], file: Path | None = None) -> str | None:
    """The token of this process: from a file, or from the environment; None where neither holds one.

    Raises:
        BadInput: the file cannot be read, or what it holds is no token.
    """
    named = file or (Path(environ[FILE_VARIABLE]) if environ.get(FILE_VARIABLE) else None)
    if named is None:
        return checked(environ[VARIABLE], VARIABLE) if environ.get(VARIABLE) else None
    try:
        with named.open(encoding="ascii") as opened:
            return checked(opened.read(_LONGEST + 2).strip(), str(named))
    except OSError as error:
        raise BadInput(f"the token's file cannot be read: {named}: {error.strerror}. Name another.") from None
    except ValueError:
        raise BadInput(f"the token's file is no text: {named}. Name another.") from None


def checked(token: str, where: str) -> str:
    """The same token.

    Raises:
        BadInput: it is too short, too long, or not of printable characters; the sentence does not repeat it.
    """
    if not (_SHORTEST <= len(token) <= _LONGEST and token.isascii() and token.isprintable()):
        raise BadInput(
            f"the token in {where} is not {_SHORTEST} to {_LONGEST} printable characters. Make one with: "
            "openssl rand -hex 32"
        )
    return token


def key_of(token: str, purpose: str) -> bytes:
    """The key of one purpose: 32 bytes from which neither the token nor another key can be found."""
    return hmac.digest(token.encode(), f"whocut 1 {purpose}".encode(), "sha256")


def new_nonce() -> bytes:
    """What makes one handshake differ from all others."""
    return secrets.token_hex(16).encode()


def hello(nonce: bytes) -> bytes:
    """The caller's first line."""
    return b"WHOCUT/1 " + nonce + b"\n"


def nonce_of_hello(line: bytes) -> bytes | None:
    """The caller's nonce; None: this is no caller of ours."""
    found = _HELLO.fullmatch(line)
    return found[1] if found else None


def is_nonce(line: bytes) -> bool:
    """Whether a line is what a door answers."""
    return _NONCE.fullmatch(line) is not None


def proof(key: bytes, caller: bytes, door: bytes) -> bytes:
    """The caller's second line, without its end."""
    return hmac.digest(key, b"caller " + caller + b" " + door, "sha256").hex().encode()


def proven(key: bytes, caller: bytes, door: bytes, said: bytes) -> bool:
    """Whether a proof holds; it takes as long for a wrong one as for the right one."""
    return hmac.compare_digest(proof(key, caller, door), said)


def environment_of(token: str) -> dict[str, str]:
    """How a process of ours is given a token: its command line would be read by every account of the machine."""
    return {VARIABLE: token, FILE_VARIABLE: ""}


def take_token() -> str | None:
    """The token of this process's own environment.

    Raises:
        BadInput: it is no token.
    """
    return told_token(os.environ)
