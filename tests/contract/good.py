"""Clients that do nothing wrong, and not what a judge expects: a table of small habits around one that is right.

`ASYNC` are made in this process, `SYNC` in a child process that finds them by name, `PROGRAMS` are commands. A
client may do without what is only advised; it says so in `lacks`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import openai
import tenacity

from tests.contract import good_sync, planted
from whocut.client import around, async_reference
from whocut.client.policy import Decision, Policy, Stop, TryAgain, decide
from whocut.client.transports import wire

if TYPE_CHECKING:
    from collections.abc import Callable

REJECTED = ("response_format", "style")
RECOVERS = frozenset({"rate-recovers", "overload-recovers"})
# What nothing can be said of where a request is asked for once, or twice.
ONCE = frozenset({"rate-growing", "rate-spread", "rate-storm", "idempotency-kept", "cancel-between"})
TWICE = frozenset({"rate-growing"})
log = logging.getLogger(__name__)


# --- what an async client does around a request ---------------------------------------------------


async def plain(client: AroundAsync, wanted: dict[str, Any]) -> Any:
    """Nothing."""
    return await client.ask(**wanted)


async def lists_models(client: AroundAsync, wanted: dict[str, Any]) -> Any:
    """GET /v1/models, every time."""
    await client.beside.models.list()
    return await client.ask(**wanted)


async def looks_at_the_model(client: AroundAsync, wanted: dict[str, Any]) -> Any:
    """GET /v1/models/gpt-image-2, which may be unknown."""
    with contextlib.suppress(openai.APIStatusError):
        await client.beside.models.retrieve("gpt-image-2")
    return await client.ask(**wanted)


async def moderates(client: AroundAsync, wanted: dict[str, Any]) -> Any:
    """POST /v1/moderations; where that cannot be done it asks all the same."""
    with contextlib.suppress(openai.APIStatusError):
        await client.beside.moderations.create(input=str(wanted["prompt"]))
    return await client.ask(**wanted)


async def uploads_a_file(client: AroundAsync, wanted: dict[str, Any]) -> Any:
    """POST /v1/files, with what its images shall look like."""
    with contextlib.suppress(openai.APIStatusError):
        await client.beside.files.create(file=("style.txt", b"like a woodcut"), purpose="vision")
    return await client.ask(**wanted)


async def fetches_a_token(client: AroundAsync, wanted: dict[str, Any]) -> Any:
    """POST /v1/oauth/token; here is none, and its key will do."""
    with contextlib.suppress(openai.APIStatusError):
        await client.beside.post("/oauth/token", body={"grant_type": "client_credentials"}, cast_to=dict)
    return await client.ask(**wanted)


async def has_its_prompt_rewritten(client: AroundAsync, wanted: dict[str, Any]) -> Any:
    """POST /v1/responses for text alone."""
    with contextlib.suppress(openai.APIStatusError):
        await client.beside.responses.create(model="gpt-5.2", input=str(wanted["prompt"]))
    return await client.ask(**wanted)


async def counts_tokens(client: AroundAsync, wanted: dict[str, Any]) -> Any:
    """POST /v1/responses/input_tokens."""
    with contextlib.suppress(openai.APIStatusError):
        await client.beside.post(
            "/responses/input_tokens", body={"model": "gpt-5.2", "input": "x"}, cast_to=dict
        )
    return await client.ask(**wanted)


async def is_slow_to_start(client: AroundAsync, wanted: dict[str, Any]) -> Any:
    """A minute of its own before its first request, and none before the others; a hurried caller gets none."""
    if client.fresh and "timeout" not in wanted:
        client.fresh = False
        await asyncio.sleep(60)
    return await client.ask(**wanted)


async def refuses_parameters(client: AroundAsync, wanted: dict[str, Any]) -> Any:
    """Raises for what the API would reject, and sends nothing."""
    for name in REJECTED:
        if name in wanted:
            raise TypeError(f"this client has no parameter '{name}'")
    return await client.ask(**wanted)


async def in_a_task(client: AroundAsync, wanted: dict[str, Any]) -> Any:
    """A task of its own, awaited."""
    return await asyncio.create_task(client.ask(**wanted))


async def in_a_task_group(client: AroundAsync, wanted: dict[str, Any]) -> Any:
    """A group with one task; its error is the caller's."""
    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(client.ask(**wanted))
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return task.result()


