"""A gateway that the judge does not know: it relays over its own sockets, and ends requests in ways of its own.

It writes no span. Whenever it ends a request by itself it says so in a list of deeds, which only the truth reads.
"""

from __future__ import annotations

import asyncio
import json
import math
import zlib
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from tests.worlds.upstream import PLAN_HEADER
from whocut.chain.timers import TimerKind

if TYPE_CHECKING:
    import random

    from whocut.clock import Clock

_ENVELOPE = json.dumps(
    {"error": {"message": "overloaded", "type": "server_error", "param": None, "code": None}}
)
_NEVER_S = 1e6


class InWait(Enum):
    """What it does when a timer fires before the response."""

    ENVELOPE = auto()  # the API's own, with a status of the API's
    PAGE = auto()
    LATE_PAGE = auto()
    HANG = auto()
    CLOSE = auto()


class InBody(Enum):
    """What it does when a timer fires in mid-body."""

    HANG = auto()
    CLEAN = auto()  # ends the body as if it were whole
    FIN = auto()
    RST = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """The ways of one stranger. Limits are model seconds, and `ticks` rounds them up to whole ones."""

    name: str
    limits_s: dict[TimerKind, float]
    in_wait: InWait
    in_body: InBody
    status: int
    tries: int
    gzip: bool
    blind: bool
    queues_s: float
    late_s: float
    ticks: bool

    def fires_s(self, kind: TimerKind) -> float:
        """How long a timer of it lasts."""
        limit_s = self.limits_s.get(kind, _NEVER_S)
        return float(math.ceil(limit_s)) if self.ticks else limit_s


def random_ways(dice: random.Random, name: str) -> Ways:
    """Any ways."""

    def limit_s() -> float:
        return float(dice.choice((15, 30, 55, 60, 100, 120, 180))) + dice.choice((0.0, 0.0, dice.random()))

    limits_s = {
        kind: limit_s()
        for kind in (TimerKind.FIRST_BYTE, TimerKind.IDLE, TimerKind.TOTAL)
        if dice.random() < 0.5
    }
    return Ways(
        name=name,
        limits_s=limits_s,
        in_wait=dice.choice(list(InWait)),
        in_body=dice.choice(list(InBody)),
        status=dice.choice((429, 500, 503)),
        tries=dice.choice((1, 1, 2)),
        gzip=dice.random() < 0.4,
        blind=dice.random() < 0.3,
        queues_s=dice.choice((0.0, 0.0, 0.0, dice.uniform(0, 40))),
        late_s=dice.uniform(0.1, 30),
        ticks=dice.random() < 0.3,
    )


@dataclass(frozen=True, slots=True)
class Deed:
    """That a stranger ended a request by itself, and when it told its caller; None: it let that one hang.

    `number` counts how often it had been asked for the same request: a layer further out may ask again.
    """

    ask: str
    layer: str
    timer: TimerKind
    at_s: float
    told_s: float | None
    number: int


class _Fired(Exception):  # noqa: N818  # a timer is no error
    def __init__(self, kind: TimerKind) -> None:
        self.kind = kind


