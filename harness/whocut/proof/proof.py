"""One case, proved: many requests in virtual time, through real sockets, judged as any run is.

The mock upstream, every hop of the chain and the callers run on one loop whose clock jumps; the verdicts come
from the spans they wrote, and are held against the upstream's ledger. Nothing is written to disk.
"""

from __future__ import annotations

import asyncio
import gc
import random
import resource
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal

from whocut.chain.forecast import CutShare, Figures
from whocut.chain.layers import Upstream
from whocut.chain.models import is_known
from whocut.chain.modes import POLL_S, seen_in
from whocut.chain.percentiles import percentile
from whocut.client.asking import Asking
from whocut.client.watch import Sinks
from whocut.clock import VirtualLoop, run_virtual
from whocut.clock.clock import wall_s
from whocut.errors import CouldNotRun
from whocut.path.chain import start_chain
from whocut.proof import stand_ins
from whocut.proof.callers import Caller, LightCaller, ProofDesk, SdkCaller, fetch
from whocut.trace.generations import generation_span
from whocut.trace.records import Outcome
from whocut.verdict.summary import Judged, judge
from whocut.verdict.verdict import Kind
from whocut_mock import ModelClock, Settings, serve
from whocut_mock.images import Press
from whocut_mock.ledger import Row
from whocut_mock.settings import Latency, LatencyRow

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from whocut.chain.layers import Topology
    from whocut.chain.modes import Mode
    from whocut.chain.profiles import Profile
    from whocut.clock import Clock
    from whocut.trace.records import Span, SpanSink
    from whocut.verdict.verdict import Verdict
    from whocut_mock import Running

