"""The parts of one running mock, and what is put back when it is reset."""

from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import web

from whocut_mock import errors, latency, moderation
from whocut_mock.bodies import Held
from whocut_mock.cabinet import Cabinet
from whocut_mock.caller import Caller, bearer, read_caller
from whocut_mock.clock import ModelClock
from whocut_mock.dice import Sightings
from whocut_mock.endpoints import Endpoints
from whocut_mock.generation import Workshop
from whocut_mock.images import Press
from whocut_mock.jobs import JobDesk
from whocut_mock.ledger import Ledger
from whocut_mock.moderation import Block
from whocut_mock.network import Relay
from whocut_mock.parameters import Order
from whocut_mock.postman import Postman
from whocut_mock.quotas import Gate, make_store
from whocut_mock.settings import Settings, of_the_start
from whocut_mock.shelf import Shelf
from whocut_mock.usage import Usage

_KNOWN_MOST = 512
PATIENCE_LEAST_LOOP_S = 10.0  # at any scale: bytes come at the machine's own pace


@dataclass(frozen=True, slots=True)
class Known:
    """What follows from a body and the settings, and from nothing else."""

    order: Order
    usage: Usage
    block: Block | None
    prompt_sha256: str


def check_files(settings: Settings) -> None:
    """Read every file that the settings name; `ValueError` says in one sentence what is wrong with one."""
    moderation.read_rules(settings.moderation.rules)
    for row in settings.latency.rows:
        if row.csv is not None:
            latency.check_timings(row.csv)


@dataclass
class Upstream:
    """One mock: its behaviour, its clock, its books, its work in progress, its gate."""

    settings: Settings
    clock: ModelClock
    ledger: Ledger
    press: Press
    worker: int = 0
    relay: Relay | None = None  # the network path in front, if there is one
    known: dict[bytes, Known] = field(default_factory=dict)  # by the body's digest
    closers: list[Callable[[], None]] = field(default_factory=list)  # what else is to end with it
    held: Held = field(init=False)
    gate: Gate = field(init=False)
    gate_open: bool = field(init=False)
    workshop: Workshop = field(init=False)
    desk: JobDesk = field(init=False)
    shelf: Shelf = field(init=False)
    cabinet: Cabinet = field(init=False)
    postman: Postman = field(init=False)
    webhooks: Endpoints = field(init=False)
    sightings: Sightings = field(init=False)

    def __post_init__(self) -> None:
        check_files(self.settings)
        self.held = Held(self.settings.limits.held_bytes)
        self.gate = Gate(make_store(self.settings.quota, self.clock))
        self.gate_open = Gate.stands_open(self.settings.quota)
        self.workshop = Workshop(self.clock, self.ledger, self.gate.ended)
        self.desk = JobDesk(self.clock, self.ledger)
        self.shelf = Shelf(self.settings.seed)
        self.cabinet = Cabinet(self.clock, self.settings.limits.files_bytes)
        self.postman = Postman(self.clock, lambda: self.settings.jobs)
        self.webhooks = Endpoints(self.clock)
        self.sightings = Sightings(self.settings.seed, self.worker)

    def behave(self, settings: Settings) -> None:
        """Take these settings for every request from now on.

        Raises:
            ValueError: they would change what only the start may set.
        """
        fixed = of_the_start(self.settings, settings)
        if fixed is not None:
            raise ValueError(f"{fixed} is a setting of the start")
        before, self.settings = self.settings, settings
        self.known.clear()
        self.gate_open = Gate.stands_open(settings.quota)
        if settings.seed != before.seed:
            self.sightings = Sightings(settings.seed, self.worker)
        if self.relay is not None and settings.network != before.network:
            self.relay.travel(settings.network)

    @property
    def patience_loop_s(self) -> float:
        """How long the event loop waits for a body that has stopped coming; a real machine needs a while."""
        return max(PATIENCE_LEAST_LOOP_S, self.settings.limits.keepalive_s / self.clock.scale)

    def check_alone(self) -> None:
        """Jobs and files are kept in one process.

        Raises:
            ApiError: this is one of several.
        """
        if self.worker:
            raise errors.several_processes()

    def remember(self, digest: bytes, known: Known) -> None:
        """Keep it for the next time; of many the first kept go."""
        if len(self.known) == _KNOWN_MOST:
            del self.known[next(iter(self.known))]
        self.known[digest] = known

    def stop(self) -> int:
        """End every account and all work; return how many generations were still being worked on."""
        for close in self.closers:
            close()
        self.postman.stop()
        self.desk.close()
        return self.workshop.stop_all()

    async def close(self) -> None:
        """End everything, and let go of what is held open."""
        self.stop()
        await self.postman.close()
        await self.gate.store.close()

    async def reset(self) -> int:
        """Stop all work and forget everything that was; return how many generations that stopped."""
        stopped = self.stop()
        self.workshop.forget()
        self.shelf.clear()
        self.cabinet.clear()
        self.webhooks = Endpoints(self.clock)
        self.ledger.clear()
        self.sightings = Sightings(self.settings.seed, self.worker)
        await self.gate.clear()
        return stopped


def caller_of(request: web.Request) -> Caller:
    """The caller of a request; the dialect knows where its key is."""
    if CALLER not in request:
        request[CALLER] = read_caller(request.headers, bearer(request.headers))
    return request[CALLER]


def request_id_of(request: web.Request, upstream: Upstream) -> str:
    """The id of this request; one whose body was never read gets it from its path."""
    if REQUEST_ID not in request:
        name = f"{request.method} {request.raw_path}".encode("utf-8", "surrogateescape")
        request[REQUEST_ID] = f"req_{upstream.sightings.dice(name, 1).hex('request', 32)}"
    return request[REQUEST_ID]


UPSTREAM = web.AppKey("upstream", Upstream)
CALLER = web.RequestKey("caller", Caller)
REQUEST_ID = web.RequestKey("request_id", str)