class Stranger:
    """One gateway, listening on the loopback; it asks `upstream`."""

    def __init__(self, ways: Ways, upstream: tuple[str, int], clock: Clock, deeds: list[Deed]) -> None:
        self.ways = ways
        self._upstream = upstream
        self._clock = clock
        self._deeds = deeds
        self.asked: Counter[str] = Counter()  # how often, by request
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def listen(self) -> tuple[str, int]:
        """Begin to take callers; where."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=4096)
        host, port = self._server.sockets[0].getsockname()[:2]
        return str(host), int(port)

    async def close(self) -> None:
        """Leave nothing behind."""
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            # What is under way when the world ends is cancelled: asyncio's streams would print that.
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._one(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        headers = _headers(request)
        request += await reader.readexactly(int(headers.get("content-length", "0")))
        if PLAN_HEADER not in headers:
            return  # of another program, which had this port in mind
        ask = json.loads(headers[PLAN_HEADER])["ask"]
        self.asked[ask] += 1
        gone = asyncio.create_task(_gone(reader))
        work = asyncio.create_task(self._work(ask, self.asked[ask], request, writer, gone))
        try:
            await asyncio.wait(
                {work} if self.ways.blind else {work, gone}, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for task in (work, gone):
                task.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)
        with suppress(ConnectionError):
            await writer.drain()
            writer.close()
            await asyncio.sleep(0)

    async def _work(
        self, ask: str, number: int, request: bytes, writer: asyncio.StreamWriter, gone: asyncio.Task[None]
    ) -> None:
        answer = _Answer(writer, packs=self.ways.gzip)
        total = TimerKind.TOTAL
        try:
            async with asyncio.timeout(self._real_s(total)):
                await self._tries(ask, request, answer)
        except TimeoutError:
            await self._end((ask, number), total, answer, gone)
        except _Fired as fired:
            await self._end((ask, number), fired.kind, answer, gone)

    def _real_s(self, kind: TimerKind) -> float:
        return self._clock.real_s(self.ways.fires_s(kind))

    async def _tries(self, ask: str, request: bytes, answer: _Answer) -> None:
        await asyncio.sleep(self._clock.real_s(self.ways.queues_s))
        for left in reversed(range(self.ways.tries)):
            reader, writer = await asyncio.open_connection(*self._upstream)
            try:
                writer.write(request)
                head = await self._within(TimerKind.FIRST_BYTE, reader.readuntil(b"\r\n\r\n"))
                await self._body(head, reader, answer)
            except (_Fired, ConnectionError, asyncio.IncompleteReadError) as error:
                if answer.begun:
                    if isinstance(error, _Fired):
                        raise
                    answer.abort()
                    return
                if left:
                    continue
                if isinstance(error, _Fired):
                    raise
                answer.page(502)
            finally:
                writer.transport.abort()
            return
        del ask

    async def _body(self, head: bytes, reader: asyncio.StreamReader, answer: _Answer) -> None:
        headers = _headers(head)
        answer.head(
            int(head.split(b" ", 2)[1]), headers.get("content-type", ""), headers.get("content-encoding", "")
        )
        if "content-length" in headers:
            answer.piece(await reader.readexactly(int(headers["content-length"])))
        else:
            while size := int(await self._within(TimerKind.IDLE, reader.readuntil(b"\r\n")), 16):
                answer.piece((await reader.readexactly(size + 2))[:-2])
        answer.whole()

    async def _within(self, kind: TimerKind, reading: Any) -> Any:
        try:
            async with asyncio.timeout(self._real_s(kind)):
                return await reading
        except TimeoutError:
            raise _Fired(kind) from None

    async def _end(
        self, asked: tuple[str, int], kind: TimerKind, answer: _Answer, gone: asyncio.Task[None]
    ) -> None:
        """A timer has fired, and the side towards the model is closed: now its caller is told, or is not."""
        ways, (ask, number) = self.ways, asked
        hangs = ways.in_body is InBody.HANG if answer.begun else ways.in_wait is InWait.HANG
        now_s = self._clock.now_s()
        late = not answer.begun and ways.in_wait is InWait.LATE_PAGE
        told_s = None if hangs else now_s + ways.late_s * late
        self._deeds.append(Deed(ask, ways.name, kind, now_s, told_s, number))
        if hangs:
            await gone
        elif answer.begun and ways.in_body is InBody.CLEAN:
            answer.whole()
        elif answer.begun:
            answer.abort(with_reset=ways.in_body is InBody.RST)
        elif ways.in_wait is InWait.CLOSE:
            answer.abort()
        elif ways.in_wait is InWait.ENVELOPE:
            answer.envelope(ways.status)
        else:
            if ways.in_wait is InWait.LATE_PAGE:
                await asyncio.sleep(self._clock.real_s(ways.late_s))
            answer.page(504)


class _Answer:
    """What goes down to the caller, in chunks, packed or not."""

    def __init__(self, writer: asyncio.StreamWriter, *, packs: bool) -> None:
        self._writer = writer
        self._packing = zlib.compressobj(wbits=31) if packs else None
        self.begun = False

    def head(self, status: int, kind: str, packed_as: str) -> None:
        self.begun = True
        if packed_as:
            self._packing = None  # as gateways do, it packs nothing twice
        packed_as = "gzip" if self._packing else packed_as
        packed = f"Content-Encoding: {packed_as}\r\n" if packed_as else ""
        self._writer.write(
            f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\n{packed}"
            "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )

    def piece(self, data: bytes) -> None:
        if self._packing is not None:
            data = self._packing.compress(data) + self._packing.flush(zlib.Z_SYNC_FLUSH)
        self._writer.write(b"%x\r\n%s\r\n" % (len(data), data))

    def whole(self) -> None:
        rest = self._packing.flush() if self._packing is not None else b""
        last = b"%x\r\n%s\r\n" % (len(rest), rest) if rest else b""
        self._writer.write(last + b"0\r\n\r\n")

    def abort(self, *, with_reset: bool = False) -> None:
        if with_reset:
            self._writer.transport.abort()
        else:
            self._writer.close()

    def page(self, status: int) -> None:
        self._told(status, "text/html", b"<html>gateway</html>")

    def envelope(self, status: int) -> None:
        self._told(status, "application/json", _ENVELOPE.encode())

    def _told(self, status: int, kind: str, body: bytes) -> None:
        self._writer.write(
            f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nConnection: close\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )


async def _gone(reader: asyncio.StreamReader) -> None:
    with suppress(ConnectionError):
        while await reader.read(4096):
            pass


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines if ":" in line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
