"""Clients with one fault each, planted by hand: the reference client, wrong in exactly one way.

`FAULTS` maps the id of the check that must find it to what makes the client.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import openai

from whocut.client import async_reference
from whocut.client.ending import failure_of
from whocut.client.judge import Judge
from whocut.client.policy import Decision, Failure, Policy, TryAgain, decide
from whocut.client.reference_client import StreamCutError
from whocut.trace.records import Outcome

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from whocut.client.parameters import Prepared

_GENTLE = Policy(first_wait_s=4.0)
_NEARLY_EQUAL_S = itertools.cycle((2.15, 2.0, 2.08))  # spread, and never growing


def _never(_error: BaseException) -> bool:
    return False


# --- asks again where it should not ---------------------------------------------------------------


class AsksAgain:
    """The reference client in a loop that takes one kind of error for a reason to try again, once.

    `again` is asked about a call for a whole answer, `again_in_stream` about one for events. `pause_s` is how long
    it waits before the second attempt.
    """

    pause_s = 1.0

    def __init__(
        self,
        inner: Any,
        again: Callable[[BaseException], bool] = _never,
        again_in_stream: Callable[[BaseException], bool] = _never,
    ) -> None:
        self._inner = inner
        self._again = again
        self._again_in_stream = again_in_stream
        self.images = self

    async def generate(self, **wanted: Any) -> Any:
        """An image, or its events."""
        if wanted.get("stream"):
            return self._events(wanted)
        try:
            return await self._inner.images.generate(**wanted)
        except Exception as error:
            if not self._again(error) or "timeout" in wanted:  # what its caller set is kept
                raise
        await asyncio.sleep(self.pause_s)
        return await self._inner.images.generate(**wanted)

    async def _events(self, wanted: dict[str, Any]) -> AsyncIterator[Any]:
        try:
            async for event in await self._inner.images.generate(**wanted):
                yield event
        except Exception as error:
            if not self._again_in_stream(error):
                raise
        else:
            return
        await asyncio.sleep(self.pause_s)
        async for event in await self._inner.images.generate(**wanted):
            yield event

    async def close(self) -> None:
        """Close the connections."""
        await self._inner.close()


def asks_again_after(again: Callable[[BaseException], bool]) -> Callable[..., Any]:
    """A maker of such clients."""
    return lambda base_url, api_key: AsksAgain(async_reference(base_url, api_key), again, again)


def asks_again_for_events_after(again: Callable[[BaseException], bool]) -> Callable[..., Any]:
    """The same, where it was asked for a stream."""
    return lambda base_url, api_key: AsksAgain(async_reference(base_url, api_key), _never, again)


def asks_again_for_a_whole_answer_after(again: Callable[[BaseException], bool]) -> Callable[..., Any]:
    """The same, where it was asked for a whole answer."""
    return lambda base_url, api_key: AsksAgain(async_reference(base_url, api_key), again)


def page(status: int) -> Callable[[BaseException], bool]:
    """A gateway's page with this status."""
    return lambda error: getattr(error, "status_code", None) == status and _failure(error).code is None


def refused(status: int, code: str | None, kind: str) -> Callable[[BaseException], bool]:
    """The API's refusal with this status and code."""

    def holds(error: BaseException) -> bool:
        seen = _failure(error)
        return (seen.status, seen.code, seen.kind) == (status, code, kind)

    return holds


def _failure(error: BaseException) -> Failure:
    return failure_of(error) or Failure(outcome=Outcome.DELIVERED)


def caused_by(name: str, part: str = "") -> Callable[[BaseException], bool]:
    """An error of the HTTP library's, by the name of its class and a part of its text."""

    def holds(error: BaseException) -> bool:
        cause = error.__cause__ or error
        return type(cause).__name__ == name and part in str(cause)

    return holds


def streamed(kind: type[BaseException], code: str | None = None) -> Callable[[BaseException], bool]:
    """An error of exactly this class, with this code, while a stream was read."""
    return lambda error: type(error) is kind and getattr(error, "code", None) == code


