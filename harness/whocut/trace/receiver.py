"""An OTLP/HTTP receiver: any process can export its spans into a run directory, or spans and logs to another sink.

What is acknowledged is written: a request gets its 200 only after its spans have gone to the file in one whole
line. Everything a sender can do wrong ends in an OTLP status of its own and a count, never in a lost
acknowledgement: broken protobuf, wrong gzip, a body that announces a gigabyte, a sender that never finishes.
https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from __future__ import annotations

import asyncio
import errno
import zlib
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

import orjson
from aiohttp import web
from google.protobuf.json_format import MessageToJson
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

from whocut.errors import PortTaken
from whocut.trace import otlp
from whocut.trace.media import media_type
from whocut.trace.otlp_logs import SentLine, lines_of
from whocut.trace.peers import SERVER_LOG
from whocut.trace.protobuf import (
    MOST_VALUES,
    TooManyValues,
    export_logs_from_protobuf,
    export_request_from_protobuf,
)
from whocut.trace.rundir import SPANS, LineFile

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from whocut.trace.lean import LeanReader, Rows
    from whocut.trace.records import Span
    from whocut.trace.rundir import RunDir

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
# A Collector's default receiver takes 20 MiB; exporters send 512 spans in half a megabyte.
MAX_BYTES = 20 * 2**20
# Braces, brackets and commas of one JSON body: three for each value.
_MOST_MARKS = 3 * MOST_VALUES
# A body up to this size is read in some milliseconds. A larger one is read in a thread: the loop is the hops' own.
_AT_ONCE_BYTES = 128 * 1024
_GZIP = zlib.MAX_WBITS | 16  # what zlib calls it
# How long, in real seconds, a sender may take over one request.
PATIENCE_REAL_S = 10.0

R = TypeVar("R")


@dataclass(slots=True)
class Counts:
    """What has come in, and what has been refused, by status."""

    requests: int = 0
    spans: int = 0
    lines: int = 0
    refused: dict[int, int] = field(default_factory=dict)


class _Refused(Exception):  # noqa: N818  # an answer, not a failure
    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Overloaded(Exception):  # noqa: N818  # an answer, not a failure
    """A sink has no room for this request: its sender is to send it again, later."""


@dataclass(frozen=True, slots=True)
class Sent:
    """An export request as it came: of which content type, and whether its bytes are packed by gzip."""

    kind: str
    body: bytes
    packed: bool = False


class Keeper(Protocol[R]):
    """A sink that keeps requests as they came. What it reads of a body may be read in a thread of its own."""

    def read(self, kind: str, body: bytes, /) -> R:
        """What a body of a content type holds.

        Raises:
            ValueError: it is not whole; `TooManyValues` where it has more than is read.
        """

    def keep(self, sent: Sent, found: R, /) -> tuple[int, int]:
        """Keep a request; how many spans or lines it has, and how many of them are not taken.

        It is kept when this returns.
        """


Page: TypeAlias = "Callable[[web.Request], Awaitable[web.StreamResponse]]"
# Takes the export request as a line, and its spans, and has kept them when it returns.
Sink: TypeAlias = "Callable[[bytes, list[Span]], None]"
# The same of lines of logs; returns how many of them belong to no log that it knows.
LogSink: TypeAlias = "Callable[[bytes, list[SentLine]], int]"


@dataclass(slots=True)
class Receiver:
    """A receiver that listens; close it."""

    port: int
    counts: Counts
    _runner: web.AppRunner
    _closes: Callable[[], None] = lambda: None

    @property
    def endpoint(self) -> str:
        """The address for exporters, as ``OTEL_EXPORTER_OTLP_ENDPOINT``."""
        return f"http://127.0.0.1:{self.port}"

    async def close(self) -> None:
        """Take no more, finish what is being taken, close the sink."""
        await self._runner.cleanup()
        self._closes()


async def receive_into(
    run: RunDir, *, port: int = 0, max_bytes: int = MAX_BYTES, patience_real_s: float = PATIENCE_REAL_S
) -> Receiver:
    """Listen on the loopback and append what comes to the run's spans.

    Raises:
        PortTaken: another program listens there.
    """
    file = LineFile(run.path / SPANS)

    def write_down(line: bytes, spans: list[Span]) -> None:
        if spans:
            file.write(line)

    return await receive(
        write_down,
        epoch_unix_s=run.epoch_unix_s,
        port=port,
        max_bytes=max_bytes,
        patience_real_s=patience_real_s,
        closes=file.close,
    )


async def receive(
    sink: Sink | Keeper[Any],
    *,
    epoch_unix_s: float = 0.0,
    port: int = 0,
    max_bytes: int = MAX_BYTES,
    patience_real_s: float = PATIENCE_REAL_S,
    closes: Callable[[], None] = lambda: None,
    log_sink: LogSink | None = None,
    pages: Mapping[str, Page] | None = None,
    admits: Callable[[Sequence[str]], bool] = lambda _hosts: True,
) -> Receiver:
    """Listen on the loopback and give what comes to a sink; `pages` are served beside it, by their paths.

    Without a `log_sink` no logs are taken.

    `admits` says of a request's `Host` headers whether it is meant for this server.

    Raises:
        PortTaken: another program listens there.
    """
    counts, one_at_a_time = Counts(), asyncio.Lock()
    keeper: Keeper[Any] = _LineKeeper(sink, epoch_unix_s) if callable(sink) else sink

    async def export(request: web.Request, keeper: Keeper[Any]) -> tuple[int, int]:
        _admitted(request)
        kind = media_type(request.headers)
        async with asyncio.timeout(patience_real_s):
            body, packed = await _read(request, max_bytes)
        if len(body) <= _AT_ONCE_BYTES:
            found = _read_by(keeper, kind, body)
        else:
            async with one_at_a_time:
                found = await asyncio.to_thread(_read_by, keeper, kind, body)
        return keeper.keep(Sent(kind, body if packed is None else packed, packed is not None), found)

    async def spans(request: web.Request) -> bytes:
        taken, _ = await export(request, keeper)
        counts.spans += taken
        return b"{}" if media_type(request.headers) == JSON else b""  # an empty ExportTraceServiceResponse

    async def lines(request: web.Request) -> bytes:
        assert log_sink is not None
        taken, strange = await export(request, _LogKeeper(log_sink))
        counts.lines += taken
        return _partly(strange, as_json=media_type(request.headers) == JSON)

    def _admitted(request: web.Request) -> None:
        if not admits(request.headers.getall("Host", [])):
            raise _Refused(421, "the Host is not this machine; send to the address that the server tells")

    def guarded(page: Page) -> Page:
        async def served(request: web.Request) -> web.StreamResponse:
            try:
                _admitted(request)
            except _Refused as refused:
                return _refuse(counts, refused.status, str(refused))
            return await page(request)

        return served

    app = web.Application(client_max_size=max_bytes)
    app.router.add_post("/v1/traces", partial(_answered, counts, taken=spans))
    if log_sink is not None:
        app.router.add_post("/v1/logs", partial(_answered, counts, taken=lines))
    for path, page in (pages or {}).items():
        app.router.add_get(path, guarded(page))
    # aiohttp must not unpack by itself: the bound on the unpacked size is ours to hold.
    runner = web.AppRunner(
        app, access_log=None, shutdown_timeout=1.0, auto_decompress=False, logger=SERVER_LOG
    )
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, backlog=1024)
    try:
        await site.start()
    except OSError as error:
        await runner.cleanup()
        closes()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken("127.0.0.1", port) from None
        raise
    return Receiver(runner.addresses[0][1], counts, runner, closes)


async def _answered(
    counts: Counts, request: web.Request, taken: Callable[[web.Request], Awaitable[bytes]]
) -> web.Response:
    try:
        body = await taken(request)
    except TimeoutError:
        return _refuse(counts, 408, "the request took too long")
    except Overloaded as full:
        return _refuse(counts, 503, str(full), {"Retry-After": "5"})
    except _Refused as refused:
        return _refuse(counts, refused.status, str(refused))
    counts.requests += 1
    return web.Response(body=body, content_type=media_type(request.headers))


class _LineKeeper:
    """A sink that takes requests of spans as lines."""

    def __init__(self, sink: Sink, epoch_unix_s: float) -> None:
        self._sink, self._epoch_unix_s = sink, epoch_unix_s

    def read(self, kind: str, body: bytes) -> tuple[list[Span], bytes]:
        return _records(_parsed(kind, body), self._epoch_unix_s)

    def keep(self, sent: Sent, found: tuple[list[Span], bytes]) -> tuple[int, int]:
        del sent
        spans, line = found
        self._sink(line, spans)
        return len(spans), 0


class _LogKeeper:
    """A sink that takes requests of logs as lines."""

    def __init__(self, sink: LogSink) -> None:
        self._sink = sink

    def read(self, kind: str, body: bytes) -> tuple[list[SentLine], bytes]:
        return _logs(kind, body)

    def keep(self, sent: Sent, found: tuple[list[SentLine], bytes]) -> tuple[int, int]:
        del sent
        lines, line = found
        return len(lines), self._sink(line, lines)


def _read_by(keeper: Keeper[R], kind: str, body: bytes) -> R:
    try:
        return keeper.read(kind, body)
    except ValueError as error:
        raise _refused_for(error) from None


async def _read(request: web.Request, max_bytes: int) -> tuple[bytes, bytes | None]:
    """The body, unpacked, and as it came where it was packed; stops as soon as it is too large, either way."""
    if request.content_length is not None and request.content_length > max_bytes:
        raise _Refused(413, f"more than {max_bytes} bytes are announced")
    encoding = request.headers.get("Content-Encoding", "identity").lower()
    if encoding not in {"identity", "gzip"}:
        raise _Refused(415, f"content encoding '{encoding}' is not taken; send gzip or identity")
    unpack = zlib.decompressobj(wbits=_GZIP) if encoding == "gzip" else None
    taken, came = bytearray(), bytearray()
    async for packed in request.content.iter_any():
        came += packed
        try:
            taken += unpack.decompress(packed, max_bytes + 1 - len(taken)) if unpack else packed
        except zlib.error:
            raise _Refused(400, "the body is not gzip, although its header says so") from None
        if max(len(taken), len(came)) > max_bytes:
            raise _Refused(413, f"the body is larger than {max_bytes} bytes")
    if unpack is None:
        return bytes(taken), None
    if not unpack.eof:
        raise _Refused(400, "the gzip body ends in the middle")
    return bytes(taken), bytes(came)


def unpacked(body: bytes) -> bytes:
    """The bytes of a body that was packed by gzip when it was taken."""
    return zlib.decompressobj(wbits=_GZIP).decompress(body)


def read_spans(kind: str, body: bytes, reader: LeanReader) -> Rows | list[Span]:
    """What a body of a content type holds: rows where all of it is ordinary, and records where it is not.

    What is refused here is refused without a reader, too.

    Raises:
        ValueError: it is not whole; `TooManyValues` where it has more than is read.
    """
    if kind == PROTOBUF:
        if (rows := reader.protobuf(body)) is not None:
            return rows
        return list(otlp.decode_request(_parsed(kind, body), 0.0))
    export = _parsed(kind, body)
    if (rows := reader.plain(export)) is not None:
        return rows
    return _records(export, 0.0)[0]


def _logs(kind: str, body: bytes) -> tuple[list[SentLine], bytes]:
    """The lines of logs that a body holds, and the line that it becomes."""
    export = _parsed(kind, body, export_logs_from_protobuf)
    return lines_of(export), orjson.dumps(export, option=orjson.OPT_APPEND_NEWLINE)


def _partly(strange: int, *, as_json: bool) -> bytes:
    """The answer to an export of logs of which so many lines belong to no log that is known here."""
    answer = ExportLogsServiceResponse()
    if strange:
        answer.partial_success.rejected_log_records = strange
        answer.partial_success.error_message = (
            "the log of this service is unknown; name it: --logs FORMAT=otlp:SERVICE"
        )
    return MessageToJson(answer, indent=None).encode() if as_json else bytes(answer.SerializeToString())


class _OtherTypeError(ValueError):
    """A content type that is not taken."""


def _refused_for(error: ValueError) -> _Refused:
    if isinstance(error, TooManyValues):
        return _Refused(413, f"{error}: at most {MOST_VALUES} are read; send smaller batches")
    return _Refused(415 if isinstance(error, _OtherTypeError) else 400, str(error))


def _parsed(
    content_type: str,
    body: bytes,
    from_protobuf: Callable[[bytes], dict[str, Any]] = export_request_from_protobuf,
) -> dict[str, Any]:
    if content_type == PROTOBUF:
        return from_protobuf(body)
    if content_type == JSON:
        _count_values(body)
        export = orjson.loads(body)
        if isinstance(export, dict):
            return export
        raise ValueError("not an OTLP/JSON export request: it is no object")
    raise _OtherTypeError(f"content type '{content_type}' is not taken; send {PROTOBUF} or {JSON}")


def _count_values(body: bytes) -> None:
    if sum(body.count(mark) for mark in (b"{", b"[", b",")) > _MOST_MARKS:
        raise TooManyValues("one request has too many values")


def _records(export: dict[str, Any], epoch_unix_s: float) -> tuple[list[Span], bytes]:
    """The spans of an export request, and the line that it becomes; what cannot be read back is not taken."""
    export.setdefault("resourceSpans", [])
    try:
        line = orjson.dumps(export, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError as error:
        raise ValueError(str(error)) from None
    return list(otlp.decode_request(export, epoch_unix_s)), line


def _refuse(counts: Counts, status: int, why: str, headers: Mapping[str, str] | None = None) -> web.Response:
    counts.refused[status] = counts.refused.get(status, 0) + 1
    return web.json_response({"code": 3, "message": why}, status=status, headers=headers)