CallerKind = Literal["openai-sdk", "light"]
# A picture of 23 KB instead of 1.6 MB: how long it takes and what it costs is decided by size and quality.
# One effect: a blind layer whose caller has left takes all of the next event in one piece, and leaves at the one
# after it. Of a large picture the second piece tells it already, and so says the forecast.
_SMALL: Final = {"output_format": "jpeg", "output_compression": 0}
_SMALL_PACE: Final = 0.97  # what the upstream takes for a JPEG of what it takes for a PNG
_PROMPT_BYTES: Final = 40  # ten tokens, as the forecast's price says
_AT_ONCE: Final = 512
_SDK_CLIENTS: Final = 64  # a client costs milliseconds to make; more of them than this save nothing
_SPARE_FILES: Final = 256
_A_MOMENT_S: Final = 0.01
_OBJECTS_BETWEEN_COLLECTIONS: Final = 100_000
SDK_CLIENTS = frozenset({"openai-python", "azure-openai-python"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is to be proved."""

    topology: Topology
    profile: Profile
    mode: Mode
    requests: int
    seed: int = 0
    caller: CallerKind = "light"

    @property
    def tries(self) -> int:
        """Attempts a request at most."""
        return self.mode.tries or self.seen.client.retries.tries

    @property
    def seen(self) -> Topology:
        """The layers that see a generation."""
        return seen_in(self.mode, self.topology)

    def body(self, number: int) -> dict[str, Any]:
        """What request `number` asks for; every prompt is its own, and all cost the same."""
        asked = self.topology.upstream
        body = {
            "model": asked.model,
            "prompt": f"a ramen shop at two in the morning {number}".ljust(_PROMPT_BYTES, ".")[
                -_PROMPT_BYTES:
            ],
            "size": self.profile.size,
            "quality": self.profile.quality,
            **_SMALL,
        }
        if not is_known(
            asked.model
        ):  # the profile says how long it takes; the mock needs a name that it knows
            stand_in = Upstream()
            body |= {"model": stand_in.model, "size": stand_in.size, "quality": stand_in.quality}
        if self.mode.stream:
            body |= {"stream": True, "partial_images": self.mode.partials}
        return body

    @property
    def settings(self) -> Settings:
        """The upstream's behaviour under this profile."""
        profile = self.profile
        row = _law(profile)
        return Settings(seed=self.seed, latency=Latency(rows=(row,), partials=profile.partials))


def _law(profile: Profile) -> LatencyRow:
    if profile.constant:
        return LatencyRow(name=profile.name, constant_s=profile.median_s)
    if profile.file:
        return LatencyRow(name=profile.name, csv=profile.file)
    p95_s = profile.p95_s / _SMALL_PACE if profile.p95_s else None
    return LatencyRow(name=profile.name, median_s=profile.median_s / _SMALL_PACE, p95_s=p95_s)


@dataclass(slots=True, kw_only=True)
class World:
    """What everybody in it wrote down."""

    askings: list[Asking]
    answered_s: list[float | None]
    spans: list[Span] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    ended_s: float = 0.0
    asking_wall_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What was seen. `drawn` are the generations that were made: request, attempt and repeat to their times."""

    figures: Figures
    world: World
    judged: Judged
    last: tuple[Verdict, ...]
    drawn: dict[tuple[int, int, int], tuple[float, ...]]
    wall_s: float
    asking_wall_s: float

    @property
    def disagree(self) -> int:
        """Verdicts that the ledger does not confirm."""
        return len(self.judged.figures.agreement.disagree)

    @property
    def unattributed(self) -> int:
        """Requests whose end has no known layer."""
        return sum(verdict.kind is Kind.UNATTRIBUTED for verdict in self.last)


def prove(case: Case, done: Callable[[int], None] = lambda _: None) -> Proof:
    """Run the case and judge it. `done` hears how many requests have ended.

    Raises:
        CouldNotRun: this machine has no more sockets or files to give.
    """
    began = wall_s()
    try:
        with _fewer_collections():
            world = run_virtual(_run(case, done))
    except (ExceptionGroup, OSError) as error:
        first = _first(error)
        if not isinstance(first, OSError):
            raise
        raise CouldNotRun(f"the proof could not go on: {first.strerror or first}") from None
    attempts = [record for asking in world.askings for record in asking.attempts]
    judged = judge(attempts, [*world.spans, *map(generation_span, world.rows)], world.rows, case.seen)
    last = _last(world, judged)
    return Proof(
        figures=_figures(case, world, last),
        world=world,
        judged=judged,
        last=last,
        drawn=_drawn(world),
        wall_s=wall_s() - began,
        asking_wall_s=world.asking_wall_s,
    )


def _first(error: BaseException) -> BaseException:
    """The first error of a group of groups: the others say the same."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


@cache
def _press() -> Press:
    """One for all cases of this process: drawing a picture takes longer than proving a request."""
    return Press(seed=0)


@contextmanager
def _fewer_collections() -> Iterator[None]:
    """Thousands of connections live and die together here: looking for cycles among them takes half the time."""
    thresholds = gc.get_threshold()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


# --- the world ------------------------------------------------------------------------------------


async def _run(case: Case, done: Callable[[int], None]) -> World:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    clock = loop.clock()
    asked = [
        Asking(request=f"{case.mode.name}-{number:05d}", mode=case.mode.name)
        for number in range(case.requests)
    ]
    world = World(askings=asked, answered_s=[None] * case.requests)
    async with AsyncExitStack() as stack:
        mock = await serve(case.settings, clock=ModelClock(origin=0.0), warm=())
        mock.upstream.press = _press()
        stack.push_async_callback(mock.close)
        stage = _Stage(case, world, clock, stack)
        ask = await stage.set_up((mock.host, mock.port))
        room = asyncio.Semaphore(_at_once(case.topology))
        ended = 0

        async def one(number: int) -> None:
            nonlocal ended
            async with room:
                began_s = clock.now_s()
                await ask(number)
                world.answered_s[number] = clock.now_s() - began_s
            ended += 1
            done(ended)

        began = wall_s()
        async with asyncio.TaskGroup() as group:
            for number in range(case.requests):
                group.create_task(one(number))
        world.asking_wall_s = wall_s() - began
        await _drain(mock)
        world.ended_s = clock.now_s()
        world.rows = [_plain(row) for row in mock.ledger.rows()]
    return world


class _Stage:
    """Everything between the callers and the upstream, set up and closed with the stack."""

    def __init__(self, case: Case, world: World, clock: Clock, stack: AsyncExitStack) -> None:
        self._case = case
        self._world = world
        self._clock = clock
        self._stack = stack

    async def set_up(self, upstream: tuple[str, int]) -> Callable[[int], Awaitable[None]]:
        """Start the chain and the servers behind it; the way to make one request."""
        case, mode = self._case, self._case.mode
        if mode.job:
            return await self._with_jobs(upstream)
        heartbeat_s = case.topology.upstream.heartbeat_s
        if mode.stream and heartbeat_s:
            beating = stand_ins.HeartbeatServer(upstream, every_s=heartbeat_s, clock=self._clock)
            upstream = await beating.start()
            self._stack.push_async_callback(beating.close)
        return self._callers(await self._chain(upstream, self._world.spans.append))

    async def _with_jobs(self, upstream: tuple[str, int]) -> Callable[[int], Awaitable[None]]:
        """A worker beside the upstream; the chain carries short requests alone, and those are not judged."""
        asked = self._world.askings
        numbers = {asking.request: number for number, asking in enumerate(asked)}
        worker = self._callers(upstream)

        async def work(name: str) -> bool:
            await worker(numbers[name])
            attempts = asked[numbers[name]].attempts
            return bool(attempts) and attempts[-1].outcome is Outcome.DELIVERED

        jobs = stand_ins.JobServer(work)
        self._stack.push_async_callback(jobs.close)
        front = self._desk(await self._chain(await jobs.start(), None))

        async def ask(number: int) -> None:
            name = asked[number].request
            status = await fetch(front, "POST", f"/jobs/{name}")
            while status == 202:
                await asyncio.sleep(self._clock.real_s(POLL_S))
                status = await fetch(front, "GET", f"/jobs/{name}")

        return ask

    async def _chain(self, upstream: tuple[str, int], sink: SpanSink | None) -> tuple[str, int]:
        chain = await start_chain(self._case.topology, upstream=upstream, clock=self._clock, sink=sink)
        self._stack.push_async_callback(chain.close)
        return chain.host, chain.port

    def _callers(self, address: tuple[str, int]) -> Callable[[int], Awaitable[None]]:
        callers = _Callers(self._case, self._desk(address))
        self._stack.push_async_callback(callers.close)
        return lambda number: callers.ask(self._world.askings[number], self._case.body(number))

    def _desk(self, address: tuple[str, int]) -> ProofDesk:
        return ProofDesk(
            host=address[0],
            port=address[1],
            clock=self._clock,
            layer=self._case.seen.client,
            sinks=Sinks(attempts=lambda _: None, spans=self._world.spans.append),
            tries=self._case.tries,
        )


def _at_once(topology: Topology) -> int:
    """As many requests at the same time as this process may hold sockets for."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, min(_AT_ONCE, (soft - _SPARE_FILES) // (2 * len(topology.hops) + 6)))


class _Callers:
    """Callers for all requests: one of ours for all, or SDK clients that take turns."""

    def __init__(self, case: Case, desk: ProofDesk) -> None:
        self._free: asyncio.LifoQueue[Caller] = asyncio.LifoQueue()
        self._light = LightCaller(desk, random.Random(case.seed)) if case.caller == "light" else None
        self._all: list[Caller] = []
        self._room = _SDK_CLIENTS
        self._desk = desk

    async def ask(self, asking: Asking, body: dict[str, Any]) -> None:
        """Have a free caller ask."""
        if self._light is not None:
            await self._light.ask(asking, body)
            return
        if self._free.empty() and len(self._all) < self._room:
            caller: Caller = SdkCaller(self._desk)
            self._all.append(caller)
        else:
            caller = await self._free.get()
        await caller.ask(asking, body)
        self._free.put_nowait(caller)

    async def close(self) -> None:
        """Close every client."""
        for caller in self._all:
            await caller.close()
        self._all.clear()


async def _drain(mock: Running) -> None:
    """Until every generation is over: the orphaned ones too."""
    while rows := [row for row in mock.ledger.rows() if row.state == "running"]:
        over_s = max((row.started_s or 0.0) + (row.duration_s or 0.0) for row in rows)
        await asyncio.sleep(max(_A_MOMENT_S, over_s - mock.upstream.clock.now_s() + _A_MOMENT_S))


_ROW_FIELDS = tuple(field.name for field in fields(Row))


def _plain(row: Row) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _ROW_FIELDS}


# --- what was seen --------------------------------------------------------------------------------


def _last(world: World, judged: Judged) -> tuple[Verdict, ...]:
    """The verdict on each request: the one on its last attempt."""
    found: dict[str, Verdict] = {}
    for verdict in judged.verdicts:
        if verdict.request not in found or found[verdict.request].attempt < verdict.attempt:
            found[verdict.request] = verdict
    return tuple(found[asking.request] for asking in world.askings)


def _figures(case: Case, world: World, last: tuple[Verdict, ...]) -> Figures:
    requests = case.requests
    cuts: dict[CutShare, int] = {}
    took_s = []
    for verdict, answered_s in zip(last, world.answered_s, strict=True):
        if verdict.outcome == Outcome.DELIVERED and answered_s is not None:
            took_s.append(answered_s)
            continue
        cut = cut_of(verdict)
        cuts[cut] = cuts.get(cut, 0) + 1
    started = [row for row in world.rows if row["started_s"] is not None]
    delivered = len(took_s)
    return Figures(
        requests=requests,
        delivered=delivered / requests,
        cuts=tuple(
            replace(cut, share=count / requests)
            for cut, count in sorted(cuts.items(), key=lambda cut: -cut[1])
        ),
        generations_per_request=len(started) / requests,
        orphaned=sum(row["orphaned"] for row in started) / requests,
        orphaned_s_per_request=sum(row["orphaned_s"] or 0.0 for row in started) / requests,
        usd_per_delivered=sum(row["billed_usd"] for row in started) / delivered
        if delivered and is_known(case.topology.upstream.model)
        else None,
        p50_s=percentile(took_s, 50),
        p95_s=percentile(took_s, 95),
    )


def cut_of(verdict: Verdict) -> CutShare:
    """Who ended a request by which knob, or how it ended where no layer's timer did; without its share."""
    named = verdict.kind is Kind.CUT
    return CutShare(
        layer=str(verdict.layer if named else verdict.kind),
        timer=str(verdict.timer or ""),
        directive=str(verdict.directive) if named and verdict.directive else _ended(verdict),
        phase=str(verdict.phase or ""),
        share=0.0,
    )


def _ended(verdict: Verdict) -> str:
    """How a request ended that no timer ended: the outcome, and the reason if one is known."""
    return f"{verdict.saw} ({verdict.reason})" if verdict.reason else verdict.saw


def _drawn(world: World) -> dict[tuple[int, int, int], tuple[float, ...]]:
    numbers = {asking.trace_id: number for number, asking in enumerate(world.askings)}
    seen: dict[tuple[int, int], int] = {}
    drawn = {}
    for row in world.rows:
        number = numbers.get(row["trace_id"] or "")
        if number is None or row["started_s"] is None:
            continue
        key = (number, row["attempt"])
        again = seen[key] = seen.get(key, -1) + 1
        partials = tuple(at_s - row["started_s"] for at_s in row["partials_s"])
        drawn[*key, again] = (*partials, row["duration_s"])
    return drawn