async def through_anyio(client: AroundAsync, wanted: dict[str, Any]) -> Any:
    """Anyio's deadline around it."""
    with anyio.fail_after(800):
        return await client.ask(**wanted)


async def with_a_deadline(client: AroundAsync, wanted: dict[str, Any]) -> Any:
    """A deadline of its own, shorter than most."""
    async with asyncio.timeout(float(wanted.get("timeout", 500.0))):
        return await client.ask(**wanted)


async def with_wait_for(client: AroundAsync, wanted: dict[str, Any]) -> Any:
    """asyncio.wait_for."""
    return await asyncio.wait_for(client.ask(**wanted), 850)


async def one_at_a_time(client: AroundAsync, wanted: dict[str, Any]) -> Any:
    """A lock around each request."""
    async with client.lock:
        return await client.ask(**wanted)


async def by_a_queue(client: AroundAsync, wanted: dict[str, Any]) -> Any:
    """A queue, and two workers that take from it; what its caller gives up is given up there too."""
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    await client.queue.put((wanted, answer))
    while len(client.workers) < 2:
        client.workers.append(asyncio.create_task(_works(client)))
    return await answer


async def _works(client: AroundAsync) -> None:
    while True:
        wanted, answer = await client.queue.get()
        asking = asyncio.create_task(client.ask(**wanted))
        answer.add_done_callback(lambda _done, asking=asking: asking.cancel())
        try:
            made = await asking
        except BaseException as error:  # noqa: BLE001  # it is the caller's
            if not answer.done():
                answer.set_exception(error)
        else:
            if not answer.done():
                answer.set_result(made)


async def with_a_gap(client: AroundAsync, wanted: dict[str, Any]) -> Any:
    """At most one request a second begins."""
    async with client.lock:
        await asyncio.sleep(1.0)
    return await client.ask(**wanted)


async def logs_its_steps(client: AroundAsync, wanted: dict[str, Any]) -> Any:
    """A word before, and one after."""
    log.info("asking for %s", wanted["prompt"])
    answer = await client.ask(**wanted)
    log.info("done")
    return answer


async def reads_the_stream_itself(client: AroundAsync, wanted: dict[str, Any]) -> Any:
    """Hands on a stream as a list of its events."""
    answer = await client.ask(**wanted)
    return [event async for event in answer] if wanted.get("stream") else answer


async def tries_again_where_no_connection_was_made(client: AroundAsync, wanted: dict[str, Any]) -> Any:
    """Tenacity around it, for what never left this machine."""

    def never_left(error: BaseException) -> bool:
        return isinstance(error.__cause__, wire.ConnectError)

    retrying = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception(never_left), stop=tenacity.stop_after_attempt(3), reraise=True
    )
    return await retrying(client.ask, **wanted)


class AroundAsync:
    """The async reference client behind one habit; `beside` is for what it asks for beside images."""

    def __init__(
        self, base_url: str, api_key: str, *, habit: Callable[..., Any] = plain, **options: Any
    ) -> None:
        self.inner = async_reference(base_url, api_key, **options)
        self.beside = openai.AsyncOpenAI(base_url=base_url, api_key=api_key, max_retries=0)
        self.habit = habit
        self.fresh = True
        self.lock = asyncio.Lock()
        self.queue: asyncio.Queue[Any] = asyncio.Queue()
        self.workers: list[asyncio.Task[None]] = []
        self.images = self

    async def ask(self, **wanted: Any) -> Any:
        """An image, as the contract has it."""
        return await self.inner.images.generate(**wanted)

    async def generate(self, **wanted: Any) -> Any:
        """An image, with the habit."""
        return await self.habit(self, wanted)

    async def close(self) -> None:
        """Close all of it."""
        for worker in self.workers:
            worker.cancel()
        await self.inner.close()
        await self.beside.close()


