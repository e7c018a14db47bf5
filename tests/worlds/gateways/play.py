"""Playing cells: the mock upstream, two `whocut tap` processes with a gateway between them, the official SDK.

Everything is started as its users start it, on the loopback, and ends with the world it was started for.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import AsyncExitStack, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import openai
import yaml

from tests.worlds.gateways.cells import LIMIT_S, MOCK, Cell, Truth, Who
from tests.worlds.gateways.variants import VARIANTS, Varied
from whocut.chain.catalogue import overridden, preset
from whocut.chain.layers import LayerRetries
from whocut.chain.products import product
from whocut.chain.timers import TimerKind
from whocut.client.asking import Asking, asking_for
from whocut.client.transports import AsyncWatchedTransport, wire
from whocut.client.watch import Sinks
from whocut.clock import Clock
from whocut.path.gateways import GATEWAYS
from whocut.path.gateways.process import RunningGateway, start
from whocut.path.ports import held_port
from whocut.trace.rundir import RunDir, SpanWriter

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from whocut.chain.layers import Layer
    from whocut.path.gateways.driver import Gateway

OUTER, INNER = "outer", "inner"
_CLIENT_WAITS_S = 8.0  # longer than every gateway and every stall
_STARTS_IN_S = 60.0
_SETTLES_S = LIMIT_S + 1.5  # gateways that are blind to their callers hold on until their own timers fire
# LiteLLM asks three times by the SDK below it, whose pauses are up to 1.5 s, and is to be done before the client.
_LIMITS_S = {"litellm": 1.5}
STREAMS_NONE = frozenset({"litellm"})
_PARTIALS = 3
_PULSE_S = 0.05
_ITS_OWN_TIMERS = ("ConnectTimeout", "ReadTimeout", "WriteTimeout", "PoolTimeout")
_LONG_STALL_S = 0.5
_NEARLY = 0.9


def limited(name: str) -> Layer:
    """A product with one limit for every wait and silence that it has timers for, and no other."""
    has = product(name).knobs
    limit_s = _LIMITS_S.get(name, LIMIT_S)
    limits: dict[TimerKind, float | None] = dict.fromkeys(TimerKind)
    limits |= {kind: limit_s for kind in (TimerKind.FIRST_BYTE, TimerKind.IDLE) if kind in has}
    limits |= {kind: 3 * LIMIT_S for kind in (TimerKind.CONNECT,) if kind in has}
    limits |= {kind: 60.0 for kind in (TimerKind.KEEPALIVE,) if kind in has}
    if has.get(TimerKind.IDLE) not in {None, has.get(TimerKind.FIRST_BYTE)}:
        # Of some products it runs in the wait as well, and then two timers would end that at one instant.
        limits[TimerKind.IDLE] = 1.25 * LIMIT_S
    if (connect := has.get(TimerKind.CONNECT)) is not None and connect == has.get(TimerKind.IDLE):
        limits[TimerKind.CONNECT] = limit_s  # one knob for all of them
    return replace(overridden(preset(name), limits, "this world"), retries=LayerRetries())


def between(name: str) -> str:
    """What is said of the gateway between the taps."""
    limits = ",".join(f"{kind}={timer.limit_s:g}s" for kind, timer in limited(name).timers.items())
    return f"{OUTER},{INNER}={name}:{limits}"


@dataclass(slots=True)
class Asked:
    """One request of a cell and how it went in the caller's hands; instants are of this process's loop.

    `gave_up` is the client library's word for a timer of its own that fired. `sent`: it came to the transport.
    On a busy machine a caller may leave before that, and then there is no request.
    """

    cell: Cell
    truth: Truth
    trace_id: str
    began_s: float
    ended_s: float = 0.0
    saw: str = ""
    gave_up: str = ""
    sent: bool = False

    def truths(self, stalls: Iterable[tuple[float, float]]) -> tuple[Truth, ...]:
        """What may have ended it: what the cell does, and what this process saw happen beside.

        On a busy machine a timer may fire that the cell does not mean to. Where the client's own did before it was
        connected, or the gateway answered 504, which the mock never does, that is the truth. Where this process did
        not get to run, what was due meanwhile may have come in any order.
        """
        if self.gave_up == "ConnectTimeout":
            return (Truth(Who.CLIENT),)
        by_gateway = Truth(Who.GATEWAY, any_timer=True)
        if self.saw == "status 504" and self.truth.who is not Who.GATEWAY:
            # Some answer so to an upstream that ended, too.
            return (self.truth, by_gateway) if self.truth.who is Who.UPSTREAM else (by_gateway,)
        if self.truth.who is Who.NOBODY and self.saw != "delivered":  # the mock answers in full
            return (by_gateway, Truth(Who.CLIENT))
        stalled = any(
            since_s < self.ended_s and until_s > self.began_s and until_s - since_s > _LONG_STALL_S
            for since_s, until_s in stalls
        )
        truths = [self.truth]
        if self.gave_up and stalled:
            truths.append(Truth(Who.CLIENT))
        if stalled or (self.saw == "left" and self.ended_s - self.began_s > _NEARLY * LIMIT_S):
            truths.append(by_gateway)
        return tuple(truths)


@dataclass
class World:
    """One gateway and all that stands around it; `asked` holds every request by its trace."""

    name: str
    folder: Path
    asked: dict[str, Asked] = field(default_factory=dict)
    passed_over: list[str] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    words: str = ""  # all that its processes said on their standard errors
    stalls: list[tuple[float, float]] = field(default_factory=list)  # when this process did not get to run

    @property
    def stalled_s(self) -> float:
        """The longest time for which this process did not get to run."""
        return max((until_s - since_s for since_s, until_s in self.stalls), default=0.0)

    @property
    def spans(self) -> list[Path]:
        """The files of spans: the client's, and those of the taps."""
        return [self.folder / one / "spans.jsonl" for one in ("client", OUTER, INNER)]

    @property
    def ledger(self) -> Path:
        """The mock's books."""
        return self.folder / "ledger.jsonl"


