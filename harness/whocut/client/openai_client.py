"""The real `openai` SDK, as its users have it, with its waits on our clock and its attempts watched.

A client per user on one shared `SSLContext`: a default `OpenAI()` builds one each, 33 ms and 0.9 MB, and one
client shared by all users scans its pool in O(connections). `trust_env=False` keeps proxies of the environment
from becoming a hidden layer. The platform headers are primed once, because their first use forks `uname`.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

import openai

from whocut.chain.timers import TimerKind
from whocut.client.redirects import STAYING, STAYING_ASYNC
from whocut.client.transports import AsyncWatchedTransport, WatchedTransport, wire

if TYPE_CHECKING:
    from whocut.chain.layers import Layer
    from whocut.client.spending import Guard
    from whocut.client.watch import Sinks
    from whocut.clock import Clock

# As many as a user could ever hold open at once; the SDK's 1,000 belong to a client shared by many.
_LIMITS = wire.Limits(max_connections=100, max_keepalive_connections=10, keepalive_expiry=5.0)


@cache
def shared_ssl_context() -> ssl.SSLContext:
    """One context for all clients of this process."""
    return ssl.create_default_context()


def connections_of_a_user() -> wire.HTTPTransport:
    """The connections of one user, whatever it asks for: one that has waited 5 s is closed at the next request."""
    return wire.HTTPTransport(verify=shared_ssl_context(), trust_env=False, limits=_LIMITS)


class ScaledOpenAI(openai.OpenAI):
    """The SDK's client; only the length of its own waits (back-off, Retry-After) goes through the clock."""

    whocut_clock: Clock

    def _calculate_retry_timeout(self, *args: Any, **kwargs: Any) -> float:
        return self.whocut_clock.real_s(super()._calculate_retry_timeout(*args, **kwargs))


class ScaledAsyncOpenAI(openai.AsyncOpenAI):
    """The same, for asyncio."""

    whocut_clock: Clock

    def _calculate_retry_timeout(self, *args: Any, **kwargs: Any) -> float:
        return self.whocut_clock.real_s(super()._calculate_retry_timeout(*args, **kwargs))


def openai_client(
    *,
    base_url: str,
    api_key: str,
    clock: Clock,
    layer: Layer,
    sinks: Sinks,
    max_retries: int | None = None,
    guard: Guard | None = None,
    pool: wire.HTTPTransport | None = None,
) -> openai.OpenAI:
    """A sync client for one user. `max_retries` None keeps the SDK's own default, `guard` None spends freely.

    Clients of one user share its `pool`; None makes one for this client.
    """
    inner = pool or connections_of_a_user()
    http_client = wire.Client(
        transport=WatchedTransport(inner, clock, layer, sinks, guard), **_http_options(layer), **STAYING
    )
    client = ScaledOpenAI(
        base_url=base_url, api_key=api_key, http_client=http_client, **_sdk_options(layer, max_retries)
    )
    client.whocut_clock = clock
    return client


def async_openai_client(
    *,
    base_url: str,
    api_key: str,
    clock: Clock,
    layer: Layer,
    sinks: Sinks,
    max_retries: int | None = None,
    guard: Guard | None = None,
) -> openai.AsyncOpenAI:
    """An async client. `max_retries` None keeps the SDK's own default, `guard` None spends freely."""
    inner = wire.AsyncHTTPTransport(verify=shared_ssl_context(), trust_env=False, limits=_LIMITS)
    http_client = wire.AsyncClient(
        transport=AsyncWatchedTransport(inner, clock, layer, sinks, guard),
        **_http_options(layer),
        **STAYING_ASYNC,
    )
    client = ScaledAsyncOpenAI(
        base_url=base_url, api_key=api_key, http_client=http_client, **_sdk_options(layer, max_retries)
    )
    client.whocut_clock = clock
    return client


def _http_options(layer: Layer) -> dict[str, Any]:
    return {"timeout": _timeout(layer), "trust_env": False}


def _sdk_options(layer: Layer, max_retries: int | None) -> dict[str, Any]:
    retries = openai.DEFAULT_MAX_RETRIES if max_retries is None else max_retries
    return {"timeout": _timeout(layer), "max_retries": retries}


def prime() -> None:
    """Do once what the SDK would do once for each of the first users at the same time.

    One image is asked for at a port without a listener. The SDK imports its resources at their first use; that
    takes 60 ms, in which no other user is served.
    """
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        client = openai.OpenAI(
            base_url=f"http://127.0.0.1:{nobody.getsockname()[1]}/v1",
            api_key="sk-prime",
            max_retries=0,
            http_client=wire.Client(verify=shared_ssl_context(), trust_env=False),
        )
        with suppress(openai.APIConnectionError):
            client.images.generate(model="gpt-image-1", prompt="this is never sent")


def _timeout(layer: Layer) -> wire.Timeout:
    """The client's timers as the SDK takes them: connect, and one for every other step."""
    read_s = layer.limit_s(TimerKind.IDLE)
    return wire.Timeout(read_s, connect=layer.limit_s(TimerKind.CONNECT))
