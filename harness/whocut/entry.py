"""How a browser comes into a server of this machine: by a link that works once, then by a cookie.

Host and Origin tell another site's page; other accounts of this machine send whatever they like, so a token does.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets


class Entry:
    """The token of one server, the code of its next link, and the name of its cookie.

    Cookies are shared by all ports of an address, so two servers need two names.
    """

    def __init__(self, token: str, server: str) -> None:
        self.token = token
        self.cookie = f"whocut_{server}_{hashlib.sha256(token.encode()).hexdigest()[:8]}"
        self.code = new_token()
        self._used = False

    def use(self, code: str) -> bool:
        """Whether the code is that of a link that was not used before; it is used now."""
        fits = not self._used and same(code, self.code)
        self._used = self._used or fits
        return fits

    def renew(self) -> None:
        """Make another link."""
        self.code, self._used = new_token(), False

    def lets_in(self, authorization: str | None, cookie: str | None) -> bool:
        """Whether an `Authorization` header or the cookie holds the token."""
        scheme, _, bearer = (authorization or "").partition(" ")
        given = bearer.strip() if scheme.lower() == "bearer" else ""
        given = given or cookie or ""
        return same(given, self.token)


def new_token() -> str:
    """192 bits that a URL may hold as they are."""
    return secrets.token_urlsafe(24)


def same(given: str, token: str) -> bool:
    """Whether this is the token, told in the same time whatever it is."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())
