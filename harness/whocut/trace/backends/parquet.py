"""A Parquet file of spans, a row each: columns as the Collector's ClickHouse table has them, or as OTLP names them.

Names of columns count without capitals, dots and underscores. Attributes are a map, a struct, or an object of JSON
in text. It is read in batches, twice: what is suspicious, then the traces that were chosen.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Final

import orjson

from whocut.errors import BadFile, BadInput, require
from whocut.trace.fetching import made
from whocut.trace.fetching.asked import SERVICE_ATTRIBUTE, STATUS_ATTRIBUTES, Backend
from whocut.trace.logs.opening import named

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
    from pathlib import Path

    from whocut.trace.fetching.asked import Asked

_BATCH_ROWS: Final = 4_096
# Which facts a column may hold, by its name without capitals, dots and underscores.
_NAMES: Final = {
    "trace_id": ("traceid",),
    "span_id": ("spanid",),
    "parent_id": ("parentspanid", "parentid"),
    "name": ("spanname", "name"),
    "kind": ("spankind", "kind"),
    "service": ("servicename", "service"),
    "start": ("starttimeunixnano", "starttime", "timestamp"),
    "end": ("endtimeunixnano", "endtime"),
    "duration": ("duration", "durationns", "durationnano", "durationnanos"),
    "attributes": ("spanattributes", "attributes"),
    "resource": ("resourceattributes",),
    "status": ("statuscode",),
    "message": ("statusmessage",),
    "events": ("events",),
    "event_at": ("eventstimestamp",),
    "event_names": ("eventsname",),
    "event_attributes": ("eventsattributes",),
}
_NEEDED: Final = ("trace_id", "span_id", "start")
_FOR_A_SEARCH: Final = ("trace_id", "start", "end", "duration", "service", "attributes", "resource", "status")
_JUDGED: Final = {"attempt", "outcome", "phrase"}  # columns of `whocut export --format parquet`
_EVENT_AT: Final = ("timeUnixNano", "time_unix_nano", "timestamp", "Timestamp", "time")


class _Parquet:
    """Files of spans."""

    def __init__(self, paths: Sequence[Path], asked: Asked) -> None:
        self.there: int | None = None
        self.matching: int | None = None
        self._paths = paths
        self._asked = asked

    async def search(self) -> AsyncIterator[Sequence[str]]:
        """The ids, the newest first."""
        there: set[str] = set()
        last_ns: dict[str, int] = {}
        for path in self._paths:
            for row in _rows(path, _FOR_A_SEARCH):
                with _of_a_form(path):
                    start_ns, end_ns = _times(row)
                    if not self._asked.since_ns <= start_ns < self._asked.until_ns:
                        continue
                    trace_id = _id(row["trace_id"])
                    there.add(trace_id)
                    if self._suspects(row, end_ns - start_ns):
                        last_ns[trace_id] = max(start_ns, last_ns.get(trace_id, 0))
        self.there, self.matching = len(there), len(last_ns)
        yield sorted(last_ns, key=lambda trace_id: -last_ns[trace_id])

    async def fetch(self, trace_ids: Sequence[str]) -> AsyncIterator[Any]:
        """The rows of these traces, a batch at a time."""
        wanted = frozenset(trace_ids)
        for path in self._paths:
            spans = []
            for row in _rows(path, tuple(_NAMES)):
                if _id(row["trace_id"]) not in wanted:
                    continue
                with _of_a_form(path):
                    spans.append(_span(row))
                if len(spans) >= _BATCH_ROWS:
                    yield made.request(spans)
                    spans = []
            yield made.request(spans)

    def _suspects(self, row: Mapping[str, Any], took_ns: int) -> bool:
        if self._asked.service is not None and _service(row) != self._asked.service:
            return False
        attributes = _mapping(row["attributes"])
        return self._asked.suspects(
            error=made.is_error(row["status"]),
            status=next(
                (_number(attributes[name]) for name in STATUS_ATTRIBUTES if name in attributes), None
            ),
            duration_s=took_ns / 1e9,
        )


@contextmanager
def _of_a_form(path: Path) -> Iterator[None]:
    """A row of another form is a sentence."""
    try:
        yield
    except (AttributeError, LookupError, OverflowError, TypeError, ValueError) as error:
        raise BadFile(path, f"a row is of another form: {error}. Give a file of spans.") from None


def _rows(path: Path, wanted: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rows by fact; a fact that the file has no column for is None. Instants are nanoseconds."""
    import pyarrow as pa  # noqa: PLC0415  # an extra of its own, and a large one
    from pyarrow import parquet  # noqa: PLC0415  # as above

    try:
        with parquet.ParquetFile(path) as file:
            columns = _columns(path, file.schema_arrow.names)
            names = {fact: columns[fact] for fact in wanted if fact in columns}
            for batch in file.iter_batches(_BATCH_ROWS, columns=list(names.values())):
                table = {fact: _plain(batch.column(name), pa) for fact, name in names.items()}
                for at in range(batch.num_rows):
                    yield {fact: table[fact][at] if fact in table else None for fact in wanted}
    except (pa.ArrowException, OSError) as error:
        why = str(error).partition("\n")[0]
        raise BadFile(path, f"it cannot be read as Parquet: {why}") from None


