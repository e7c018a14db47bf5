"""Callers for a proof: the real SDK, and one of ours that keeps the SDK's policy at a tenth of its cost.

Ours is one protocol per attempt on a new connection. It tries again as the official SDK does: after a timer of its
own, after a broken connection before a stream's head, after 408, 409, 429 and everything from 500 on. It waits half
a second, then a whole one, or as long as `Retry-After` asks. It can also be a client that has a limit for the whole
answer, which the SDK has not.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import openai
import orjson

from whocut.chain.timers import Phase, TimerKind
from whocut.client.asking import asking_for
from whocut.client.openai_client import async_openai_client
from whocut.client.watch import AttemptWatch, Sinks
from whocut.path.framing import Chunked
from whocut.path.http1 import HeadReader, parse_response
from whocut.trace.records import Outcome

if TYPE_CHECKING:
    import random

    from whocut.chain.layers import Layer
    from whocut.client.asking import Asking
    from whocut.clock import Clock
    from whocut.path.framing import Framing

KEY: Final = "sk-whocut-check"
PATH: Final = "/v1/images/generations"
_RETRIED = frozenset({408, 409, 429})
# Many callers then share instants, and a clock that jumps from one to the next has a fifth of the way.
_GRID_S: Final = 0.005
_BACK_OFF_S, _BACK_OFF_MOST_S, _JITTER, _RETRY_AFTER_MOST_S = 0.5, 8.0, 0.25, 120.0


class Caller(Protocol):
    """A caller asks for one image, with its own retries, until it has the image or gives up."""

    async def ask(self, asking: Asking, body: dict[str, Any]) -> None:
        """Make the request; what happened is in the attempts of `asking`."""
        ...

    async def close(self) -> None:
        """Leave nothing open."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofDesk:
    """What every caller is given: where to dial, how long to wait, what to report to."""

    host: str
    port: int
    clock: Clock
    layer: Layer
    sinks: Sinks
    tries: int


class SdkCaller:
    """`AsyncOpenAI` as its users have it."""

    def __init__(self, desk: ProofDesk) -> None:
        self._client = async_openai_client(
            base_url=f"http://{desk.host}:{desk.port}/v1",
            api_key=KEY,
            clock=desk.clock,
            layer=desk.layer,
            sinks=desk.sinks,
            max_retries=desk.tries - 1,
        )

    async def ask(self, asking: Asking, body: dict[str, Any]) -> None:
        """Ask, and read a stream to its end; its errors are in the attempts."""
        with asking_for(asking):
            try:
                answer = await self._client.images.generate(**body)
                if isinstance(answer, openai.AsyncStream):
                    async for _event in answer:
                        pass
            except (openai.OpenAIError, ValueError):
                # A body that is no JSON is a plain ValueError.
                if not asking.attempts:
                    raise

    async def close(self) -> None:
        """Close its connections."""
        await self._client.close()


class LightCaller:
    """Ours, with the SDK's policy."""

    def __init__(self, desk: ProofDesk, dice: random.Random) -> None:
        self._desk = desk
        self._dice = dice

    async def ask(self, asking: Asking, body: dict[str, Any]) -> None:
        """Ask until there is an answer that is not tried again."""
        data = orjson.dumps(body)
        for number in range(1, self._desk.tries + 1):
            call = await attempt(self._desk, asking, data, number)
            if number == self._desk.tries or not _is_retried(call, stream=bool(body.get("stream"))):
                return
            await asyncio.sleep(self._desk.clock.real_s(self._wait_s(call, number)))

    def _wait_s(self, call: Call, number: int) -> float:
        asked_s = call.watch.record.retry_after_s or 0.0
        if 0 < asked_s <= _RETRY_AFTER_MOST_S:
            return asked_s
        back_off_s = min(_BACK_OFF_S * 2 ** (number - 1), _BACK_OFF_MOST_S)
        jitter = _JITTER * self._dice.random()
        return float(round(back_off_s * (1 - jitter) / _GRID_S) * _GRID_S)

    async def close(self) -> None:
        """Each attempt has closed its own connection."""


def _is_retried(call: Call, *, stream: bool) -> bool:
    record = call.watch.record
    if record.status is not None and record.outcome in {Outcome.GATEWAY_ERROR, Outcome.REJECTED}:
        return record.status in _RETRIED or record.status >= 500
    if record.outcome is Outcome.DELIVERED:
        return False
    return not stream or record.first_byte_s is None


async def attempt(desk: ProofDesk, asking: Asking, data: bytes, number: int) -> Call:
    """One attempt, watched to its last byte."""
    watch = AttemptWatch(
        clock=desk.clock,
        layer=desk.layer,
        asking=asking,
        sinks=desk.sinks,
        number=number,
        method="POST",
        path=PATH,
    )
    call = Call(desk, watch)
    loop = asyncio.get_running_loop()
    try:
        await loop.create_connection(lambda: call, desk.host, desk.port)
    except OSError as error:
        watch.failed(_named("ConnectError", error))
        return call
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: {desk.host}\r\nAuthorization: Bearer {KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n"
        f"x-stainless-retry-count: {number - 1}\r\ntraceparent: {watch.traceparent}\r\n\r\n"
    )
    call.send(head.encode() + data)
    await call.over
    return call


