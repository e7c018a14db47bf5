"""A redirect is followed to the origin that was asked, and nowhere else: a prompt goes where its caller sent it.

The HTTP library takes the key off on the way to another origin, and sends body and trace on, by plain HTTP too. So
the address is taken out of such an answer: what the SDK then raises is the status that came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from whocut.client.transports import wire

if TYPE_CHECKING:
    from collections.abc import Mapping


def _stay(response: wire.Response) -> None:
    asked = response.request.url
    try:
        there = asked.join(response.headers["location"])
    except (KeyError, ValueError, wire.InvalidURL):
        return  # no redirect, or one that the library refuses
    if _origin(there) != _origin(asked):
        del response.headers["location"]


async def _stay_async(response: wire.Response) -> None:
    _stay(response)


def _origin(url: wire.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


STAYING: Final[Mapping[str, Any]] = {"follow_redirects": True, "event_hooks": {"response": [_stay]}}
"""Options of a `Client` that follows redirects within an origin."""

STAYING_ASYNC: Final[Mapping[str, Any]] = {
    "follow_redirects": True,
    "event_hooks": {"response": [_stay_async]},
}
"""The same of an `AsyncClient`."""