# --- waits as it should not -----------------------------------------------------------------------


def decides(change: Callable[[Failure, Decision, int], Decision], **options: Any) -> Callable[..., Any]:
    """The reference client with one kind of its decisions changed."""

    def deciding(failure: Failure, **known: Any) -> Decision:
        return change(failure, decide(failure, **known), known["attempt"])

    return lambda base_url, api_key: async_reference(base_url, api_key, decide=deciding, **options)


def hurried(wait_s: float, when: Callable[[Failure], bool]) -> Callable[..., Any]:
    """After some failures it waits so long, whatever it was told."""

    def change(failure: Failure, decision: Decision, _attempt: int) -> Decision:
        return (
            replace(decision, after_s=wait_s * (1 - random.random() / 4))
            if isinstance(decision, TryAgain) and when(failure)
            else decision
        )

    return decides(change)


def _asked(status: int, low_s: float, high_s: float) -> Callable[[Failure], bool]:
    return lambda seen: seen.status == status and low_s <= (seen.retry_after_s or 0.0) <= high_s


def _unasked(seen: Failure) -> bool:
    return seen.status == 429 and seen.retry_after_s is None


def never_grows(failure: Failure, decision: Decision, _attempt: int) -> Decision:
    """Equal waits, apart from chance."""
    if isinstance(decision, TryAgain) and _unasked(failure):
        return replace(decision, after_s=next(_NEARLY_EQUAL_S))
    return decision


def no_chance(failure: Failure, decision: Decision, attempt: int) -> Decision:
    """Waits that double and know no chance."""
    if isinstance(decision, TryAgain) and _unasked(failure):
        return replace(decision, after_s=2.0**attempt)
    return decision


def gives_up(status: int) -> Callable[..., Any]:
    """It never tries again after this status."""
    never = Policy(attempts=1)

    def change(failure: Failure, decision: Decision, _attempt: int) -> Decision:
        if failure.status != status or not isinstance(decision, TryAgain):
            return decision
        return decide(failure, attempt=1, elapsed_s=0.0, chance=0.0, policy=never)

    return decides(change)


# --- other ways of being wrong --------------------------------------------------------------------


class Deaf(AsksAgain):
    """It takes a stream that just ends for a success."""

    def __init__(self, base_url: str, api_key: str) -> None:
        super().__init__(async_reference(base_url, api_key))

    async def _events(self, wanted: dict[str, Any]) -> AsyncIterator[Any]:
        try:
            async for event in super()._events(wanted):
                yield event
        except StreamCutError:
            return


class Stubborn(AsksAgain):
    """Its caller may cancel; it finishes what it began."""

    def __init__(self, base_url: str, api_key: str) -> None:
        def remember(_failure: Failure, decision: Decision, _attempt: int) -> Decision:
            self._failed = True
            return decision

        super().__init__(decides(remember)(base_url, api_key))
        self._failed = False
        self._working: set[asyncio.Task[Any]] = set()

    async def generate(self, **wanted: Any) -> Any:
        """An image, for somebody."""
        if wanted.get("stream"):
            return self._events(wanted)
        task = asyncio.ensure_future(self._inner.images.generate(**wanted))
        self._working.add(task)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if self._failed:  # between two attempts it does as it is told
                task.cancel()
            raise

    async def close(self) -> None:
        """Let go at last."""
        for task in self._working:
            task.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)
        await super().close()


class StubbornInWaiting(AsksAgain):
    """A cancel that comes while it waits to ask again is swallowed."""

    def __init__(self, base_url: str, api_key: str) -> None:
        super().__init__(gives_up(429)(base_url, api_key))

    async def generate(self, **wanted: Any) -> Any:
        """An image, whoever waits."""
        if wanted.get("stream"):
            return self._events(wanted)
        wanted.setdefault("extra_headers", {"idempotency-key": uuid.uuid4().hex})
        waits_s = 2.0
        for attempt in range(1, 5):
            try:
                return await self._inner.images.generate(**wanted)
            except openai.RateLimitError as error:
                seen = _failure(error)
                if seen.code != "rate_limit_exceeded" or "timeout" in wanted:
                    raise
                waits_s = _GENTLE.wait_s(attempt, seen.retry_after_s, random.random())
            try:
                await asyncio.sleep(waits_s)
            except asyncio.CancelledError:
                await asyncio.sleep(self.pause_s)
        return await self._inner.images.generate(**wanted)