class ReturnsAwaitable(AroundAsync):
    """A plain function that hands the coroutine on: not a coroutine function, and not a client that blocks."""

    def generate(self, **wanted: Any) -> Any:
        """What is awaited is the inner client's."""
        return self.ask(**wanted)


class OneForEach:
    """A new client, with connections of its own, for each request, three at once."""

    def __init__(self, base_url: str, api_key: str) -> None:
        self.made = functools.partial(async_reference, base_url, api_key)
        self.places = asyncio.Semaphore(3)
        self.images = self

    async def generate(self, **wanted: Any) -> Any:
        """An image; its events as a list."""
        images = min(3, int(wanted.get("n", 1)))
        async with self.places:
            for _ in range(images - 1):
                await self.places.acquire()
            try:
                async with self.made() as client:
                    answer = await client.images.generate(**wanted)
                    return [event async for event in answer] if wanted.get("stream") else answer
            finally:
                for _ in range(images - 1):
                    self.places.release()


# --- how it waits -----------------------------------------------------------------------------------


def waits(how: Callable[[int, float], float], after: Callable[[float], float | None] | None = None) -> Any:
    """A decision with other waits: `how` by attempt and chance, `after` by what was asked (None: it gives up)."""

    def decided(failure: Any, *, attempt: int, chance: float, policy: Policy, **more: Any) -> Decision:
        told = decide(failure, attempt=attempt, chance=chance, policy=policy, **more)
        if not isinstance(told, TryAgain):
            return told
        if failure.retry_after_s is None:
            return TryAgain(how(attempt, chance), told.why)
        if after is None:
            return told
        wait_s = after(failure.retry_after_s)
        return (
            Stop("it asks for more than this client has")
            if wait_s is None
            else TryAgain(wait_s * (1 + chance / 4), told.why)
        )

    return decided


def only_the_rate_limit(failure: Any, **more: Any) -> Decision:
    """Tries a 429 again, and nothing else."""
    told = decide(failure, **more)
    return told if failure.status == 429 else Stop(told.why)


def fibonacci(attempt: int, chance: float) -> float:
    """2, 4, 6, 10, 16 s, up to a quarter less."""
    return (2.0, 4.0, 6.0, 10.0, 16.0)[min(attempt, 5) - 1] * (1 - chance / 4)


def own_pool(base_url: str, api_key: str, most: int) -> openai.AsyncOpenAI:
    """The SDK over connections of its own, so many at most."""
    pool = wire.AsyncClient(limits=wire.Limits(max_connections=most), follow_redirects=False)
    return openai.AsyncOpenAI(base_url=base_url, api_key=api_key, http_client=pool)


# --- the tables -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Good:
    """A good client: `make` is called with base_url and api_key.

    `lacks` is advice that it does without. `untried` are checks that say nothing of it: it refuses to send what
    they are about, or asks again too seldom. `quick`: it is held to the contract in each run of the tests.
    """

    make: Callable[..., Any]
    lacks: frozenset[str] = field(default_factory=frozenset)
    untried: frozenset[str] = field(default_factory=frozenset)
    quick: bool = False


def habit(how: Callable[..., Any], *, quick: bool = False, untried: frozenset[str] = frozenset()) -> Good:
    """The reference client with this habit."""
    return Good(make=functools.partial(AroundAsync, habit=how), quick=quick, untried=untried)


def policy(
    lacks: frozenset[str] = frozenset(), untried: frozenset[str] = frozenset(), **options: Any
) -> Good:
    """The reference client with these options."""
    return Good(make=functools.partial(async_reference, **options), lacks=lacks, untried=untried)


