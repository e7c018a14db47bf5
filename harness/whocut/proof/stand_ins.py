"""Servers of a user's own, as a proof needs them: one that sends heartbeats, one that takes jobs.

Neither has a timer. Their place is between the innermost layer and the upstream.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from whocut.clock import Clock

_BACKLOG = 4096
_MOST_BYTES = 1 << 20  # of a head, and of a line between chunks
_A_MOMENT_S = 0.000_1
HEARTBEAT = b": still at work\n\n"
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
)


class _Server:
    """A small HTTP server: one request a connection."""

    def __init__(self) -> None:
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> tuple[str, int]:
        """Listen on a free port of the loopback."""
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", 0, backlog=_BACKLOG, limit=_MOST_BYTES
        )
        host, port = self._server.sockets[0].getsockname()[:2]
        return str(host), int(port)

    async def close(self) -> None:
        """Stop, and end what is open."""
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
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                (
                    int(line[15:])
                    for line in head.lower().split(b"\r\n")
                    if line.startswith(b"content-length:")
                ),
                0,
            )
            await self.answer(head, await reader.readexactly(length), reader, writer)
            await writer.drain()
        except (OSError, EOFError):
            pass
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._tasks.discard(task)
            writer.close()

    async def answer(
        self, head: bytes, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """What this server is for."""
        raise NotImplementedError


class HeartbeatServer(_Server):
    """Answers a streamed request at once, and sends a comment whenever nothing else was sent for so long."""

    def __init__(self, upstream: tuple[str, int], *, every_s: float, clock: Clock) -> None:
        super().__init__()
        self._upstream = upstream
        self._every_s = every_s
        self._clock = clock

    async def answer(
        self, head: bytes, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Pass the request on; what comes back comes between the heartbeats."""
        source, sink = await asyncio.open_connection(*self._upstream, limit=_MOST_BYTES)
        sink.write(head + body)
        stream = _Beating(writer, self._clock)
        tasks = [
            asyncio.ensure_future(work)
            for work in (reader.read(1), stream.pass_on(source), stream.beat(self._every_s))
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sink.transport.abort()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


class _Beating:
    """One stream towards the caller: whole events and comments, never one inside the other."""

    def __init__(self, writer: asyncio.StreamWriter, clock: Clock) -> None:
        self._writer = writer
        self._clock = clock
        self._last_s = clock.now_s()
        writer.write(_STREAM_HEAD)

    async def pass_on(self, source: asyncio.StreamReader) -> None:
        """Every event of the upstream, as soon as it is whole, and the end."""
        await source.readuntil(b"\r\n\r\n")
        pending = b""
        while size := int(await source.readline(), 16):
            pending += await source.readexactly(size)
            await source.readexactly(2)
            whole, blank, pending = pending.rpartition(b"\n\n")
            if blank:
                await self._send(whole + blank)
        self._writer.write(b"0\r\n\r\n")

    async def beat(self, every_s: float) -> None:
        """A comment after each silence of this length."""
        while True:
            silent_s = self._clock.now_s() - self._last_s
            if silent_s >= every_s - _A_MOMENT_S:
                await self._send(HEARTBEAT)
            else:
                await asyncio.sleep(self._clock.real_s(every_s - silent_s))

    async def _send(self, data: bytes) -> None:
        self._last_s = self._clock.now_s()
        self._writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        await self._writer.drain()


class JobServer(_Server):
    """Takes a request as a job, has it done by a worker, and answers polls for it."""

    def __init__(self, work: Callable[[str], Awaitable[bool]]) -> None:
        super().__init__()
        self._work = work
        self._jobs: dict[str, asyncio.Task[bool]] = {}

    async def answer(
        self, head: bytes, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """`POST /jobs/NAME` begins it, `GET /jobs/NAME` asks for it."""
        del body, reader
        method, path, _ = head.split(b" ", 2)
        name = path.rpartition(b"/")[2].decode()
        if method == b"POST":
            self._jobs[name] = asyncio.ensure_future(self._work(name))
        job = self._jobs.get(name)
        status = b"202 Accepted"
        if job is not None and job.done():
            status = b"200 OK" if job.result() else b"500 Internal Server Error"
        writer.write(b"HTTP/1.1 %b\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}" % status)

    async def close(self) -> None:
        """Stop, and give up the jobs."""
        for job in self._jobs.values():
            job.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*self._jobs.values(), return_exceptions=True)
        await super().close()