class SendsAnyway(AsksAgain):
    """It puts back one parameter that had been taken out."""

    def __init__(self, base_url: str, api_key: str, *, name: str) -> None:
        inner = async_reference(base_url, api_key)
        super().__init__(inner)
        prepare = inner._prepare

        def prepared(wanted: dict[str, Any]) -> Prepared:
            made = prepare(wanted)
            if name in wanted:
                made.sent[name] = wanted[name]
            return made

        inner._prepare = prepared  # type: ignore[method-assign]


class Talkative(AsksAgain):
    """It logs what it sends, key and all."""

    def __init__(self, base_url: str, api_key: str) -> None:
        super().__init__(async_reference(base_url, api_key))
        logging.getLogger("talkative").debug("a client for %s with %s", base_url, api_key)


class CountsRequests(AsksAgain):
    """Three requests at once, however many images each of them asks for."""

    def __init__(self, base_url: str, api_key: str) -> None:
        inner = async_reference(base_url, api_key)
        super().__init__(inner)
        inner._places.weight = lambda images: 1 if images else 0  # type: ignore[method-assign]


class Swallows(AsksAgain):
    """Returns None where it should raise."""

    def __init__(self, base_url: str, api_key: str, what: Callable[[BaseException], bool]) -> None:
        super().__init__(async_reference(base_url, api_key))
        self._what = what

    async def generate(self, **wanted: Any) -> Any:
        """An image, its events, or nothing."""
        if wanted.get("stream"):
            return await super().generate(**wanted)
        try:
            return await super().generate(**wanted)
        except Exception as error:
            if self._what(error):
                return None
            raise


def swallows(what: Callable[[BaseException], bool]) -> Callable[..., Any]:
    """A maker of clients that keep such errors to themselves."""
    return lambda base_url, api_key: Swallows(base_url, api_key, what)


class LetsFiveIn(AsksAgain):
    """Five requests at once; only where each asks for more than one image is it careful."""

    def __init__(self, base_url: str, api_key: str) -> None:
        inner = async_reference(base_url, api_key, most_at_once=5)
        super().__init__(inner)
        inner._places.weight = lambda images: 1 if images == 1 else 5  # type: ignore[method-assign]


class OtherKeys(AsksAgain):
    """The reference client with other headers on its attempts."""

    def __init__(self, base_url: str, api_key: str, *, key: Callable[[], dict[str, str]]) -> None:
        inner = async_reference(base_url, api_key)
        super().__init__(inner)

        class OthersHeaders(Judge):
            """Its headers are others."""

            @property
            def headers(self) -> dict[str, str]:
                count = {"x-stainless-retry-count": str(self.attempts - 1)}
                return count | key()

        made = inner._judge

        def judge(now_s: Callable[[], float], prepared: Prepared) -> Judge:
            return OthersHeaders(made(now_s, prepared)._policy, now_s, decide)

        inner._judge = judge  # type: ignore[method-assign]


class Unhurried(AsksAgain):
    """It forgets by when its caller wants the image."""

    def __init__(self, base_url: str, api_key: str) -> None:
        super().__init__(async_reference(base_url, api_key))

    async def generate(self, **wanted: Any) -> Any:
        """An image, some day."""
        wanted.pop("timeout", None)
        return await super().generate(**wanted)


def to_the_second(failure: Failure, decision: Decision, _attempt: int) -> Decision:
    """Five seconds if five seconds are asked for, and not a moment more."""
    if isinstance(decision, TryAgain) and failure.status == 429 and failure.retry_after_s == 5.0:
        return replace(decision, after_s=5.0)
    return decision


