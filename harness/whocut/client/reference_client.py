"""The reference client: the openai SDK, asked for images in the way that its retries, timers and bill demand.

- It streams with partial images, so that bytes come before a gateway gives up; the caller gets a whole answer.
- At most three images at once, and two seconds before a place is free again.
- It tries again only what certainly did no work, and waits as long as the answer asks (`policy`).
- It sends no parameter that the API rejects, and no prompt that a rule says will be blocked.
- It ends: `policy.total_s`, or a call's own ``timeout=``, bounds everything, waits included; a cancelled caller
  cancels.
- All attempts of one request carry the same Idempotency-Key.

What it raises is what the SDK raises, with a note that says why nothing was tried again.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing, asynccontextmanager, closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self, overload

import openai
import tenacity
from openai.types import Image, ImagesResponse

from whocut.client.judge import Judge
from whocut.client.limiter import AsyncLimiter, Limiter, Places
from whocut.client.openai_client import shared_ssl_context
from whocut.client.parameters import Prepared, prepare
from whocut.client.policy import Decision, Policy, decide
from whocut.client.prompt_check import PromptRefused, check_prompt, read_rules
from whocut.client.redirects import STAYING, STAYING_ASYNC
from whocut.client.transports import wire
from whocut.clock import Clock
from whocut.words import format_duration

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
    from pathlib import Path
    from types import TracebackType

log = logging.getLogger(__name__)

# The longest silence to sit through: longer than any gap between two partial images of the slowest generation.
STALL_S = 300.0
CONNECT_S = 10.0
_LIMITS = wire.Limits(max_connections=100, max_keepalive_connections=20)
_LAST_EVENTS = frozenset({"image_generation.completed", "image_edit.completed"})


def reference(base_url: str, api_key: str, **options: Any) -> ReferenceClient:
    """A client for threads, or for one thread. `options` are those of `ReferenceClient`."""
    return ReferenceClient(base_url, api_key, **options)


def async_reference(base_url: str, api_key: str, **options: Any) -> AsyncReferenceClient:
    """The same for asyncio."""
    return AsyncReferenceClient(base_url, api_key, **options)


@overload
def around(client: openai.OpenAI, **options: Any) -> ReferenceClient: ...


@overload
def around(client: openai.AsyncOpenAI, **options: Any) -> AsyncReferenceClient: ...


def around(
    client: openai.OpenAI | openai.AsyncOpenAI, **options: Any
) -> ReferenceClient | AsyncReferenceClient:
    """The policy around a client of the SDK's that one has already, with its key, address and connections.

    Its own retries are off for what is asked through here; elsewhere it stays as it is. To close the one is to
    close the other. `options` are those of `ReferenceClient`.
    """
    given = {"base_url": str(client.base_url), "api_key": client.api_key, **options}
    if isinstance(client, openai.AsyncOpenAI):
        return AsyncReferenceClient(sdk=client.with_options(max_retries=0), **given)
    return ReferenceClient(sdk=client.with_options(max_retries=0), **given)


class StreamCutError(openai.APIConnectionError):
    """The stream ended in good order, and without its last event: the image never came."""


class _Reference:
    """What both clients share: everything that does not wait."""

    def __init__(
        self,
        *,
        policy: Policy | None = None,
        most_at_once: int = 3,
        gap_s: float = 2.0,
        stall_s: float = STALL_S,
        prompt_rules: str | Path | None = None,
        check_prompts: bool = True,
        on_partial: Callable[[Any], None] | None = None,
        decide: Callable[..., Decision] = decide,
    ) -> None:
        self._policy = policy or Policy()
        self._places = Places(most_at_once, gap_s)
        self._stall_s = stall_s
        self._rules = read_rules(prompt_rules) if check_prompts else ()
        self._decide = decide
        self._on_partial = on_partial or (lambda _event: None)

    def _prepare(self, wanted: dict[str, Any]) -> Prepared:
        findings = check_prompt(str(wanted.get("prompt") or ""), self._rules)
        if findings:
            raise PromptRefused(findings)
        prepared = prepare(wanted)
        for name, why in prepared.removed.items():
            log.warning("'%s' is not sent: %s", name, why)
        for sentence in prepared.advice:
            log.info("%s", sentence)
        return prepared

    def _judge(self, now_s: Callable[[], float], prepared: Prepared) -> Judge:
        """A judge of one request; a number of seconds as `timeout` is all of its time."""
        given_s, policy = prepared.sent.get("timeout"), self._policy
        if isinstance(given_s, int | float):
            policy = replace(policy, total_s=min(policy.total_s, float(given_s)))
        return Judge(policy, now_s, self._decide)

    def _sent(self, prepared: Prepared, judge: Judge) -> dict[str, Any]:
        """The arguments of one attempt: no silence longer than what is left of the request's time."""
        judge.attempts += 1
        extra = judge.headers | dict(prepared.sent.get("extra_headers") or {})
        read_s = min(self._stall_s, judge.left_s)
        timeout = prepared.sent.get("timeout")
        if timeout is None or isinstance(timeout, int | float):
            timeout = wire.Timeout(read_s, connect=min(CONNECT_S, read_s))
        return {**prepared.sent, "timeout": timeout, "extra_headers": extra}


