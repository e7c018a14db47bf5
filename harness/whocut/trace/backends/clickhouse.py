"""ClickHouse by its HTTP interface, with the table that the Collector's clickhouseexporter makes: `otel_traces`.

The path of the address names the database, or DATABASE.TABLE. Values go as parameters of the query, never into its
text. Attributes are kept as text. The exporter's variant with columns of the type JSON is not read.
"""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit, urlunsplit

from whocut.errors import BadInput
from whocut.trace.fetching import made
from whocut.trace.fetching.asked import LOWEST_STATUS, STATUS_ATTRIBUTES, Backend
from whocut.trace.fetching.door import over_http

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from whocut.trace.fetching.asked import Asked
    from whocut.trace.fetching.door import Door

_PLACE: Final = re.compile(r"/?(?:(?P<database>\w+)(?:\.(?P<table>\w+))?)?/?", re.ASCII)
_TABLE: Final = "otel_traces"
_NS: Final = 1_000_000_000
_MARGIN_NS: Final = 3_600 * _NS  # a trace may begin before the time that is searched, and end after it
_IN_TIME: Final = """Timestamp >= fromUnixTimestamp64Nano({since:Int64})
AND Timestamp < fromUnixTimestamp64Nano({until:Int64})"""
_ERRORS: Final = "StatusCode IN ('Error', 'STATUS_CODE_ERROR')"  # newer and older versions of the exporter
_COLUMNS: Final = """TraceId, SpanId, ParentSpanId, SpanName, SpanKind, ServiceName, ResourceAttributes,
SpanAttributes, toUnixTimestamp64Nano(Timestamp) AS StartNs, Duration, StatusCode, StatusMessage,
arrayMap(at -> toUnixTimestamp64Nano(at), `Events.Timestamp`) AS EventNs,
`Events.Name` AS EventNames, `Events.Attributes` AS EventAttributes"""
_NOT_WHOLE: Final = (AttributeError, LookupError, TypeError, ValueError)


class _ClickHouse:
    """Three queries: how many traces there are, which are suspicious, and their rows."""

    def __init__(self, door: Door, asked: Asked, table: str) -> None:
        self.there: int | None = None
        self.matching: int | None = None
        self._door = door
        self._asked = asked
        self._table = table

    async def search(self) -> AsyncIterator[Sequence[str]]:
        """The ids, the newest first; one more than are wanted, at most."""
        where, values = condition(self._asked)
        time = {"since": str(self._asked.since_ns), "until": str(self._asked.until_ns)}
        (counted,) = await self._rows(
            f"SELECT uniqExact(TraceId) AS there, uniqExactIf(TraceId, {where}) AS matching "
            f"FROM {self._table} WHERE {_IN_TIME}",
            {**time, **values},
        )
        found = await self._rows(
            f"SELECT TraceId, max(Timestamp) AS last FROM {self._table} WHERE {_IN_TIME} AND ({where}) "
            "GROUP BY TraceId ORDER BY last DESC LIMIT {most:UInt32}",
            {**time, **values, "most": str(self._asked.limit + 1)},
        )
        try:
            self.there, self.matching = int(counted["there"]), int(counted["matching"])
            yield [str(row["TraceId"]) for row in found]
        except _NOT_WHOLE as error:
            raise self._door.strange(f"a row lacks a column: {error}") from None

    async def fetch(self, trace_ids: Sequence[str]) -> AsyncIterator[Any]:
        """All rows of these traces."""
        ids = ",".join(f"'{_plain(one)}'" for one in trace_ids)
        rows = await self._rows(
            f"SELECT {_COLUMNS} FROM {self._table} WHERE TraceId IN {{ids:Array(String)}} AND {_IN_TIME}",
            {
                "ids": f"[{ids}]",
                "since": str(max(0, self._asked.since_ns - _MARGIN_NS)),
                "until": str(self._asked.until_ns + _MARGIN_NS),
            },
        )
        try:
            spans = [_span(row) for row in rows]
        except _NOT_WHOLE as error:
            raise self._door.strange(f"a row lacks a column: {error}") from None
        yield made.request(spans)

    async def _rows(self, sql: str, values: dict[str, str]) -> list[Any]:
        query = [(f"param_{name}", value) for name, value in values.items()]
        answer = await self._door.raw("/", query, body=f"{sql} FORMAT JSONEachRow".encode())
        return [self._door.parsed(line) for line in (answer or b"").splitlines() if line]


def condition(asked: Asked) -> tuple[str, dict[str, str]]:
    """What makes a row suspicious, as SQL with the values of its parameters."""
    parts, values = [], {}
    if asked.service is not None:
        parts.append("ServiceName = {service:String}")
        values["service"] = _escaped(asked.service)
    if not asked.every:
        kinds = [_ERRORS]
        kinds += [f"toInt32OrZero(SpanAttributes['{name}']) >= {LOWEST_STATUS}" for name in STATUS_ATTRIBUTES]
        for low_s, high_s in asked.durations:
            low = f"Duration >= {round(low_s * _NS)}"
            kinds.append(low if high_s is None else f"({low} AND Duration <= {round(high_s * _NS)})")
        parts.append(f"({' OR '.join(kinds)})")
    return " AND ".join(parts) or "true", values


def _escaped(value: str) -> str:
    """A parameter as the HTTP interface reads it: backslash, tab and newline are escaped."""
    return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")


def _plain(trace_id: str) -> str:
    """An id that came from there: letters and digits go into a list."""
    if not trace_id.isalnum() or not trace_id.isascii():
        raise ValueError(trace_id)
    return trace_id


def _span(row: dict[str, Any]) -> dict[str, Any]:
    start_ns = int(row["StartNs"])
    events = zip(row["EventNs"], row["EventNames"], row["EventAttributes"], strict=True)
    return made.span(
        trace_id=row["TraceId"],
        span_id=row["SpanId"],
        parent_id=row["ParentSpanId"],
        name=row["SpanName"],
        kind=row["SpanKind"],
        start_ns=start_ns,
        end_ns=start_ns + int(row["Duration"]),
        attributes=row["SpanAttributes"],
        resource=row["ResourceAttributes"],
        service=row["ServiceName"],
        error=made.is_error(row["StatusCode"]),
        message=row["StatusMessage"],
        events=[made.event(name, at_ns, attributes) for at_ns, name, attributes in events],
    )


@asynccontextmanager
async def _opened(address: str, asked: Asked) -> AsyncIterator[_ClickHouse]:
    try:
        url = urlsplit(address)
    except ValueError:
        raise BadInput("the address is no URL. Write it like http://127.0.0.1:8123.", field="from") from None
    place = _PLACE.fullmatch(url.path)
    if place is None:
        raise BadInput(
            f"'{url.path}' is no database. Write /DATABASE, or /DATABASE.TABLE, behind the port.",
            field="from",
        )
    table = f"`{place['table'] or _TABLE}`"
    if place["database"]:
        table = f"`{place['database']}`.{table}"
    bare = urlunsplit(url._replace(path=""))
    async with over_http("clickhouse", lambda door, asked: _ClickHouse(door, asked, table))(
        bare, asked
    ) as reader:
        yield reader


BACKEND: Final = Backend("URL", "ClickHouse, with the Collector's table", _opened)
