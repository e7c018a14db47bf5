"""The retry policy as a transport of httpx or httpx2, for any client that is built on one of them.

`retrying_transport` wraps the library's own transport, so nothing of the client changes but its retries, which
belong off. A transport sees one request until the head of its answer: it tries again what certainly did no work,
and waits as long as the answer asks. What breaks off after that head is the client's to see, and is never tried
again. Streams, places and prompts are the reference client's (`reference_client`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

import anyio
import tenacity

from whocut.client.ending import failure_in
from whocut.client.judge import Judge
from whocut.client.policy import Decision, Policy, TryAgain, decide
from whocut.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    import httpx
    import httpx2

    AnyTransport = TypeVar(
        "AnyTransport",
        bound=httpx.BaseTransport
        | httpx.AsyncBaseTransport
        | httpx2.BaseTransport
        | httpx2.AsyncBaseTransport,
    )

# The policy is one for work that costs money when it is begun; a read costs nothing, and its client knows best.
_ASKS_FOR_WORK = frozenset({"POST"})


def retrying_transport(
    inner: AnyTransport,
    *,
    policy: Policy | None = None,
    decide: Callable[..., Decision] = decide,
    clock: Clock | None = None,
) -> AnyTransport:
    """A transport with the policy around `inner`, sync or async as `inner` is.

    ``httpx2.Client(transport=retrying_transport(httpx2.HTTPTransport()))`` is a client for the SDK's `http_client`;
    the SDK's `max_retries` is then 0. A request's time is the client's read timer, and at most `policy.total_s`. It
    bounds the attempts, their timers and the waits between them, up to the head of the answer. What `inner` raises
    comes with a note that says why nothing was tried again. `clock` is for tests of our own.
    """
    return cast("AnyTransport", _Retrying(inner, policy or Policy(), decide, clock or Clock()))


class _Retrying:
    """Both faces: httpx asks for the one that its client has."""

    def __init__(self, inner: Any, policy: Policy, decide: Callable[..., Decision], clock: Clock) -> None:
        self._inner = inner
        self._policy = policy
        self._decide = decide
        self._clock = clock

    def handle_request(self, request: Any) -> Any:
        """Send a request until its answer is to be handed on."""
        if request.method not in _ASKS_FOR_WORK:
            return self._inner.handle_request(request)
        request.read()  # so that it can be sent twice
        attempts = _Attempts(request, self._judge(request, self._clock.now_s))

        def attempt() -> Any:
            answer = self._inner.handle_request(attempts.next())
            if _is_failure(answer):
                answer.read()
            return answer

        return tenacity.Retrying(
            retry=attempts.again,
            wait=attempts.judge.wait_s,
            sleep=self._clock.sleep,
            reraise=True,
        )(attempt)

    async def handle_async_request(self, request: Any) -> Any:
        """The same on asyncio or trio; its time is the loop's."""
        if request.method not in _ASKS_FOR_WORK:
            return await self._inner.handle_async_request(request)
        await request.aread()
        attempts = _Attempts(request, self._judge(request, anyio.current_time))

        async def attempt() -> Any:
            answer = await self._inner.handle_async_request(attempts.next())
            if _is_failure(answer):
                await answer.aread()
            return answer

        return await tenacity.AsyncRetrying(
            retry=attempts.again, wait=attempts.judge.wait_s, sleep=anyio.sleep, reraise=True
        )(attempt)

    def _judge(self, request: Any, now_s: Callable[[], float]) -> Judge:
        """A judge of one request; its read timer, the caller's patience until the head, is all of its time."""
        read_s, policy = request.extensions.get("timeout", {}).get("read"), self._policy
        if read_s is not None:
            policy = replace(policy, total_s=min(policy.total_s, read_s))
        return Judge(policy, now_s, self._decide)

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()

    def __enter__(self) -> Self:
        self._inner.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._inner.__exit__(kind, error, trace)

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._inner.__aexit__(kind, error, trace)


class _Attempts:
    """The attempts of one request: what each is sent with, and whether another follows."""

    def __init__(self, request: Any, judge: Judge) -> None:
        self._request = request
        self._limits_s: dict[str, float | None] = dict(request.extensions.get("timeout", {}))
        self.judge = judge

    def next(self) -> Any:
        """The request as its next attempt sends it: no timer is longer than what is left of the request's time."""
        self.judge.attempts += 1
        left_s = self.judge.left_s
        headers = self._request.headers
        ours = self.judge.headers
        headers.setdefault("idempotency-key", ours["idempotency-key"])
        if "x-stainless-retry-count" in headers:  # an SDK that counts
            headers["x-stainless-retry-count"] = ours["x-stainless-retry-count"]
        timers = dict.fromkeys(("connect", "read", "write", "pool")) | self._limits_s
        self._request.extensions["timeout"] = {
            name: left_s if limit_s is None else min(limit_s, left_s) for name, limit_s in timers.items()
        }
        return self._request

    def again(self, state: tenacity.RetryCallState) -> bool:
        """Whether the attempt that just ended is to be followed by another."""
        outcome = state.outcome
        if outcome is None or outcome.failed:
            return self.judge.again(state)
        answer = outcome.result()
        return _is_failure(answer) and isinstance(self.judge.decide(failure_in(answer)), TryAgain)


def _is_failure(answer: Any) -> bool:
    return bool(answer.status_code >= 400)


__all__ = ["retrying_transport"]