def _images(prepared: Prepared) -> int:
    return int(prepared.sent.get("n") or 1)


def _whole(event: Any) -> ImagesResponse:
    """The answer of a plain request, made of a stream's last event."""
    return ImagesResponse.model_construct(
        created=event.created_at,
        data=[Image.model_construct(b64_json=event.b64_json, revised_prompt=None, url=None)],
        background=event.background,
        output_format=event.output_format,
        quality=event.quality,
        size=event.size,
        usage=event.usage,
    )


def _cut(request: Any) -> StreamCutError:
    return StreamCutError(
        message="The stream ended without its last event; the image never came.", request=request
    )


@contextmanager
def _reading(judge: Judge) -> Iterator[None]:
    """A failure while events are read: told, and never tried again."""
    try:
        yield
    except Exception as error:
        judge.judge(error, in_stream=True)
        raise


class ReferenceClient(_Reference):
    """For threads. `clock` is for tests of our own."""

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        clock: Clock | None = None,
        sdk: openai.OpenAI | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._clock = clock or Clock()
        if sdk is None:
            # One SSL context for all clients of a process: each costs as much as a hundred requests.
            wires = wire.Client(verify=shared_ssl_context(), limits=_LIMITS, **STAYING)
            sdk = openai.OpenAI(base_url=base_url, api_key=api_key, max_retries=0, http_client=wires)
        self._sdk = sdk
        self._limiter = Limiter(self._places, self._clock)
        self.images = _Images(self)

    def ask(self, method: Callable[..., Any], wanted: dict[str, Any]) -> Any:
        """One request: an answer, or the events of a stream where the caller asked for one."""
        prepared = self._prepare(wanted)
        if wanted.get("stream") and prepared.sent.get("stream"):
            return self._events(method, prepared)
        if not prepared.sent.get("stream"):
            with self._limiter.place(_images(prepared)):
                return self._open(method, prepared, self._judge(self._clock.now_s, prepared))
        with closing(self._events(method, prepared)) as events:
            for event in events:
                if event.type in _LAST_EVENTS:
                    return _whole(event)
                self._on_partial(event)
        raise AssertionError("a stream without its last event has raised")

    def _open(self, method: Callable[..., Any], prepared: Prepared, judge: Judge) -> Any:
        retrying = tenacity.Retrying(
            retry=judge.again, wait=judge.wait_s, sleep=self._clock.sleep, reraise=True
        )
        return retrying(lambda: method(**self._sent(prepared, judge)))

    def _events(self, method: Callable[..., Any], prepared: Prepared) -> Generator[Any, None, None]:
        with self._limiter.place():
            judge = self._judge(self._clock.now_s, prepared)
            stream = self._open(method, prepared, judge)
            with _reading(judge), stream:
                for event in stream:
                    yield event
                    if event.type in _LAST_EVENTS:
                        return
                    if self._clock.now_s() - judge.began_s > judge.total_s:
                        raise openai.APITimeoutError(request=stream.response.request)
                raise _cut(stream.response.request)

    def close(self) -> None:
        """Close the connections."""
        self._sdk.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Images:
    """`client.images`, as the SDK has it."""

    def __init__(self, client: ReferenceClient) -> None:
        self._client = client

    def generate(self, **wanted: Any) -> Any:
        """An image; with ``stream=True`` its events."""
        return self._client.ask(self._client._sdk.images.generate, wanted)  # noqa: SLF001  # one class in two

    def edit(self, **wanted: Any) -> Any:
        """An edited image; with ``stream=True`` its events."""
        return self._client.ask(self._client._sdk.images.edit, wanted)  # noqa: SLF001  # as above


