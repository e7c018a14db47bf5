"""The wire: transports that let every attempt be watched, and translate the client's timers to the clock.

They stand where the SDK hands its request to the HTTP library, so that the SDK itself stays as its users have
it: its timers, its retries, its headers. openai-python 3.x stands on httpx2, 1.x and 2.x on httpx; both are
served by whichever of them the installed SDK uses.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from harness.client import asking
from harness.client.attempts import AttemptWatch

try:
    import httpx2 as wire
except ImportError:  # openai-python before 3.0
    import httpx as wire  # type: ignore[no-redef]

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from harness.chain.layers import Layer
    from harness.client.attempts import Sinks
    from harness.clock import Clock


class _Watching:
    """What the sync and the async transport share: making a watch, and scaling the timers of one request."""

    def __init__(self, clock: Clock, layer: Layer, sinks: Sinks) -> None:
        self._clock = clock
        self._layer = layer
        self._sinks = sinks

    def _watch(self, request: wire.Request) -> AttemptWatch:
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
        )
        request.headers["traceparent"] = watch.traceparent
        request.extensions["timeout"] = {
            name: None if limit_s is None else self._clock.real_s(limit_s) for name, limit_s in limits.items()
        }
        return watch


class WatchedTransport(_Watching, wire.BaseTransport):
    """A transport for `Client`."""

    def __init__(self, inner: wire.BaseTransport, clock: Clock, layer: Layer, sinks: Sinks) -> None:
        super().__init__(clock, layer, sinks)
        self._inner = inner

    def handle_request(self, request: wire.Request) -> wire.Response:
        """Send one attempt and watch it to its last byte."""
        watch = self._watch(request)
        try:
            response = self._inner.handle_request(request)
        except BaseException as error:
            watch.failed(error)
            raise
        watch.answered(response.status_code, response.headers)
        response.stream = _WatchedStream(response.stream, watch)  # type: ignore[arg-type]
        return response

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()


class _WatchedStream(wire.SyncByteStream):
    def __init__(self, inner: wire.SyncByteStream, watch: AttemptWatch) -> None:
        self._inner = inner
        self._watch = watch

    def __iter__(self) -> Iterator[bytes]:
        try:
            for data in self._inner:
                self._watch.received(data)
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

    def __init__(self, inner: wire.AsyncBaseTransport, clock: Clock, layer: Layer, sinks: Sinks) -> None:
        super().__init__(clock, layer, sinks)
        self._inner = inner

    async def handle_async_request(self, request: wire.Request) -> wire.Response:
        """Send one attempt and watch it to its last byte."""
        watch = self._watch(request)
        try:
            response = await self._inner.handle_async_request(request)
        except BaseException as error:
            watch.failed(error)
            raise
        watch.answered(response.status_code, response.headers)
        response.stream = _AsyncWatchedStream(response.stream, watch)  # type: ignore[arg-type]
        return response

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
