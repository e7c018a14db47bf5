"""Refuses requests to Locust's page that another site, another machine's name or another account has caused.

Locust checks neither Host nor Origin, and its start is a plain form post: a page of any origin in the same browser
could start a paid run, and so could any account of this machine. Three rules for every request. Its Host is a
loopback address or the page's own, which ends DNS rebinding. What is not a plain read comes from the page itself:
`Origin` and `Sec-Fetch-Site` say so where a browser sends them. And it has the token of this start: a browser as a
cookie, by the link in the terminal; a program as ``Authorization: Bearer``, with the token that the environment has
given. Locust's own ``--web-login`` takes the token's place.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from flask import Response, redirect, request, url_for

from whocut.entry import Entry, new_token
from whocut.errors import BadInput
from whocut.path.target import means_this_machine

if TYPE_CHECKING:
    from collections.abc import Mapping

    from werkzeug.wrappers import Response as Answer

TOKEN_VARIABLE: Final = "WHOCUT_PAGE_TOKEN"  # noqa: S105  # a variable's name
_SHORTEST: Final = 20  # characters of a token
# Requests by GET that end a test or throw its figures away.
_ACTS: Final = ("/stop", "/stats/reset")
_SAME: Final = frozenset({"same-origin", "none"})
_ENTER: Final = "/whocut/enter/"
_NO_TOKEN: Final = (
    f"the token of this page is missing or wrong. Open the link that the terminal shows; a program sends "
    f"Authorization: Bearer with the token that {TOKEN_VARIABLE} has set before the start."
)


def guard(web_ui: Any, base_path: str, listens_on: str | None) -> None:
    """Put the rules before every view of Locust's page; `listens_on` is Locust's own ``--web-host``.

    Raises:
        BadInput: the token of the environment is too short to be one.
    """
    entry = None if web_ui.web_login else Entry(_token(), "load")

    def check() -> Response | None:
        headers = dict(request.headers)
        why = refusal(request.method, request.path, headers, listens_on)
        if why:
            return _refused(403, why)
        if entry is None or request.path.startswith(f"{base_path}{_ENTER}"):
            return None
        let_in = entry.lets_in(headers.get("Authorization"), request.cookies.get(entry.cookie))
        return None if let_in else _refused(401, _NO_TOKEN)

    def enter(code: str) -> Answer:
        if entry is None or not entry.use(code):
            return _refused(401, "the link works once. Open the newest that the terminal shows.")
        entry.renew()
        _say(_link(web_ui, base_path, entry), "for another browser")
        answer = redirect(url_for("locust.index"), 303)
        answer.set_cookie(entry.cookie, entry.token, httponly=True, samesite="Strict", path="/")
        return answer

    web_ui.app.before_request(check)
    web_ui.app.add_url_rule(f"{base_path}{_ENTER}<code>", "whocut-enter", enter)
    if entry is not None:
        _say(_link(web_ui, base_path, entry), "open the page by this link, which works once")


def refusal(method: str, path: str, headers: Mapping[str, str], listens_on: str | None) -> str | None:
    """Why a request is refused, in one sentence; None where it may pass."""
    host = headers.get("Host", "")
    if not _is_here(host, listens_on):
        return (
            f"the Host of this request is not this page's: {host!r}. Open the page by its loopback address."
        )
    if method in {"GET", "HEAD"} and not path.endswith(_ACTS):
        return None
    origin, site = headers.get("Origin"), headers.get("Sec-Fetch-Site")
    if origin is not None and urlsplit(origin).netloc != host:
        return f"the Origin of this request is another site: {origin!r}. Use the page itself."
    if site is not None and site not in _SAME:
        return f"another site caused this request: {site!r}. Use the page itself."
    return None


def _is_here(host: str, listens_on: str | None) -> bool:
    if means_this_machine([host]):
        return True
    try:
        return bool(listens_on) and urlsplit(f"//{host}").hostname == listens_on
    except ValueError:
        return False


def _token() -> str:
    given = os.environ.get(TOKEN_VARIABLE)
    if given is not None and len(given) < _SHORTEST:
        raise BadInput(
            f"the token in {TOKEN_VARIABLE} has {len(given)} characters. Give it at least {_SHORTEST}, or unset it."
        )
    return given or new_token()


def _link(web_ui: Any, base_path: str, entry: Entry) -> str:
    scheme = "https" if web_ui.tls_cert else "http"
    host = web_ui.host if web_ui.host not in {"", "0.0.0.0", "::"} else "127.0.0.1"  # noqa: S104  # a comparison
    name = f"[{host}]" if ":" in host else host
    return f"{scheme}://{name}:{web_ui.port}{base_path}{_ENTER}{entry.code}"


def _say(link: str, what: str) -> None:
    sys.stderr.write(f"whocut: {what}: {link}\n")
    sys.stderr.flush()


def _refused(status: int, why: str) -> Response:
    more = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return Response(f"whocut: {why}\n", status, mimetype="text/plain", headers=more)
