"""The tap just outside the client: it hands on every byte and every end, and writes down what it saw.

It is a tap like any other, and hears of each request from its wire. It keeps a request back until it is whole,
because what is asked decides what it is called and what is planted. Each connection of the client's has one to the
first layer, dialled when a request is handed on. To each request it adds the `traceparent` by which the layers
behind are joined to the attempt. Where a check asks for it, it adds a planted fault; a planted answer takes the
upstream's place.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import os
import re
import socket
from typing import TYPE_CHECKING, Any, Final

import orjson

from whocut.chain.layers import Layer
from whocut.path.hop import Hop
from whocut.path.tap import Tap
from whocut.path.wire import Outer
from whocut.stage.memory import MemoryTransport
from whocut.stage.plants import Canned, MockFault, Plants
from whocut.stage.sighting import Sighting
from whocut.trace.records import DownstreamEnd, UpstreamEnd, parse_traceparent

if TYPE_CHECKING:
    from collections.abc import Callable

    from whocut.clock import Clock
    from whocut.path.http1 import RequestHead
    from whocut.stage.pace import Pace

# On a virtual clock a microsecond passes only when nothing else is left to be done at this instant: by then the
# layers have seen their own ends of a response.
_BLINK_S: Final = 1e-6
_WAITS: Final = re.compile(rb"(\r\nretry-after(?:-ms)?:[ \t]*)([0-9]+(?:\.[0-9]*)?)(?=\r\n)", re.IGNORECASE)
# More digits than any count of retries has.
_MAX_DIGITS: Final = 9
FAULT_HEADER: Final = "x-mock-fault"


class ClientTap:
    """Listens where the client dials, and dials the first layer. `seen` holds every request, in order.

    `divides_waits` writes Retry-After as what it is on a scaled clock, for a client whose clock is not. With a
    `pace` the client keeps a clock of its own: instants are read there, and it hears what is on its way.
    """

    holds = True
    reads = True

    def __init__(
        self,
        *,
        upstream: tuple[str, int],
        clock: Clock,
        client: str,
        plants: Plants | None = None,
        divides_waits: bool = False,
        pace: Pace | None = None,
    ) -> None:
        self.clock = clock
        self.pace = pace
        self.instants = clock if pace is None else pace.clock
        self.client = client
        self.plants = plants or Plants()
        self.rewrites = divides_waits
        self.seen: list[Sighting] = []
        self._hop = Hop(
            Layer(name=client, title=client),
            upstream=upstream,
            clock=clock,
            position=0,
            tap=Tap(onlooker=self, waits_to_dial=True, blink_s=_BLINK_S),
        )

    async def listen(self, port: int = 0) -> None:
        """Begin to take clients on the loopback; 0 is any free port.

        Raises:
            PortTaken: the port is taken.
        """
        await self._hop.listen(port=port)
        if self.pace is not None:
            self.pace.serve(self.port)

    @property
    def port(self) -> int:
        """Where clients dial."""
        return self._hop.port

    def calendar_unix_s(self) -> float:
        """The calendar as the client has it: where its waits are not divided, its time is real."""
        now_s = self.instants.now_s()
        return self.instants.epoch_unix_s + (now_s if self.rewrites else self.instants.real_s(now_s))

    def notice(self) -> None:
        """Notice clients that have left in this very turn of the loop, before the loop tells of it."""
        for side in list(self._hop.callers):
            if isinstance(side, Outer) and side.transport is not None and _has_closed(side.transport):
                side.wire.caller_closed()

    @property
    def callers(self) -> set[int]:
        """The ports from which clients are connected."""
        names = [
            side.transport.get_extra_info("peername")
            for side in self._hop.callers
            if isinstance(side, Outer) and side.transport is not None
        ]
        return {name[1] for name in names if name}

    async def close(self) -> None:
        """Stop listening and leave no connection behind."""
        await self._hop.close()

    def look(self, head: RequestHead, raw: bytes, connection: int, now_s: float) -> _Seen:  # noqa: ARG002  # `Onlooker`
        """A request has begun."""
        return _Seen(self, raw)

    def sight(self, raw: bytes, body: bytes) -> Sighting:
        """Write down that an attempt has begun."""
        line, _, rest = raw.partition(b"\r\n")
        method, target, _ = line.decode("latin-1").split(" ", 2)
        headers = _fields(rest)
        path = target.partition("?")[0]
        read_timeout_s = _seconds(headers.get("x-stainless-read-timeout"))
        sighting = Sighting(
            clock=self.instants,
            client=self.client,
            method=method,
            path=path,
            digest=hashlib.sha256(path.encode() + b"\0" + body).hexdigest()[:16],
            body=_json(body),
            retry_count=_number(headers.get("x-stainless-retry-count")),
            read_timeout_s=None if read_timeout_s is None else read_timeout_s * self.instants.scale,
            came_in=parse_traceparent(headers.get("traceparent", "")),
            idempotency_key=headers.get("idempotency-key"),
        )
        self.seen.append(sighting)
        return sighting


class _Seen:
    """The look of one request: a sighting, as soon as the request is whole."""

    traceparent = None  # it is among the fields that `whole` adds

    def __init__(self, tap: ClientTap, raw: bytes) -> None:
        self._tap = tap
        self._raw = raw
        self._body: list[bytes] = []
        self._sighting: Sighting | None = None
        self._answering: asyncio.TimerHandle | None = None
        self._open = True
        if tap.pace is not None:
            tap.pace.tell(read=True, opened=1)

    def _writes(self) -> None:
        """Tell the client's clock that something goes to it."""
        if self._tap.pace is not None:
            self._tap.pace.tell(wrote=True)

    def _over(self, *, wrote: bool) -> None:
        """Tell it that nothing is owed any more; where the client has left, nothing goes to it either."""
        closes, self._open = self._open, False
        if self._tap.pace is not None and closes:
            self._tap.pace.tell(read=not wrote, wrote=wrote, opened=-1)

    def request_body(self, data: bytes) -> None:
        """A piece of the request's body."""
        self._body.append(data)
        if self._tap.pace is not None:
            self._tap.pace.tell(read=True)

    def whole(self, answer: Callable[[bytes], None]) -> bytes | None:
        """The fields to add; None where the answer is planted."""
        tap = self._tap
        sighting = self._sighting = tap.sight(self._raw, b"".join(self._body))
        self._body = []
        plant = tap.plants.next(sighting.digest) if sighting.generates else None
        if isinstance(plant, Canned):

            def give(canned: Canned = plant) -> None:
                answer(canned.render(tap.calendar_unix_s()))

            loop = asyncio.get_running_loop()
            self._answering = loop.call_later(tap.clock.real_s(plant.after_s), give)
            return None
        added = f"traceparent: {sighting.traceparent}\r\n"
        if isinstance(plant, MockFault):
            added += f"{FAULT_HEADER}: {plant.name}\r\n"
        return added.encode("latin-1")

    def sent(self, now_s: float) -> None:
        """An attempt is seen from its head on."""

    def bytes_came(self, count: int, now_s: float) -> None:
        """The sighting counts what belongs to the body."""

    def interim(self) -> None:
        """Not the answer."""

    def answered(self, status: int, raw: bytes) -> bytes:
        """The response's head; its waits are divided by the clock's scale, where that is wanted."""
        self._writes()
        if status >= 200 and self._sighting is not None:
            self._sighting.answered(status, _fields(raw.partition(b"\r\n")[2]))
        real_s = self._tap.clock.real_s
        return _WAITS.sub(lambda found: found[1] + f"{real_s(float(found[2])):g}".encode(), raw)

    def response_body(self, data: bytes) -> None:
        """A piece of the response's body."""
        self._writes()
        if self._sighting is not None:
            self._sighting.received(data)

    def complete(self, now_s: float) -> None:  # noqa: ARG002  # a sighting has a clock
        """The response has ended in good order."""
        self._over(wrote=True)
        if self._sighting is not None:
            self._sighting.finished()

    def ended(self, upstream: UpstreamEnd, downstream: DownstreamEnd, now_s: float) -> None:  # noqa: ARG002  # as above
        """It ended before the response was whole, by the client or by the other side."""
        self._over(wrote=downstream is not DownstreamEnd.LEFT)
        if self._answering is not None:
            self._answering.cancel()
        sighting = self._sighting
        if sighting is None or sighting.over:
            return
        if downstream is DownstreamEnd.LEFT:
            sighting.client_left()
        elif upstream is not UpstreamEnd.NONE:
            sighting.broken(upstream)


def _has_closed(transport: asyncio.Transport) -> bool:
    """Whether nothing but an end is left to be read."""
    if isinstance(transport, MemoryTransport):
        return transport.peer_has_closed
    sock = transport.get_extra_info("socket")
    if sock is None or sock.fileno() < 0:
        return True
    with socket.socket(fileno=os.dup(sock.fileno())) as probe:
        try:
            return not probe.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True


def _fields(lines: bytes) -> dict[str, str]:
    pairs = (line.partition(b":") for line in lines.split(b"\r\n") if line)
    return {name.decode("latin-1").lower(): value.strip().decode("latin-1") for name, _, value in pairs}


def _json(body: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _number(written: str | None) -> int | None:
    if written is None or not (written.isascii() and written.isdigit()) or len(written) > _MAX_DIGITS:
        return None
    return int(written)


def _seconds(written: str | None) -> float | None:
    try:
        seconds = float(written) if written is not None else None
    except ValueError:
        return None
    return seconds if seconds is not None and 0 < seconds < math.inf else None
