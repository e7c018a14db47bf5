"""Sync clients that do nothing wrong, each the one by hand, or the reference client, behind a small habit.

A child process finds each under its name here: ``tests.contract.good_sync:lists_models``.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import logging
import os
import queue
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import openai

from tests.contract import planted
from whocut.client import async_reference, reference

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)


class Around:
    """The client by hand behind one habit; `beside` is for what it asks for beside images."""

    def __init__(
        self, base_url: str, api_key: str, *, habit: Callable[..., Any], slow_s: float = 0.0
    ) -> None:
        if slow_s:
            time.sleep(slow_s)  # noqa: TID251  # a stranger, with a clock of its own
        self.base_url, self.api_key = base_url, api_key
        self.inner = planted.Client(base_url, api_key)
        self.habit = habit
        self.pool = ThreadPoolExecutor(8)
        self.jobs: queue.Queue[Any] = queue.Queue()
        self.worker: threading.Thread | None = None
        self.turn = threading.Lock()
        self.images = self

    @functools.cached_property
    def beside(self) -> openai.OpenAI:
        """The SDK, which takes a while to be made."""
        return openai.OpenAI(base_url=self.base_url, api_key=self.api_key, max_retries=0)

    def ask(self, **wanted: Any) -> Any:
        """An image, as the contract has it."""
        return self.inner.generate(**wanted)

    def generate(self, **wanted: Any) -> Any:
        """An image, with the habit."""
        return self.habit(self, wanted)

    def close(self) -> None:
        """Let its threads go."""
        self.pool.shutdown(wait=False)


def plain(client: Around, wanted: dict[str, Any]) -> Any:
    """Nothing."""
    return client.ask(**wanted)


def lists_models(client: Around, wanted: dict[str, Any]) -> Any:
    """GET /v1/models."""
    client.beside.models.list()
    return client.ask(**wanted)


def moderates(client: Around, wanted: dict[str, Any]) -> Any:
    """POST /v1/moderations; where that cannot be done it asks all the same."""
    with contextlib.suppress(openai.APIStatusError):
        client.beside.moderations.create(input=str(wanted["prompt"]))
    return client.ask(**wanted)


def in_a_pool(client: Around, wanted: dict[str, Any]) -> Any:
    """A thread of its own pool."""
    return client.pool.submit(client.ask, **wanted).result()


def by_a_queue(client: Around, wanted: dict[str, Any]) -> Any:
    """A queue, and one thread that takes from it."""
    with client.turn:
        if client.worker is None:
            client.worker = threading.Thread(target=_works, args=(client,), daemon=True)
            client.worker.start()
    answer: Future[Any] = Future()
    client.jobs.put((wanted, answer))
    return answer.result()


def _works(client: Around) -> None:
    while True:
        wanted, answer = client.jobs.get()
        try:
            answer.set_result(client.ask(**wanted))
        except Exception as error:  # noqa: BLE001  # it is the caller's
            answer.set_exception(error)


def through_asyncio(client: Around, wanted: dict[str, Any]) -> Any:
    """A loop for each request, and a thread below it."""
    return asyncio.run(asyncio.to_thread(client.ask, **wanted))


def through_anyio(client: Around, wanted: dict[str, Any]) -> Any:
    """The same with anyio."""
    return anyio.run(functools.partial(anyio.to_thread.run_sync, functools.partial(client.ask, **wanted)))


def with_an_async_client(client: Around, wanted: dict[str, Any]) -> Any:
    """The async reference client in a loop for each request, one at a time."""

    async def ask() -> Any:
        async with async_reference(client.base_url, client.api_key) as inner:
            answer = await inner.images.generate(**wanted)
            return [event async for event in answer] if wanted.get("stream") else answer

    with client.turn:
        return asyncio.run(ask())


def as_a_program(client: Around, wanted: dict[str, Any]) -> Any:
    """A program of its own for each request, one at a time."""
    given = {
        **os.environ,
        "OPENAI_BASE_URL": client.base_url,
        "OPENAI_API_KEY": client.api_key,
        "WHOCUT_ASKS": json.dumps([wanted]),
    }
    command = [sys.executable, "-I", str(Path(planted.__file__)), "none"]
    with client.turn:
        subprocess.run(command, env=given, check=True, capture_output=True)
    return "an image"


def logs_its_steps(client: Around, wanted: dict[str, Any]) -> Any:
    """A word before, and one after."""
    log.info("asking for %s", wanted["prompt"])
    answer = client.ask(**wanted)
    log.info("done")
    return answer


def with_a_gap(client: Around, wanted: dict[str, Any]) -> Any:
    """At most one request a second begins."""
    with client.turn:
        time.sleep(1.0)  # noqa: TID251  # as above
    return client.ask(**wanted)


HABITS: dict[str, Callable[..., Any]] = {
    habit.__name__: habit
    for habit in (
        plain,
        lists_models,
        moderates,
        in_a_pool,
        by_a_queue,
        through_asyncio,
        through_anyio,
        with_an_async_client,
        as_a_program,
        logs_its_steps,
        with_a_gap,
    )
} | {"is_slow_to_start": plain, "with_the_reference": plain}


@functools.cache
def maker(name: str) -> Callable[..., Any]:
    """What makes the client of this name."""
    if name == "with_the_reference":
        return reference
    slow_s = 8.0 if name == "is_slow_to_start" else 0.0
    return functools.partial(Around, habit=HABITS[name], slow_s=slow_s)


def __getattr__(name: str) -> Callable[..., Any]:
    """Each maker under its name, so that another process can import it: ``made_lists_models``."""
    if not name.startswith("made_") or name.removeprefix("made_") not in HABITS:
        raise AttributeError(name)
    return maker(name.removeprefix("made_"))