MODERATION = refused(400, "moderation_blocked", "image_generation_user_error")


def _late(error: BaseException) -> bool:
    """A block that came after as long as an image takes: only the output filter is that slow."""
    return MODERATION(error) and asyncio.get_running_loop().time() > 60


def _early(error: BaseException) -> bool:
    return MODERATION(error) and asyncio.get_running_loop().time() < 60


FAULTS: dict[str, Callable[..., Any]] = {
    **{f"unknown-{status}": asks_again_after(page(status)) for status in (504, 524, 502, 499)},
    "unknown-reset": asks_again_after(caused_by("ReadError")),
    "unknown-closed": asks_again_after(caused_by("RemoteProtocolError", "Server disconnected")),
    "unknown-truncated": asks_again_after(caused_by("RemoteProtocolError", "incomplete")),
    "unknown-half-json": asks_again_for_a_whole_answer_after(streamed(StreamCutError)),
    "unknown-timeout": asks_again_for_a_whole_answer_after(streamed(openai.APITimeoutError)),
    "stream-error": asks_again_after(streamed(openai.APIError, "image_generation_failed")),
    "stream-incomplete": asks_again_for_events_after(streamed(StreamCutError)),
    "stream-incomplete-told": Deaf,
    "stream-stall": asks_again_for_events_after(streamed(openai.APITimeoutError)),
    "rate-seconds": hurried(1.0, _asked(429, 4.5, 5.5)),
    "rate-milliseconds": hurried(1.0, _asked(429, 3.0, 3.8)),
    "rate-date": hurried(1.0, _asked(429, 7.5, 9.5)),
    "rate-121": hurried(0.5, _asked(429, 100, 200)),
    "rate-growing": decides(never_grows),
    "rate-spread": decides(no_chance),
    "rate-bounded": lambda base_url, api_key: async_reference(
        base_url, api_key, policy=Policy(attempts=1000, total_s=3_000.0, most_wait_s=60.0)
    ),
    "rate-recovers": gives_up(429),
    "never-quota": asks_again_after(refused(429, "insufficient_quota", "insufficient_quota")),
    "never-moderation-input": asks_again_after(_early),
    "never-moderation-output": asks_again_after(_late),
    "never-moderation-stream": asks_again_after(streamed(openai.APIError, "moderation_blocked")),
    "never-400": asks_again_after(refused(400, "invalid_value", "invalid_request_error")),
    "never-401": asks_again_after(refused(401, "invalid_api_key", "invalid_request_error")),
    "never-403": asks_again_after(refused(403, None, "invalid_request_error")),
    "overload-polite": hurried(1.0, _asked(503, 4.5, 5.5)),
    "overload-recovers": gives_up(503),
    "overload-told-not-to": asks_again_after(
        refused(503, "server_is_overloaded", "service_unavailable_error")
    ),
    "crowd-three": LetsFiveIn,
    "crowd-n": CountsRequests,
    "total-bounded": lambda base_url, api_key: async_reference(
        base_url, api_key, policy=Policy(total_s=2_000.0), stall_s=2_000.0
    ),
    "cancel-waiting": Stubborn,
    "cancel-between": StubbornInWaiting,
    "strip-response-format": lambda base_url, api_key: SendsAnyway(base_url, api_key, name="response_format"),
    "strip-style": lambda base_url, api_key: SendsAnyway(base_url, api_key, name="style"),
    "key-kept": Talkative,
    "told-refused": swallows(refused(400, "invalid_value", "invalid_request_error")),
    "told-unknown": swallows(page(504)),
    "rate-storm": decides(to_the_second),
    "deadline-kept": Unhurried,
    "idempotency-kept": lambda base_url, api_key: OtherKeys(
        base_url, api_key, key=lambda: {"idempotency-key": uuid.uuid4().hex}
    ),
    "idempotency-sent": lambda base_url, api_key: OtherKeys(base_url, api_key, key=dict),
}
