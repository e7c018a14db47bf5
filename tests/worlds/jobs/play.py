"""Playing a world of jobs in virtual time: real sockets, real hops, a real HTTP client, the mock behind them."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import web

from tests.worlds.jobs.world import ABSENT, LATE, JobWorld, Part, Story
from tests.worlds.play import client_of
from tests.worlds.world import Truth
from whocut.client.asking import Asking, asking_for, part_of_job
from whocut.client.transports import wire
from whocut.clock import VirtualLoop, run_virtual
from whocut.path.chain import start_chain
from whocut.path.ports import held_port
from whocut.trace.generations import generation_span
from whocut.trace.records import Part as PartOfJob
from whocut_mock import ModelClock, Settings, serve
from whocut_mock.ledger import line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from whocut.trace.records import Span
    from whocut_mock import Running

_EPOCH_UNIX_S: Final = 1_795_305_600.0
_SETTLES_S: Final = 5_000.0
_PICTURE: Final = {"size": "1024x1024", "quality": "high", "output_format": "webp", "output_compression": 1}
_OVER: Final = frozenset({"completed", "failed", "cancelled"})
_KEY: Final = {"Authorization": "Bearer sk-of-the-worlds"}
_EVENTS: Final = ["response.completed", "response.failed", "response.cancelled", "response.incomplete"]


def play(world: JobWorld) -> tuple[list[Span], list[dict[str, Any]], list[Story]]:
    """Every span that was written, the generations' among them, the ledger, and the callers' stories."""
    return run_virtual(_play(world))


async def _play(world: JobWorld) -> tuple[list[Span], list[dict[str, Any]], list[Story]]:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    clock = loop.clock()
    spans: list[Span] = []
    async with AsyncExitStack() as stack:
        mock = await serve(Settings(), clock=ModelClock(epoch_unix_s=_EPOCH_UNIX_S), warm=())
        stack.push_async_callback(mock.close)
        told = await stack.enter_async_context(_receiver(world, mock))
        chain = await start_chain(
            world.topology, upstream=("127.0.0.1", mock.port), clock=clock, sink=spans.append
        )
        stack.push_async_callback(chain.close)
        async with client_of(world.topology.client, clock, spans) as client:
            callers = [
                _Caller(client, f"{chain.base_url}/responses", Story(plan), told) for plan in world.plans
            ]
            await asyncio.gather(*(caller.live() for caller in callers))
        await asyncio.sleep(_SETTLES_S)
        rows = [orjson.loads(line(row)) for row in mock.ledger.rows()]
    spans += [generation_span(row) for row in rows]
    return spans, rows, [caller.story for caller in callers]


class _Told:
    """Whose jobs are over, by accepted callbacks."""

    def __init__(self) -> None:
        self._events: dict[str, asyncio.Event] = {}

    def of(self, job_id: str) -> asyncio.Event:
        return self._events.setdefault(job_id, asyncio.Event())


@asynccontextmanager
async def _receiver(world: JobWorld, mock: Running) -> AsyncIterator[_Told]:
    """The world's receiver, known to the mock; none where the world has none."""
    told = _Told()
    if world.answers is None:
        yield told
        return

    async def take(request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        if world.answers == LATE:
            await asyncio.sleep(60)
        status = world.answers if isinstance(world.answers, int) else 200
        if world.answers == 200:
            told.of(body["data"]["id"]).set()
        return web.Response(status=status, headers={"Location": "/elsewhere"} if status == 302 else {})

    app = web.Application()
    app.router.add_post("/hook", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    with held_port() as unused:
        port = unused
        if world.answers != ABSENT:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            port = runner.addresses[0][1]
        endpoint = {"name": "worlds", "url": f"http://127.0.0.1:{port}/hook", "event_types": _EVENTS}
        async with wire.AsyncClient(trust_env=False) as client:
            answer = await client.post(f"{mock.base_url}/webhook_endpoints", json=endpoint, headers=_KEY)
            assert answer.status_code == 200, answer.text
        try:
            yield told
        finally:
            await runner.cleanup()


class _Caller:
    """The caller of one job, who keeps its story."""

    def __init__(self, client: wire.AsyncClient, url: str, story: Story, told: _Told) -> None:
        self._client, self._url, self._told = client, url, told
        self.story = story
        self._plan = story.plan
        self._over = False

    async def live(self) -> None:
        """From the submit to what the plan ends in."""
        plan = self._plan
        await asyncio.sleep(plan.starts_s)
        with asking_for(Asking(request=plan.name)):
            job = await self._send(PartOfJob.SUBMIT, plan.submit, "POST", "", self._order())
            if job is None:
                return
            self.story.has_id = True
            await getattr(self, f"_{plan.does}")(str(job["id"]))

    def _order(self) -> dict[str, Any]:
        return {
            "model": "gpt-5",
            "input": f"a heron for {self._plan.name}",
            "tools": [{"type": "image_generation", **_PICTURE}],
            "background": True,
        }

    async def _polls(self, job_id: str) -> None:
        waited_s = 0.0
        for part in self._plan.polls:
            if waited_s > self._plan.gives_up_s:
                return
            await asyncio.sleep(self._plan.every_s)
            waited_s += self._plan.every_s
            await self._look(job_id, part)
            if self._over:
                return

    async def _cancels(self, job_id: str) -> None:
        await asyncio.sleep(self._plan.cancels_s)
        part = self._plan.polls[0]
        self.story.asked_to_cancel = True
        self._learn(await self._send(PartOfJob.CANCEL, part, "POST", f"/{job_id}/cancel", None))

    async def _leaves(self, job_id: str) -> None:
        """It asks for nothing."""

    async def _heeds(self, job_id: str) -> None:
        await self._unheeding(job_id)
        await asyncio.sleep(self._plan.fetches_s)
        await self._look(job_id, self._plan.polls[0])

    async def _unheeding(self, job_id: str) -> None:
        await self._told.of(job_id).wait()
        self.story.heard = True

    async def _look(self, job_id: str, part: Part) -> None:
        self._learn(await self._send(PartOfJob.POLL, part, "GET", f"/{job_id}", None))

    def _learn(self, job: dict[str, Any] | None) -> None:
        """What an answer that came whole says."""
        status = None if job is None else job.get("status")
        self._over = status in _OVER
        self.story.has_picture |= status == "completed"
        self.story.cancelled |= status == "cancelled"
        self.story.told_failed |= status == "failed"

    async def _send(
        self, kind: PartOfJob, part: Part, method: str, path: str, body: dict[str, Any] | None
    ) -> dict[str, Any] | None:
        """One part on the wire; None where no good answer came whole."""
        self.story.sent.append(part.truth)
        fault = self._plan.work if kind is PartOfJob.SUBMIT and self._plan.work else part.header
        headers = {**_KEY, "x-mock-fault": fault}
        try:
            with part_of_job(kind):
                async with asyncio.timeout(part.patience_s):
                    answer = await self._client.request(method, self._url + path, json=body, headers=headers)
        except (wire.HTTPError, TimeoutError):
            return None
        if answer.status_code == HTTPStatus.NOT_FOUND:
            self.story.sent[-1] = Truth(frozenset())  # it is kept no more; that is said at once
        if answer.status_code != HTTPStatus.OK:
            return None
        found: dict[str, Any] = answer.json()
        return found
