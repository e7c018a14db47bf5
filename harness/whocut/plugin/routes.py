"""The tier without sockets: every request of httpx and httpx2 goes through a respx router, or is refused.

The chain's address is a route that passes through to the chain itself, which plays in memory; so it is slow,
moderates, limits and resets as the mock does, because it is the mock. Routes of the test's own are beside it.
"""

from __future__ import annotations

import importlib
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from whocut.errors import NotInstalled

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    import pytest
    import respx

    Handle = Callable[[Any, Any], Awaitable[Any]]


def new_router(port: int) -> respx.Router:
    """A router that knows the chain and nothing else.

    Raises:
        NotInstalled: respx is not.
    """
    try:
        from respx.router import Router  # noqa: PLC0415  # an extra: only this tier needs it
    except ImportError:
        raise NotInstalled("tier='respx' needs respx: pip install 'whocut[respx]'") from None
    router = Router(assert_all_called=False)
    router.route(host="127.0.0.1", port=port, name="whocut").pass_through()
    return router


@contextmanager
def routed(router: respx.Router, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put the router in front of every async transport of httpx and httpx2.

    Other fixtures may patch the same place: so it is patched with the test's own `patch`, which undoes all in their
    order, and until then the router lets everything through.
    """
    plays = threading.Event()
    plays.set()
    for library in _libraries():
        transport = library.AsyncHTTPTransport
        through = _through(router, transport.handle_async_request, plays)
        patch.setattr(transport, "handle_async_request", through)
    try:
        yield
    finally:
        plays.clear()


def _libraries() -> list[Any]:
    found = []
    for name in ("httpx", "httpx2"):
        try:
            found.append(importlib.import_module(name))
        except ImportError:
            continue
    return found


def _through(router: respx.Router, original: Handle, plays: threading.Event) -> Handle:
    import httpx  # noqa: PLC0415  # respx speaks of its requests
    from respx.models import PassThrough  # noqa: PLC0415  # see above

    async def handle(self: Any, request: Any) -> Any:
        __tracebackhide__ = True
        if not plays.is_set():
            return await original(self, request)
        seen = httpx.Request(
            request.method, str(request.url), headers=request.headers.raw, content=await request.aread()
        )
        try:
            answer = await router.async_handler(seen)
        except PassThrough:
            return await original(self, request)
        library = importlib.import_module(type(request).__module__.partition(".")[0])
        return library.Response(answer.status_code, headers=answer.headers.raw, content=await answer.aread())

    return handle