class _Child:
    """A process of the command line; it says that it is ready in its first line."""

    def __init__(self, process: asyncio.subprocess.Process, errors: Path) -> None:
        self.process = process
        self.errors = errors

    @classmethod
    async def start(cls, *arguments: str, errors: Path) -> Self:
        with errors.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "whocut", *arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=file,
            )
        return cls(process, errors)

    async def line(self) -> str:
        """Its next line."""
        assert self.process.stdout is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), _STARTS_IN_S)
        if not line:
            raise RuntimeError(f"it ended at once: {self.errors.read_text(encoding='utf-8')[-800:]}")
        return line.decode()

    async def stop(self) -> None:
        """As Ctrl-C does."""
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGINT)
        try:
            await asyncio.wait_for(self.process.communicate(), _STARTS_IN_S)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()


async def play(name: str, cells: tuple[Cell, ...], folder: Path, *, requests: int, at_once: int) -> World:
    """Send so many requests for each cell through one gateway, so many of them at once."""
    world = World(name, folder)
    stalls = asyncio.create_task(_watch_stalls(world))
    async with AsyncExitStack() as stack:
        with held_port() as port:
            errors = folder / "errors"
            errors.mkdir(parents=True)
            mock_port = await _mock(stack, world, errors)
            inner = await _tap(stack, INNER, 2, mock_port, folder, errors)
            standing = _Standing(name, port, inner, folder)
            stack.push_async_callback(standing.close)
            await standing.stand(None)
        outer = await _tap(stack, OUTER, 1, port, folder, errors)
        async with _Sdk(outer, folder) as sdk:
            for variant in (None, *VARIANTS):
                of_variant = [cell for cell in cells if cell.variant == variant]
                if name in STREAMS_NONE:
                    world.passed_over += [cell.name for cell in of_variant if cell.stream]
                    of_variant = [cell for cell in of_variant if not cell.stream]
                if variant is not None and name not in VARIANTS[variant]:
                    world.passed_over += [cell.name for cell in of_variant]
                    continue
                if of_variant:
                    await standing.stand(variant)
                    await _ask_all(world, of_variant, sdk, standing, requests, at_once)
            await asyncio.sleep(_SETTLES_S)
    stalls.cancel()
    world.words = "\n".join(path.read_text(encoding="utf-8") for path in sorted(errors.iterdir()))
    return world


async def _watch_stalls(world: World) -> None:
    loop = asyncio.get_running_loop()
    while True:
        before_s = loop.time()
        await asyncio.sleep(_PULSE_S)
        if loop.time() - before_s > 2 * _PULSE_S:
            world.stalls.append((before_s + _PULSE_S, loop.time()))


class _Standing:
    """The gateway that stands at one port, in one of its configurations at a time."""

    def __init__(self, name: str, port: int, upstream_port: int, folder: Path) -> None:
        self._name = name
        self._port = port
        self._upstream = ("127.0.0.1", upstream_port)
        self._folder = folder
        self._variant: str | None = None
        self._running: RunningGateway | None = None

    async def stand(self, variant: str | None) -> None:
        """Start it in this configuration, unless it stands so already."""
        if self._running is not None and self._running.fallen is None and variant == self._variant:
            return
        await self.close()
        gateway: Gateway = GATEWAYS[self._name]
        if variant is not None:
            gateway = Varied(gateway, VARIANTS[variant][self._name])
        self._running = await start(
            gateway,
            limited(self._name),
            upstream=self._upstream,
            clock=Clock(),
            port=self._port,
            logs=self._folder / "logs" / (variant or "plain"),
        )
        self._variant = variant

    def kill(self) -> None:
        """End all of its processes at once, as a machine that is out of memory does."""
        assert self._running is not None
        os.killpg(self._running.pid, signal.SIGKILL)

    async def close(self) -> None:
        """Take it away."""
        if self._running is not None:
            await self._running.close()
            self._running = None


_ASKED: ContextVar[Asked] = ContextVar("asked")


