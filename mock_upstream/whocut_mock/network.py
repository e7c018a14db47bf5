"""The network path in front of the mock: latency, jitter, loss, and the hiccup that kills a connection.

A relay on the mock's own port. Bytes wait their time in it, in order, and never more of them than fit on
such a path; so backpressure and "taken" mean the same as without it. What a path does is decided by the
seed, by the number of the connection and by the position of the bytes in it.
"""

import array
import asyncio
import fcntl
import math
import socket
import sys
import termios
from collections import deque
from dataclasses import dataclass, field

from whocut_mock import delivery
from whocut_mock.clock import ModelClock
from whocut_mock.dice import Dice
from whocut_mock.fault import cut_with_reset
from whocut_mock.settings import NETWORK_PRESETS, Network

# A segment lost is a segment sent again after the retransmission time-out: at least 200 ms on Linux, and more
# than a round trip; each further loss of it doubles the wait (RFC 6298).
_RTO_LEAST_S = 0.2
_SEGMENT_BYTES = 1_448  # what an Ethernet frame carries of TCP with timestamps
_WINDOW_BYTES = 262_144  # on the way at most, in each direction of a connection
_READ_BYTES = 65_536
_RESENDS_MOST = 6


@dataclass(frozen=True, slots=True)
class Path:
    """The path's figures, preset and own wishes merged."""

    rtt_s: float
    jitter_s: float
    loss: float
    hiccups_per_min: float

    @classmethod
    def of(cls, network: Network) -> "Path | None":
        """The path of these settings; `None` is no path at all."""
        if network.preset is None and network == Network():
            return None
        figures = dict(NETWORK_PRESETS.get(network.preset or "", {}))
        figures |= network.model_dump(exclude={"preset"}, exclude_none=True)
        return cls(**{name: figures.get(name, 0.0) for name in cls.__slots__})

    def delay_s(self, size_bytes: int, dice: Dice, at: str) -> float:
        """One way through it for so many bytes: half a round trip, jitter, and every resend on the way."""
        delay_s = self.rtt_s / 2 + dice.between(f"jitter {at}", 0, self.jitter_s)
        segments = math.ceil(size_bytes / _SEGMENT_BYTES)
        untouched = (1 - self.loss) ** segments
        rto_s = max(_RTO_LEAST_S, self.rtt_s * 2)
        for resend in range(_RESENDS_MOST):
            if dice.fraction(f"loss {at} {resend}") < untouched:
                break
            delay_s += rto_s * 2**resend
            untouched = 1 - self.loss  # only what was lost goes again
        return delay_s

    def hiccup_after_s(self, dice: Dice) -> float | None:
        """When this connection is killed, counted from its start."""
        if not self.hiccups_per_min:
            return None
        return -math.log(dice.fraction("hiccup")) * 60 / self.hiccups_per_min


