"""Refuses requests to Locust's page that another site, or another machine's name, has caused.

Locust checks neither Host nor Origin, and its start is a plain form post: a page of any origin in the same browser
could start a paid run. Two rules for every request. Its Host is a loopback address or the address that the page was
told to listen on, which ends DNS rebinding. And what is not a plain read comes from the page itself: `Origin` and
`Sec-Fetch-Site` say so where a browser sends them.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from flask import Response, request

if TYPE_CHECKING:
    from collections.abc import Mapping

_LOCAL_NAMES: Final = frozenset({"localhost"})
# Requests by GET that end a test or throw its figures away.
_ACTS: Final = ("/stop", "/stats/reset")
_SAME: Final = frozenset({"same-origin", "none"})


def guard(web_ui: Any, listens_on: str | None) -> None:
    """Put the rules before every view of Locust's page; `listens_on` is Locust's own ``--web-host``."""

    def check() -> Response | None:
        why = refusal(request.method, request.path, request.headers, listens_on)
        return Response(f"whocut: {why}\n", 403, mimetype="text/plain") if why else None

    web_ui.app.before_request(check)


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
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name in _LOCAL_NAMES or (listens_on and name == listens_on):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