async def _sending(_request: object) -> None:
    _ASKED.get().sent = True


class _Sdk:
    """The official SDK with its own spans written down; connections are kept, as by default."""

    def __init__(self, port: int, folder: Path) -> None:
        layer = preset("openai-python")
        clock = Clock()
        run = RunDir.create(folder / "client", {"epoch_unix_s": clock.epoch_unix_s})
        self._spans = SpanWriter(run)
        limits = wire.Limits(max_connections=None, max_keepalive_connections=100)
        inner = wire.AsyncHTTPTransport(verify=False, trust_env=False, limits=limits)
        transport = AsyncWatchedTransport(inner, clock, layer, Sinks(lambda _attempt: None, self._spans))
        self.client = openai.AsyncOpenAI(
            api_key="sk-of-the-worlds",
            base_url=f"http://127.0.0.1:{port}/v1",
            max_retries=0,
            timeout=wire.Timeout(_CLIENT_WAITS_S, connect=5.0),
            http_client=wire.AsyncClient(
                transport=transport, trust_env=False, event_hooks={"request": [_sending]}
            ),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()
        self._spans.close()

    async def ask(self, asked: Asked, number: int) -> str:
        """One request as its cell has it; how it ended, in a word."""
        cell = asked.cell
        _ASKED.set(asked)
        told: dict[str, Any] = {
            "model": "gpt-image-2",
            "prompt": f"{cell.prompt}, {number}",
            "quality": cell.work.value,
            "size": "1024x1024",
            "output_format": "jpeg",
            "output_compression": 10,
        }
        if cell.fault is not None:
            told["extra_headers"] = {"x-mock-fault": cell.fault}
        try:
            async with asyncio.timeout(cell.leaves_s):
                if not cell.stream:
                    answer = await self.client.images.generate(**told)
                    return "delivered" if answer.data else "no image"
                partials = {"stream": True, "partial_images": _PARTIALS}
                stream: Any = await self.client.images.generate(**(told | partials))
                kinds = [event.type async for event in stream]
                return "delivered" if "image_generation.completed" in kinds else "no last event"
        except TimeoutError:
            return "left"
        except openai.APIStatusError as error:
            return f"status {error.status_code}"
        except (openai.APIError, wire.HTTPError) as error:
            causes = {type(one).__name__ for one in (error, error.__cause__)}
            asked.gave_up = next((name for name in _ITS_OWN_TIMERS if name in causes), "")
            return type(error).__name__


async def _ask_all(
    world: World, cells: list[Cell], sdk: _Sdk, standing: _Standing, requests: int, at_once: int
) -> None:
    """All cells of one configuration among each other; behind them those that kill the gateway, one by one."""
    room = asyncio.Semaphore(at_once)

    async def one(cell: Cell, number: int) -> None:
        async with room:
            with asking_for(Asking(request=f"{cell.name} {number}")) as asking:
                truth = cell.truth_for(product(world.name).knobs)
                now_s = asyncio.get_running_loop().time
                world.asked[asking.trace_id] = asked = Asked(cell, truth, asking.trace_id, now_s())
                world.in_flight += 1
                world.most_in_flight = max(world.most_in_flight, world.in_flight)
                asked.saw = await sdk.ask(asked, number)
                world.in_flight -= 1
                asked.ended_s = now_s()

    mixed = [(cell, number) for number in range(requests) for cell in cells if cell.killed_s is None]
    await asyncio.gather(*(asyncio.create_task(one(cell, number)) for cell, number in mixed))
    await asyncio.sleep(_SETTLES_S)
    for cell in cells:
        if cell.killed_s is None:
            continue
        for begun in range(0, requests, at_once):
            await standing.stand(cell.variant)
            numbers = range(begun, min(requests, begun + at_once))
            batch = [asyncio.create_task(one(cell, number)) for number in numbers]
            await asyncio.sleep(cell.killed_s)
            standing.kill()
            await asyncio.gather(*batch)


async def _mock(stack: AsyncExitStack, world: World, errors: Path) -> int:
    config = world.folder / "mock.yaml"
    config.write_text(yaml.safe_dump(MOCK), encoding="utf-8")
    child = await _Child.start(
        *("upstream", "--port", "0", "--config", str(config), "--ledger", str(world.ledger), "--seed", "7"),
        errors=errors / "mock",
    )
    stack.push_async_callback(child.stop)
    said: dict[str, Any] = json.loads(await child.line())
    return int(said["port"])


async def _tap(
    stack: AsyncExitStack, name: str, position: int, to_port: int, folder: Path, errors: Path
) -> int:
    child = await _Child.start(
        *("tap", "--json", "--name", name, "--position", str(position)),
        *("--listen", "127.0.0.1:0", "--to", f"http://127.0.0.1:{to_port}/v1"),
        *("--out", str(folder / name)),
        errors=errors / name,
    )
    stack.push_async_callback(child.stop)
    said: dict[str, str] = json.loads(await child.line())
    port = urlsplit(said["base_url"]).port
    assert port is not None
    return port