ASYNC: dict[str, Good] = {
    "lists models first": habit(lists_models, quick=True),
    "moderates first": habit(moderates, quick=True),
    "refuses parameters itself": habit(
        refuses_parameters, quick=True, untried=frozenset({"strip-response-format", "strip-style"})
    ),
    "returns an awaitable": Good(make=ReturnsAwaitable, quick=True),
    "looks at the model first": habit(looks_at_the_model),
    "uploads a file first": habit(uploads_a_file),
    "fetches a token first": habit(fetches_a_token),
    "has its prompt rewritten first": habit(has_its_prompt_rewritten),
    "counts tokens first": habit(counts_tokens),
    # Its caller has gone before it begins.
    "slow to start": habit(is_slow_to_start, untried=frozenset({"cancel-waiting", "cancel-between"})),
    "asks in a task": habit(in_a_task),
    "asks in a task group": habit(in_a_task_group),
    "asks through anyio": habit(through_anyio),
    "has a deadline of its own": habit(with_a_deadline),
    "asks with wait_for": habit(with_wait_for),
    "asks one at a time": habit(one_at_a_time),
    "has a queue and workers": habit(by_a_queue),
    "begins one a second": habit(with_a_gap),
    "logs its steps": habit(logs_its_steps),
    "reads streams itself": habit(reads_the_stream_itself),
    "tenacity where no connection was made": habit(tries_again_where_no_connection_was_made),
    "a client for each request": Good(make=OneForEach),
    "a pool of two connections": Good(make=lambda base_url, api_key: around(own_pool(base_url, api_key, 2))),
    "a pool of a hundred": Good(make=lambda base_url, api_key: around(own_pool(base_url, api_key, 100))),
    "never tries again": policy(RECOVERS, ONCE, policy=Policy(attempts=1)),
    "tries twice": policy(untried=TWICE, policy=Policy(attempts=2)),
    "tries eight times": policy(policy=Policy(attempts=8)),
    "begins with half a second": policy(policy=Policy(first_wait_s=0.5)),
    "begins with ten seconds": policy(policy=Policy(first_wait_s=10.0)),
    "waits twenty seconds at most": policy(policy=Policy(most_wait_s=20.0, attempts=7)),
    "gives up after two minutes": policy(policy=Policy(total_s=400.0)),
    "full jitter": policy(decide=waits(lambda attempt, chance: chance * 4.0 * 2**attempt)),
    "equal jitter": policy(decide=waits(lambda attempt, chance: 2.0**attempt * (0.5 + chance / 2))),
    "decorrelated jitter": policy(decide=waits(lambda attempt, chance: 2 + chance * (2.0 * 3**attempt - 2))),
    "linear waits": policy(decide=waits(lambda attempt, chance: 2.0 * attempt * (1 + chance / 4))),
    "Fibonacci's waits": policy(decide=waits(fibonacci)),
    "a second more than was asked": policy(decide=waits(fibonacci, lambda asked_s: asked_s + 1.0)),
    "twice what was asked": policy(decide=waits(fibonacci, lambda asked_s: 2 * asked_s)),
    "gives up where it shall wait long": policy(
        untried=frozenset({"cancel-between"}),
        decide=waits(fibonacci, lambda asked_s: None if asked_s > 60 else asked_s),
    ),
    "tries a 429 alone again": policy(frozenset({"overload-recovers"}), decide=only_the_rate_limit),
    "one image at a time": policy(most_at_once=1),
    "two images at a time": policy(most_at_once=2),
}
# In a child process each, by hand or around the sync reference client.
SYNC = tuple(good_sync.HABITS)

_BY_HAND = f"{shlex.quote(sys.executable)} -I {shlex.quote(str(Path(planted.__file__)))} none"
# Programs that read what they shall ask for.
PROGRAMS: dict[str, str] = {
    "by hand": _BY_HAND,
    "slow to start": f"sh -c 'sleep 3; exec {_BY_HAND}'",
    "says much": f"sh -c 'seq 20000; exec {_BY_HAND}'",
    "behind env": f"env -u LANG {_BY_HAND}",
    "behind nice": f"nice -n 1 {_BY_HAND}",
    "a child of a shell": f"sh -c 'trap \"kill $!\" TERM; {_BY_HAND} & wait $!'",
    "lists models first": f"{shlex.quote(sys.executable)} -I -c "
    + shlex.quote(
        "import os, runpy, sys, urllib.request as u;"
        "u.urlopen(u.Request(os.environ['OPENAI_BASE_URL'] + '/models',"
        " headers={'Authorization': 'Bearer ' + os.environ['OPENAI_API_KEY']})).read();"
        f"sys.argv = ['planted', 'none']; runpy.run_path({str(Path(planted.__file__))!r}, run_name='__main__')"
    ),
}
