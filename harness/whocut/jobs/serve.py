"""The service as a whole: a store, a worker, a sender of callbacks and a listener, until a signal."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiohttp import web

from whocut.clock.clock import wall_s
from whocut.errors import BadInput, CouldNotRun
from whocut.jobs import guard
from whocut.jobs.events import Hub
from whocut.jobs.letters import Letters, letter_of
from whocut.jobs.service import PARTS, Parts, changed, create_app
from whocut.jobs.store import Store
from whocut.jobs.worker import TOTAL_S, Worker
from whocut.path.target import is_loopback
from whocut.redact import protect

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from whocut.path.target import Target

_CLOSING_S: Final = 1.0
AT_ONCE_S: Final = 5.0  # what a service manager leaves, before it kills


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
    """What a caller needs to know; `entry` is the page's address with its token."""

    base_url: str
    token: str
    unknown: int  # jobs whose outcome is unknown since this start

    @property
    def entry(self) -> str:
        """The page, for a browser."""
        return f"{self.base_url}/?token={self.token}"


class Service:
    """A service that runs. `stop` ends it in good order.

    Raises:
        BadInput: it should listen beyond this machine.
        CouldNotRun: the store or the port cannot be used.
    """

    def __init__(self, plan: JobsPlan, now_s: Callable[[], float] = wall_s) -> None:
        if not is_loopback(plan.host):
            raise BadInput(
                f"the service listens on this machine only, and not on {plan.host}", field="listen"
            )
        protect(plan.api_key)
        self._plan = plan
        self._now_s = now_s
        self.store = Store(plan.store)
        self.token = guard.token_of(plan.store)
        protect(self.token, self.store.secret)
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
        self.parts = Parts(self.store, self.hub, self.worker, self.letters, self.token, budget, now_s)

    async def start(self) -> Ready:
        """Begin to serve; what was under way when the service before ended is marked first."""
        unknown = self.store.recover(self._now_s(), letter_of)
        app = create_app(self.parts)
        assert app[PARTS] is self.parts
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_CLOSING_S)
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
        return Ready(f"http://{shown}:{port}", self.token, len(unknown))

    async def died(self) -> None:
        """Wait for the end of a part that should never end, and raise what ended it."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            error = None if task.cancelled() else task.exception()
            if error is not None:
                raise CouldNotRun(f"the service cannot go on: {error}") from error

    async def stop(self, patience_s: float) -> int:
        """Take nothing more, wait so long for what is under way, close; return how many outcomes are unknown."""
        if self._runner is not None:
            for site in list(self._runner.sites):
                await site.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        left = await self.worker.drain(patience_s)
        if self._runner is not None:
            await self._runner.cleanup()
        self.store.close()
        return left


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
    waiting = asyncio.get_running_loop().create_task(stopping.wait())
    dying = asyncio.get_running_loop().create_task(service.died())
    await asyncio.wait({waiting, dying}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    dying.cancel()
    with suppress(asyncio.CancelledError):
        await waiting
    left = await service.stop(stopping.patience_s)
    if dying.done() and not dying.cancelled() and (error := dying.exception()) is not None:
        raise error
    return left


class Stopping:
    """The wish to end: a Ctrl-C waits for the images that are being paid, a service manager's signal does not."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self.patience_s = TOTAL_S

    def ask(self) -> None:
        """End when what is under way has ended."""
        self._asked.set()

    def ask_at_once(self) -> None:
        """End in a few seconds."""
        self.patience_s = AT_ONCE_S
        self._asked.set()

    async def wait(self) -> None:
        """Wait for it."""
        await self._asked.wait()
