"""The wire: transports that let every attempt be watched, and translate the client's timers to the clock.

Their place is where the SDK hands its request to the HTTP library. So the SDK itself stays as its users have it:
its timers, its retries, its headers. openai-python 3.x uses httpx2, 1.x and 2.x use httpx; the transports serve
whichever the installed SDK uses.

The spend guard, where there is one, has its place here too: everything that is sent passes it, retries and
redirects included.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from whocut.client import asking
from whocut.client.spending.bound import price_of
from whocut.client.spending.guard import LOOK_AGAIN_REAL_S
from whocut.client.watch import AttemptWatch
from whocut.clock.clock import give_way, pause
from whocut.errors import WhocutError

try:
    import httpx2 as wire
except ImportError:  # openai-python before 3.0
    import httpx as wire  # type: ignore[no-redef]

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from whocut.chain.layers import Layer
    from whocut.client.spending import Guard, Permit
    from whocut.client.watch import Sinks
    from whocut.clock import Clock


class _Watching:
    """What the sync and the async transport share: making a watch, and scaling the timers of one request."""

    def __init__(self, clock: Clock, layer: Layer, sinks: Sinks, guard: Guard | None = None) -> None:
        self._clock = clock
        self._layer = layer
        self._sinks = sinks
        self._guard = guard

    def _ask_the_guard(self, guard: Guard, request: wire.Request) -> Permit | None:
        """Whether this request may go out; None: not yet. Its body has been read.

        Raises:
            WhocutError: it does not. The asking says so as well: the SDK before 3.0 wraps what is raised here.
        """
        try:
            kind = request.headers.get("content-type", "")
            return guard.admit(price_of(request.method, request.url.path, kind, request.content))
        except WhocutError as error:
            asking.current().kept_back = error
            raise

    def _watch(self, request: wire.Request, permit: Permit | None) -> AttemptWatch:
        limits: dict[str, float | None] = dict(request.extensions.get("timeout", {}))
        who = asking.current()
        # The SDK counts its own retries; a program that calls it again for the same request counts on.
        retries = int(request.headers.get("x-stainless-retry-count", "0"))
        watch = AttemptWatch(
            clock=self._clock,
            layer=self._layer,
            asking=who,
            sinks=self._sinks,
            number=max(retries, len(who.attempts)) + 1,
            method=request.method,
            path=request.url.path,
            limits_s=limits,
            permit=permit,
        )
        with suppress(wire.RequestNotRead):  # a form with files is a stream
            watch.asked = request.content
        request.headers["traceparent"] = watch.traceparent
        request.extensions["timeout"] = {
            name: None if limit_s is None else self._clock.real_s(limit_s) for name, limit_s in limits.items()
        }
        return watch


class WatchedTransport(_Watching, wire.BaseTransport):
    """A transport for `Client`."""

    def __init__(
        self, inner: wire.BaseTransport, clock: Clock, layer: Layer, sinks: Sinks, guard: Guard | None = None
    ) -> None:
        super().__init__(clock, layer, sinks, guard)
        self._inner = inner

    def handle_request(self, request: wire.Request) -> wire.Response:
        """Send one attempt and watch it to its last byte.

        Raises:
            WhocutError: the spend guard keeps it back.
        """
        watch = self._watch(request, self._permit(request))
        try:
            response = self._inner.handle_request(request)
        except BaseException as error:
            watch.failed(error)
            raise
        watch.answered(response.status_code, response.headers)
        response.stream = _WatchedStream(response.stream, watch)  # type: ignore[arg-type]
        return response

    def _permit(self, request: wire.Request) -> Permit | None:
        if self._guard is None:
            return None
        request.read()
        while (permit := self._ask_the_guard(self._guard, request)) is None:
            pause(LOOK_AGAIN_REAL_S)
        return permit

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()


class _WatchedStream(wire.SyncByteStream):
    """The bytes of one response; each chunk gives way to other users.

    Under gevent a read that finds bytes waiting does not let other users run. Twenty pictures that come at once
    would hold up all users until the last of them is read.
    """

    def __init__(self, inner: wire.SyncByteStream, watch: AttemptWatch) -> None:
        self._inner = inner
        self._watch = watch

    def __iter__(self) -> Iterator[bytes]:
        try:
            for data in self._inner:
                self._watch.received(data)
                give_way()
                yield data
        except BaseException as error:
            self._watch.failed(error)
            raise
        self._watch.finished()

    def close(self) -> None:
        if self._watch.wants_rest:
            with suppress(wire.HTTPError):
                for data in self._inner:
                    self._watch.received(data)
            self._watch.finished()
        self._inner.close()
        self._watch.failed(GeneratorExit())


class AsyncWatchedTransport(_Watching, wire.AsyncBaseTransport):
    """A transport for `AsyncClient`."""

    def __init__(
        self,
        inner: wire.AsyncBaseTransport,
        clock: Clock,
        layer: Layer,
        sinks: Sinks,
        guard: Guard | None = None,
    ) -> None:
        super().__init__(clock, layer, sinks, guard)
        self._inner = inner

    async def handle_async_request(self, request: wire.Request) -> wire.Response:
        """Send one attempt and watch it to its last byte.

        Raises:
            WhocutError: the spend guard keeps it back.
        """
        watch = self._watch(request, await self._permit(request))
        try:
            response = await self._inner.handle_async_request(request)
        except BaseException as error:
            watch.failed(error)
            raise
        watch.answered(response.status_code, response.headers)
        response.stream = _AsyncWatchedStream(response.stream, watch)  # type: ignore[arg-type]
        return response

    async def _permit(self, request: wire.Request) -> Permit | None:
        if self._guard is None:
            return None
        await request.aread()
        while (permit := self._ask_the_guard(self._guard, request)) is None:  # noqa: ASYNC110  # it may end
            await asyncio.sleep(LOOK_AGAIN_REAL_S)  # in another thread
        return permit

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


class _AsyncWatchedStream(wire.AsyncByteStream):
    def __init__(self, inner: wire.AsyncByteStream, watch: AttemptWatch) -> None:
        self._inner = inner
        self._watch = watch

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for data in self._inner:
                self._watch.received(data)
                yield data
        except BaseException as error:
            self._watch.failed(error)
            raise
        self._watch.finished()

    async def aclose(self) -> None:
        if self._watch.wants_rest:
            with suppress(wire.HTTPError):
                async for data in self._inner:
                    self._watch.received(data)
            self._watch.finished()
        await self._inner.aclose()
        self._watch.failed(GeneratorExit())


__all__ = ["AsyncWatchedTransport", "WatchedTransport", "wire"]