class Call(asyncio.Protocol):
    """One attempt's connection: the client's timers, and the answer as it comes."""

    def __init__(self, desk: ProofDesk, watch: AttemptWatch) -> None:
        self.watch = watch
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._desk = desk
        self._limits = {kind: timer.limit_s for kind, timer in desk.layer.timers.items()}
        self._heads = HeadReader(status=502)
        self._framing: Framing | None = None
        self._answered = False
        self._stamp_s = self._sent_s = watch.record.started_s
        self._alarm: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def send(self, data: bytes) -> None:
        """The request, whole; from now on the timers run."""
        assert self._transport is not None
        self._transport.write(data)
        self._stamp_s = self._sent_s = self._desk.clock.now_s()
        self._arm()

    def data_received(self, data: bytes) -> None:
        """Bytes of the answer."""
        self._stamp_s = self._desk.clock.now_s()
        at = 0
        if not self._answered:
            whole = self._heads.take(data)
            if whole is None:
                return
            data, at = whole
            self._head(data[:at])
        if self._framing is None or self._body(data, at):
            self._end()
        else:
            self._arm()

    def _head(self, raw: bytes) -> None:
        head = parse_response(raw, to_head=False)
        self._answered, self._framing = True, head.framing
        if isinstance(self._framing, Chunked):
            self._framing.payload = []
        lines = raw.decode("latin-1").split("\r\n")[1:]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self.watch.answered(head.status, headers)

    def _body(self, data: bytes, at: int) -> bool:
        framing = self._framing
        assert framing is not None
        end = framing.take(data, at)
        if isinstance(framing, Chunked):
            pieces, framing.payload = framing.payload or [], []
            data = b"".join(pieces)
        else:
            data = data[at:end]
        if data:
            self.watch.received(data)
        return framing.done

    def _end(self) -> None:
        self.watch.finished()
        self._close()

    def eof_received(self) -> bool:
        """The other side has closed."""
        self._broken("RemoteProtocolError")
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """No more connection."""
        self._broken("ReadError" if error else "RemoteProtocolError")

    def _broken(self, name: str) -> None:
        if self.over.done():
            return
        if self._answered and self._framing is not None and not isinstance(self._framing, Chunked):
            self._framing.done = self._framing.done or not hasattr(self._framing, "left")
            if self._framing.done:
                self._end()
                return
        self.watch.failed(_named(name))
        self._close()

    def _close(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        if self._transport is not None:
            self._transport.abort()
        if not self.over.done():
            self.over.set_result(None)

    # --- the client's own timers

    def _deadlines(self) -> list[tuple[float, TimerKind]]:
        armed = []
        if TimerKind.TOTAL in self._limits:
            armed.append((self.watch.record.started_s + self._limits[TimerKind.TOTAL], TimerKind.TOTAL))
        if not self._answered and TimerKind.FIRST_BYTE in self._limits:
            armed.append((self._sent_s + self._limits[TimerKind.FIRST_BYTE], TimerKind.FIRST_BYTE))
        elif TimerKind.IDLE in self._limits and (self._answered or self._desk.layer.idle_waits):
            armed.append((self._stamp_s + self._limits[TimerKind.IDLE], TimerKind.IDLE))
        return armed

    def _arm(self) -> None:
        armed = self._deadlines()
        if self._alarm is None and armed and not self.over.done():
            in_s = min(armed)[0] - self._desk.clock.now_s()
            loop = asyncio.get_running_loop()
            self._alarm = loop.call_later(self._desk.clock.real_s(max(0.0, in_s)), self._ring)

    def _ring(self) -> None:
        self._alarm = None
        if self.over.done():
            return
        at_s, kind = min(self._deadlines())
        if at_s > self._desk.clock.now_s() + 0.000_01:
            self._arm()
            return
        self.watch.timed_out(kind, Phase.STREAM if self._answered else Phase.WAIT)
        self._close()


def _named(name: str, error: BaseException | None = None) -> BaseException:
    """An error called as the HTTP library would call it: that is how the client's record knows its endings."""
    kind: type[OSError] = type(name, (OSError,), {})
    return kind(*(error.args if error else ()))


async def fetch(desk: ProofDesk, method: str, path: str) -> int:
    """The status of one short exchange that is not watched; a broken one has 0."""
    try:
        reader, writer = await asyncio.open_connection(desk.host, desk.port)
    except OSError:
        return 0
    writer.write(
        f"{method} {path} HTTP/1.1\r\nHost: {desk.host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
    )
    try:
        answer = await reader.read()
    except OSError:
        answer = b""
    writer.close()
    return int(answer[9:12]) if answer.startswith(b"HTTP/1.") else 0
