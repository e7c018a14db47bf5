"""The service as a whole: a store, a worker, a sender of callbacks and a listener, until a signal."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiohttp import web

from whocut.clock.clock import calendar_s
from whocut.errors import BadInput, CouldNotRun
from whocut.jobs import guard
from whocut.jobs.events import Hub
from whocut.jobs.letters import Letters, letter_of
from whocut.jobs.service import PARTS, Parts, changed, create_app
from whocut.jobs.store import Store
from whocut.jobs.worker import Worker
from whocut.path.target import is_loopback
from whocut.redact import protect
from whocut.trace.peers import SERVER_LOG

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from whocut.path.target import Target

_CLOSING_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsPlan:
    """Where the service listens, to what it sends, and what it may spend (None: no bound)."""

    to: Target
    host: str
    port: int
    store: Path
    api_key: str
    at_once: int
    budget_usd: float | None


@dataclass(frozen=True, slots=True)
class Ready:
    """What a caller needs to know: `entry` lets one browser in, once; programs read the token's file."""

    base_url: str
    entry: str
    token_file: Path
    unknown: int  # jobs whose outcome is unknown since this start


class Service:
    """A service that runs. `stop` ends it in good order.

    Raises:
        BadInput: it should listen beyond this machine.
        CouldNotRun: the store or the port cannot be used.
    """

    def __init__(self, plan: JobsPlan, now_s: Callable[[], float] = calendar_s) -> None:
        if not is_loopback(plan.host):
            raise BadInput(
                f"the service listens on this machine only, and not on {plan.host}", field="listen"
            )
        protect(plan.api_key)
        self._plan = plan
        self._now_s = now_s
        self.store = Store(plan.store)
        try:
            self.door = guard.Door(guard.token_of(plan.store))
            protect(self.door.token, self.store.secret)
        except BaseException:
            self.store.close()
            raise
        self.hub = Hub()
        self._tasks: list[asyncio.Task[None]] = []
        self._runner: web.AppRunner | None = None
        self.worker = Worker(
            self.store,
            self.hub,
            base_url=plan.to.url,
            api_key=plan.api_key,
            at_once=plan.at_once,
            now_s=now_s,
            changed=lambda job_id: changed(self.parts, job_id),
            letter_of=letter_of,
        )
        self.letters = Letters(self.store, now_s)
        budget = None if plan.budget_usd is None else round(plan.budget_usd * 1e9)
        self.parts = Parts(self.store, self.hub, self.worker, self.letters, self.door, budget, now_s)

    async def start(self) -> Ready:
        """Begin to serve; what was under way when the service before ended is marked first."""
        unknown = self.store.recover(self._now_s(), letter_of)
        app = create_app(self.parts)
        assert app[PARTS] is self.parts
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_CLOSING_S, logger=SERVER_LOG)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._plan.host, self._plan.port)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise CouldNotRun(f"port {self._plan.port} cannot be taken: {error.strerror}") from None
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self.worker.run()), loop.create_task(self.letters.run())]
        host, port = self._runner.addresses[0][:2]
        shown = f"[{host}]" if ":" in host else host
        base_url = f"http://{shown}:{port}"
        file = guard.token_file(self._plan.store)
        return Ready(base_url, f"{base_url}/enter/{self.door.code}", file, len(unknown))

    async def died(self) -> None:
        """Wait for the end of a part that should never end, and raise what ended it."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            error = None if task.cancelled() else task.exception()
            if error is not None:
                raise CouldNotRun(f"the service cannot go on: {error}") from error

    async def stop(self, hurried: asyncio.Event) -> int:
        """Take no order, wait for what is under way, close; return how many outcomes are unknown.

        Polls and streams are answered, and callbacks sent, until the end. `hurried` leaves a few seconds.
        """
        self.parts.closing.set()
        sending, *others = self._tasks
        await _cancelled([sending])
        left = await self.worker.drain(hurried)
        await _cancelled(others)
        if self._runner is not None:
            await self._runner.cleanup()
        self.store.close()
        return left


async def _cancelled(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def serve(plan: JobsPlan, ready: Callable[[Ready], None], stopping: Stopping) -> int:
    """Serve until a signal; return how many outcomes are unknown by that.

    Raises:
        BadInput: it should listen beyond this machine.
        CouldNotRun: the store or the port cannot be used, or the disk is full.
    """
    service = Service(plan)
    try:
        told = await service.start()
    except BaseException:
        service.store.close()
        raise
    ready(told)
    waiting = asyncio.get_running_loop().create_task(stopping.asked.wait())
    dying = asyncio.get_running_loop().create_task(service.died())
    await asyncio.wait({waiting, dying}, return_when=asyncio.FIRST_COMPLETED)
    error = dying.exception() if dying.done() else None
    for task in (waiting, dying):
        task.cancel()
    await asyncio.gather(waiting, dying, return_exceptions=True)
    if error is not None:
        stopping.ask_at_once()
    left = await service.stop(stopping.hurried)
    if error is not None:
        raise error
    return left


class Stopping:
    """The wish to end: a Ctrl-C waits for the images that are being paid, a service manager's signal does not."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.hurried = asyncio.Event()

    def ask(self) -> None:
        """End when what is under way has ended; a second time, end in a few seconds."""
        if self.asked.is_set():
            self.hurried.set()
        self.asked.set()

    def ask_at_once(self) -> None:
        """End in a few seconds."""
        self.hurried.set()
        self.asked.set()