def _columns(path: Path, there: Sequence[str]) -> dict[str, str]:
    if set(there) >= _JUDGED:
        raise BadFile(path, "it holds attempts that are judged already, and no spans. Give a file of spans.")
    by_name = {name.lower().replace("_", "").replace(".", ""): name for name in reversed(there)}
    found = {
        fact: by_name[name] for fact, names in _NAMES.items() for name in reversed(names) if name in by_name
    }
    missing = [fact for fact in _NEEDED if fact not in found]
    if missing or not {"end", "duration"} & set(found):
        lacks = " and ".join(missing or ["end or duration"])
        raise BadFile(path, f"it has no column for {lacks}. docs/where-traces.md says which are read.")
    return found


def _plain(column: Any, pa: Any) -> list[Any]:
    """The values of a column; timestamps, alone or in lists, as nanoseconds."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        column = column.cast(pa.timestamp("ns", kind.tz)).cast(pa.int64())
    elif pa.types.is_duration(kind):
        column = column.cast(pa.duration("ns")).cast(pa.int64())
    elif pa.types.is_list(kind) and pa.types.is_timestamp(kind.value_type):
        column = column.cast(pa.list_(pa.timestamp("ns", kind.value_type.tz))).cast(pa.list_(pa.int64()))
    plain: list[Any] = column.to_pylist()
    return plain


def _span(row: Mapping[str, Any]) -> dict[str, Any]:
    start_ns, end_ns = _times(row)
    return made.span(
        trace_id=_id(row["trace_id"]),
        span_id=_id(row["span_id"]),
        parent_id=_id(row["parent_id"]) if row["parent_id"] else None,
        name=row["name"] or "",
        kind=row["kind"],
        start_ns=start_ns,
        end_ns=end_ns,
        attributes=_mapping(row["attributes"]),
        resource=_mapping(row["resource"]),
        service=row["service"],
        error=made.is_error(row["status"]),
        message=row["message"],
        events=_events(row),
    )


def _events(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    if row["event_at"] is not None:
        names, attributes = row["event_names"] or (), row["event_attributes"] or ()
        return [
            made.event(name, at_ns, _mapping(has))
            for at_ns, name, has in zip(row["event_at"], names, attributes, strict=False)
        ]
    events = row["events"]
    events = orjson.loads(events) if isinstance(events, str) and events else events or ()
    return [
        made.event(
            one.get("name", one.get("Name", "")),
            next((_ns(one[key]) for key in _EVENT_AT if one.get(key) is not None), 0),
            _mapping(one.get("attributes", one.get("Attributes"))),
        )
        for one in events
    ]


def _times(row: Mapping[str, Any]) -> tuple[int, int]:
    start_ns = _ns(row["start"])
    return start_ns, start_ns + _ns(row["duration"]) if row["end"] is None else _ns(row["end"])


def _ns(value: Any) -> int:
    if hasattr(value, "timestamp"):
        return int(round(value.timestamp() * 1_000_000) * 1_000)
    return int(value or 0)


def _id(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def _service(row: Mapping[str, Any]) -> str:
    return str(row["service"] or _mapping(row["resource"]).get(SERVICE_ATTRIBUTE, ""))


def _number(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def _mapping(value: Any) -> dict[str, Any]:
    """Attributes: a map comes as pairs, a struct with its empty fields."""
    if isinstance(value, str):
        value = orjson.loads(value) if value else {}
    if isinstance(value, dict):
        return {str(key): one for key, one in value.items() if one is not None}
    return {str(key): one for key, one in value or ()}


@asynccontextmanager
async def _opened(address: str, asked: Asked) -> AsyncIterator[_Parquet]:
    require("pyarrow")
    paths = named(address)
    if not paths:
        raise BadInput(f"no file fits the pattern {address}. Write a name, or another pattern.", field="from")
    yield _Parquet(paths, asked)


BACKEND: Final = Backend("FILE", "a Parquet file of spans", _opened, local=True, at_once=100_000)
