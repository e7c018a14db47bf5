"""A place for jobs in virtual time: the mock, the service before it, a receiver of callbacks, one caller."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web

from whocut.clock import run_virtual
from whocut.jobs.serve import JobsPlan, Service
from whocut.path.target import Target
from whocut_mock import ModelClock, Running, Settings, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
    from pathlib import Path

EPOCH_UNIX_S = 1_795_305_600.0
LATE = 0  # no status
ORDER: dict[str, Any] = {"prompt": "a heron in the fog", "quality": "low"}


def now_s() -> float:
    """The calendar in the loop's time."""
    return EPOCH_UNIX_S + asyncio.get_running_loop().time()


@dataclass
class Receiver:
    """A receiver of callbacks that answers by its script, and with 200 after that; `LATE` is a minute late."""

    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    got: list[tuple[float, Mapping[str, str], bytes]] = field(default_factory=list)
    url: str = ""

    async def take(self, request: web.Request) -> web.Response:
        """Keep a callback, and answer it."""
        self.got.append(
            (asyncio.get_running_loop().time(), dict(request.headers.items()), await request.read())
        )
        status, headers = self.answers.pop(0) if self.answers else (200, {})
        if status == LATE:
            await asyncio.sleep(60)
        return web.Response(status=200 if status == LATE else status, headers=headers)


@dataclass
class Place:
    """Where the service stands, what is behind it, and who calls it."""

    service: Service
    base_url: str
    entry: str
    unknown: int
    mock: Running
    session: aiohttp.ClientSession
    receiver: Receiver

    def headers(self, **more: str) -> dict[str, str]:
        """A program's headers; `_` in a name is `-`."""
        return {"Authorization": f"Bearer {self.service.door.token}"} | {
            name.replace("_", "-"): value for name, value in more.items()
        }

    async def ask(self, method: str, path: str, body: Any = None, **more: str) -> tuple[int, Any]:
        """One request with the token: the status, and the JSON of the answer."""
        async with self.session.request(
            method, self.base_url + path, json=body, headers=self.headers(**more)
        ) as answer:
            raw = await answer.read()
            return answer.status, json.loads(raw) if raw else None

    async def ended(self, job_id: str) -> Any:
        """The job when it is over, by polls."""
        while True:
            _, job = await self.ask("GET", f"/jobs/{job_id}")
            if job["over"]:
                return job
            await asyncio.sleep(2)

    async def in_state(self, job_id: str, status: str) -> None:
        """Wait until the job is in this state."""
        while self.service.store.get(job_id).state != status:  # noqa: ASYNC110  # virtual time passes meanwhile
            await asyncio.sleep(0.5)

    async def ordered(self, **fields: Any) -> str:
        """The id of a new job."""
        status, job = await self.ask("POST", "/jobs", ORDER | fields)
        assert status == 202, job
        return str(job["id"])

    @property
    def billed(self) -> int:
        """How many generations the mock has billed."""
        return sum(row.billed for row in self.mock.ledger.rows())


@asynccontextmanager
async def a_mock(settings: Settings | None = None, scale: float = 1.0) -> AsyncIterator[Running]:
    """The mock on the loop's own clock, divided by `scale`."""
    clock = ModelClock(scale, epoch_unix_s=EPOCH_UNIX_S)
    running = await serve(settings or Settings(), clock=clock, warm=())
    try:
        yield running
    finally:
        await running.close()


@asynccontextmanager
async def a_service(
    mock: Running, store: Path, *, calendar: Callable[[], float] = now_s, **options: Any
) -> AsyncIterator[Place]:
    """The service before a mock, and a receiver."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    plan: dict[str, Any] = {"at_once": 3, "budget_usd": None} | options
    service = Service(
        JobsPlan(
            to=Target.parse(mock.base_url),
            host="127.0.0.1",
            port=0,
            store=store,
            api_key="sk-made-up-for-the-tests",
            **plan,
        ),
        calendar,
    )
    ready = await service.start()
    try:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            yield Place(service, ready.base_url, ready.entry, ready.unknown, mock, session, receiver)
    finally:
        hurried = asyncio.Event()
        hurried.set()
        await service.stop(hurried)
        await runner.cleanup()


def on_place(
    play: Callable[[Place], Coroutine[Any, Any, None]],
    store: Path,
    settings: Settings | None = None,
    **options: Any,
) -> None:
    """Play it in virtual time."""

    async def run() -> None:
        async with a_mock(settings) as mock, a_service(mock, store, **options) as place:
            await play(place)

    run_virtual(run())