class Relay:
    """Accepts callers, dials the mock behind, and carries the bytes of both."""

    def __init__(self, path: Path, clock: ModelClock, seed: int, inner: tuple[str, int]) -> None:
        self._path, self._clock, self._seed, self._inner = path, clock, seed, inner
        self._carried = 0
        self._ways: dict[int, Way] = {}  # by the local port of the dialled connection
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self, sock: socket.socket, backlog: int) -> None:
        """Serve on this listening socket."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Outer(self), sock=sock, backlog=backlog)

    def travel(self, network: Network) -> None:
        """Carry connections accepted from now on over another path; those under way keep theirs."""
        self._path = Path.of(network) or Path(0.0, 0.0, 0.0, 0.0)

    async def close(self) -> None:
        """End every connection."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def accept(self, outer: "_End") -> None:
        """Carry this caller's connection in a task of its own."""
        task = asyncio.get_running_loop().create_task(self._carry(outer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def taken(self, transport: asyncio.Transport) -> None:
        """Wait until the caller has taken all that the mock has written on its connection."""
        way = self._ways.get(transport.get_extra_info("peername")[1])
        if way is not None:
            await way.emptied()

    async def _carry(self, outer: "_End") -> None:
        self._carried += 1
        dice = Dice(f"{self._seed}/path/{self._carried}".encode())
        loop = asyncio.get_running_loop()
        await self._clock.sleep_s(self._path.delay_s(1, dice, "connect"))
        try:
            _, inner = await loop.create_connection(_End, *self._inner)
        except OSError:
            outer.transport.abort()
            return
        port = inner.transport.get_extra_info("sockname")[1]
        up = Way(outer, inner, self._path, self._clock, dice, "up")
        down = self._ways[port] = Way(inner, outer, self._path, self._clock, dice, "down")
        carrying = [loop.create_task(up.carry()), loop.create_task(down.carry())]
        hiccup_s = self._path.hiccup_after_s(dice)
        if hiccup_s is not None:
            carrying.append(loop.create_task(self._clock.sleep_s(hiccup_s)))
        try:
            done, _ = await asyncio.wait(carrying, return_when=asyncio.FIRST_COMPLETED)
            if carrying[-1] in done and hiccup_s is not None:
                for end in (outer, inner):
                    cut_with_reset(end.transport.get_extra_info("socket"))
        finally:
            for task in carrying:
                task.cancel()
            await asyncio.gather(*carrying, return_exceptions=True)
            for end in (outer, inner):
                end.transport.abort()
            del self._ways[port]


class _End(asyncio.Protocol):
    """One end of a carried connection: what it sent and was not carried yet, and whether it has left."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.arrived: deque[tuple[bytes, float]] = deque()
        self.waiting_bytes = 0
        self.gone_s: float | None = None
        self.changed = asyncio.Event()
        self.writable = asyncio.Event()
        self.writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(high=0)
        delivery.prepare_listener(transport.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        self.arrived.append((data, asyncio.get_running_loop().time()))
        self.waiting_bytes += len(data)
        if self.waiting_bytes > _WINDOW_BYTES:
            self.transport.pause_reading()
        self.changed.set()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.gone_s = asyncio.get_running_loop().time()
        self.changed.set()
        self.writable.set()

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()


class _Outer(_End):
    """The caller's end: it asks the relay to carry it."""

    def __init__(self, relay: Relay) -> None:
        super().__init__()
        self._relay = relay

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._relay.accept(self)


@dataclass
class Way:
    """One direction of one connection."""

    source: _End
    target: _End
    path: Path
    clock: ModelClock
    dice: Dice
    name: str
    _position: int = 0
    _moved: asyncio.Event = field(default_factory=asyncio.Event)

    async def carry(self) -> None:
        """Carry until the source has left and its last bytes have come through, or the target has left."""
        loop = asyncio.get_running_loop()
        last_due = 0.0
        while self.target.gone_s is None:
            if not self.source.arrived:
                if self.source.gone_s is not None:
                    leaving = self.source.gone_s + self.path.rtt_s / 2 / self.clock.scale
                    await asyncio.sleep(max(0.0, max(last_due, leaving) - loop.time()))
                    return
                self.source.changed.clear()
                await self.source.changed.wait()
                continue
            data, arrived = self.source.arrived[0]
            delay_s = self.path.delay_s(len(data), self.dice, f"{self.name} {self._position}")
            last_due = max(last_due, arrived + delay_s / self.clock.scale)
            await asyncio.sleep(max(0.0, last_due - loop.time()))
            await self._hand_over(data)

    async def _hand_over(self, data: bytes) -> None:
        self.target.transport.write(data)
        await self.target.writable.wait()
        self.source.arrived.popleft()
        self._position += len(data)
        self.source.waiting_bytes -= len(data)
        if self.source.gone_s is None and self.source.waiting_bytes <= _WINDOW_BYTES:
            self.source.transport.resume_reading()
        self._moved.set()

    async def emptied(self) -> None:
        """Wait until nothing is on the way and the target has taken the last of it."""
        while self.source.arrived or _unread_bytes(self.source.transport):
            if self.target.gone_s is not None:
                raise delivery.CallerGone("the connection was lost on the way")
            self._moved.clear()
            await self._moved.wait()
        await delivery.taken(self.target.transport)


def _unread_bytes(transport: asyncio.Transport) -> int:
    """Bytes that lie in our kernel and were not read yet."""
    sock: socket.socket | None = transport.get_extra_info("socket")
    if sock is None or sock.fileno() < 0 or sys.platform != "linux":
        return 0
    count = array.array("i", [0])
    fcntl.ioctl(sock.fileno(), termios.FIONREAD, count, True)  # noqa: FBT003 - ioctl's own signature
    return count[0]