class AsyncReferenceClient(_Reference):
    """For asyncio; its time is the loop's."""

    def __init__(
        self, base_url: str, api_key: str, *, sdk: openai.AsyncOpenAI | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        if sdk is None:
            wires = wire.AsyncClient(verify=shared_ssl_context(), limits=_LIMITS, **STAYING_ASYNC)
            sdk = openai.AsyncOpenAI(base_url=base_url, api_key=api_key, max_retries=0, http_client=wires)
        self._sdk = sdk
        self._limiter = AsyncLimiter(self._places)
        self.images = _AsyncImages(self)

    async def ask(self, method: Callable[..., Any], wanted: dict[str, Any]) -> Any:
        """One request: an answer, or the events of a stream where the caller asked for one."""
        prepared = self._prepare(wanted)
        if wanted.get("stream") and prepared.sent.get("stream"):
            return self._events(method, prepared)
        if not prepared.sent.get("stream"):
            async with self._limiter.place(_images(prepared)):
                judge = self._judge(asyncio.get_running_loop().time, prepared)
                async with self._in_time(judge):
                    return await self._open(method, prepared, judge)
        async with aclosing(self._events(method, prepared)) as events:
            async for event in events:
                if event.type in _LAST_EVENTS:
                    return _whole(event)
                self._on_partial(event)
        raise AssertionError("a stream without its last event has raised")

    @asynccontextmanager
    async def _in_time(self, judge: Judge) -> AsyncIterator[None]:
        """Let nothing inside go on after the request's time is over."""
        try:
            async with asyncio.timeout_at(judge.began_s + judge.total_s):
                yield
        except TimeoutError as error:
            request = wire.Request("POST", str(self._sdk.base_url))
            over = openai.APITimeoutError(request=request)
            over.add_note(f"the request's {format_duration(judge.total_s)} are over")
            raise over from error

    async def _open(self, method: Callable[..., Any], prepared: Prepared, judge: Judge) -> Any:
        async def attempt() -> Any:
            return await method(**self._sent(prepared, judge))

        retrying = tenacity.AsyncRetrying(
            retry=judge.again, wait=judge.wait_s, sleep=asyncio.sleep, reraise=True
        )
        return await retrying(attempt)

    async def _events(self, method: Callable[..., Any], prepared: Prepared) -> AsyncGenerator[Any, None]:
        async with self._limiter.place():
            judge = self._judge(asyncio.get_running_loop().time, prepared)
            async with self._in_time(judge):
                stream = await self._open(method, prepared, judge)
            async with stream:
                while True:
                    # Each step has the limit of its own: a limit around a `yield` would strike at the caller.
                    with _reading(judge):
                        async with self._in_time(judge):
                            event = await anext(stream, None)
                        if event is None:
                            raise _cut(stream.response.request)
                    yield event
                    if event.type in _LAST_EVENTS:
                        return

    async def close(self) -> None:
        """Close the connections."""
        await self._sdk.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class _AsyncImages:
    """`client.images`, as the SDK has it."""

    def __init__(self, client: AsyncReferenceClient) -> None:
        self._client = client

    async def generate(self, **wanted: Any) -> Any:
        """An image; with ``stream=True`` its events."""
        return await self._client.ask(self._client._sdk.images.generate, wanted)  # noqa: SLF001  # as above

    async def edit(self, **wanted: Any) -> Any:
        """An edited image; with ``stream=True`` its events."""
        return await self._client.ask(self._client._sdk.images.edit, wanted)  # noqa: SLF001  # as above
