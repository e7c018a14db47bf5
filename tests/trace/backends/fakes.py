"""Fakes of the backends' interfaces on the loopback: each stores spans, and answers as its documentation says."""

from __future__ import annotations

import base64
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import orjson

from whocut.chain.durations import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from whocut.trace.otlp import WireSpan

KINDS = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")


@dataclass
class Request:
    """One request, as a backend sees it."""

    path: str
    query: dict[str, str]
    queries: dict[str, list[str]]
    body: bytes
    headers: dict[str, str]


@dataclass
class Answer:
    """One answer; `parts` are sent one by one, so that a body may never end."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    parts: Iterable[bytes] | None = None


@contextmanager
def serving(answer: Callable[[Request], Answer]) -> Iterator[str]:
    """Serve these answers on the loopback; yields the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            queries = parse_qs(url.query)
            query = {key: values[-1] for key, values in queries.items()}
            said = answer(Request(unquote(url.path), query, queries, body, dict(self.headers)))
            data = said.body if isinstance(said.body, bytes) else orjson.dumps(said.body)
            self.send_response(said.status)
            for name, value in said.headers.items():
                self.send_header(name, value)
            if said.parts is None:
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            try:
                for part in [data] if said.parts is None else said.parts:
                    self.wfile.write(part)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the reader had enough
            self.close_connection = True

        do_POST = do_GET  # noqa: N815  # the name that http.server looks for

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Store:
    """Spans by trace, the newest trace first; `requests` are what was asked."""

    def __init__(self, spans: Iterable[WireSpan]) -> None:
        self.traces: dict[str, list[WireSpan]] = {}
        self.requests: list[Request] = []
        for span in sorted(spans, key=lambda one: -one.start_ns):
            self.traces.setdefault(span.trace_id, []).append(span)

    def __call__(self, request: Request) -> Answer:
        """Answer, and remember."""
        self.requests.append(request)
        return self.answer(request)

    def answer(self, request: Request) -> Answer:
        """Each backend's own."""
        raise NotImplementedError


def service_of(span: WireSpan) -> str:
    """Which service wrote it."""
    return str(span.resource.get("service.name", ""))


def seconds(written: str) -> float:
    """A duration that must be there."""
    found = parse_duration(written)
    assert found is not None
    return found


class Jaeger(Store):
    """`/api/services` and `/api/traces` of Jaeger's query service."""

    def answer(self, request: Request) -> Answer:
        """Search answers with whole traces."""
        if request.path == "/api/services":
            names = {service_of(span) for spans in self.traces.values() for span in spans}
            return Answer({"data": sorted(names), "total": len(names), "errors": None})
        if request.path != "/api/traces":
            return Answer({"errors": [{"code": 404, "msg": "not found"}]}, 404)
        if "service" not in request.query:
            return Answer({"errors": [{"code": 400, "msg": "parameter 'service' is required"}]}, 400)
        found = [
            spans for spans in self.traces.values() if any(self._fits(one, request.query) for one in spans)
        ]
        data = [self._trace(spans) for spans in found[: int(request.query["limit"])]]
        return Answer({"data": data, "total": 0, "limit": 0, "offset": 0, "errors": None})

    @staticmethod
    def _fits(span: WireSpan, asked: dict[str, str]) -> bool:
        tags = {tag["key"]: str(tag["value"]).lower() for tag in jaeger_tags(span)}
        took_s = (span.end_ns - span.start_ns) / 1e9
        return (
            service_of(span) == asked["service"]
            and int(asked["start"]) <= span.start_ns // 1000 <= int(asked["end"])
            and all(tags.get(key) == value for key, value in orjson.loads(asked.get("tags", "{}")).items())
            and took_s >= seconds(asked.get("minDuration", "1ms")) - 0.001
            and took_s <= seconds(asked.get("maxDuration", "10000h"))
        )

    @staticmethod
    def _trace(spans: list[WireSpan]) -> dict[str, Any]:
        names = sorted({service_of(span) for span in spans})
        return {
            "traceID": spans[0].trace_id,
            "spans": [
                {
                    "traceID": span.trace_id,
                    "spanID": span.span_id,
                    "operationName": span.name,
                    "references": [
                        {"refType": "CHILD_OF", "traceID": span.trace_id, "spanID": span.parent_id}
                    ]
                    if span.parent_id
                    else [],
                    "startTime": span.start_ns // 1000,
                    "duration": (span.end_ns - span.start_ns) // 1000,
                    "tags": jaeger_tags(span),
                    "logs": [
                        {
                            "timestamp": event.at_ns // 1000,
                            "fields": [
                                {"key": "event", "type": "string", "value": event.name},
                                *map(jaeger_tag, event.attributes.items()),
                            ],
                        }
                        for event in span.events
                    ],
                    "processID": f"p{names.index(service_of(span))}",
                    "warnings": None,
                }
                for span in spans
            ],
            "processes": {f"p{at}": {"serviceName": name, "tags": []} for at, name in enumerate(names)},
            "warnings": None,
        }


def jaeger_tag(pair: tuple[str, Any]) -> dict[str, Any]:
    """A tag with its type; a list is kept as text."""
    key, value = pair
    if isinstance(value, list | tuple):
        return {"key": key, "type": "string", "value": orjson.dumps(value).decode()}
    types = {bool: "bool", int: "int64", float: "float64"}
    return {"key": key, "type": types.get(type(value), "string"), "value": value}


def jaeger_tags(span: WireSpan) -> list[dict[str, Any]]:
    """The attributes, and what the translation from OTLP adds."""
    tags = [jaeger_tag(pair) for pair in span.attributes.items()]
    if span.kind:
        tags.append({"key": "span.kind", "type": "string", "value": KINDS[span.kind].lower()})
    if span.error is not None:
        tags += [
            {"key": "otel.status_code", "type": "string", "value": "ERROR"},
            {"key": "error", "type": "bool", "value": True},
            {"key": "otel.status_description", "type": "string", "value": span.error},
        ]
    return tags


class Tempo(Store):
    """`/api/search` with TraceQL and `/api/traces/ID` of Tempo, ids of spans in base64."""

    def answer(self, request: Request) -> Answer:
        """Search answers with ids that lack the zeros in front."""
        if request.path == "/api/search":
            asked = request.query
            found = [spans for spans in self.traces.values() if any(self._fits(one, asked) for one in spans)]
            rows = [{"traceID": spans[0].trace_id.lstrip("0")} for spans in found[: int(asked["limit"])]]
            return Answer({"traces": rows, "metrics": {"totalBlocks": 1}})
        spans = self.traces.get(request.path.removeprefix("/api/traces/"), [])
        if not spans:
            return Answer(b"trace not found", 404)
        return Answer({"batches": [self._batch(span) for span in spans]})

    @staticmethod
    def _fits(span: WireSpan, asked: dict[str, str]) -> bool:
        return int(asked["start"]) <= span.start_ns / 1e9 <= int(asked["end"]) and traceql_fits(
            asked["q"], span
        )

    @staticmethod
    def _batch(span: WireSpan) -> dict[str, Any]:
        plain = otlp_span(span)
        for key in ("traceId", "spanId", "parentSpanId"):
            if plain.get(key):
                plain[key] = base64.b64encode(bytes.fromhex(plain[key])).decode()
        plain["kind"] = f"SPAN_KIND_{KINDS[span.kind]}"
        if span.error is not None:
            plain["status"]["code"] = "STATUS_CODE_ERROR"
        resource = {"attributes": otlp_pairs(span.resource)}
        return {"resource": resource, "scopeSpans": [{"scope": {}, "spans": [plain]}]}


def traceql_fits(query: str, span: WireSpan) -> bool:
    """Whether one span fits ``{ … }``: comparisons, joined by `&&`, `||` and brackets."""
    names = {
        "status": "error" if span.error is not None else "unset",
        "duration": (span.end_ns - span.start_ns) / 1e9,
        **{f"resource.{key}": value for key, value in span.resource.items()},
        **{f"span.{key}": value for key, value in span.attributes.items()},
    }
    assert query.startswith("{ ")
    assert query.endswith(" }")
    tokens = re.findall(r'"(?:[^"\\]|\\.)*"|&&|\|\||>=|<=|=|[()]|[^\s()]+', query[2:-2])

    def comparison() -> bool:
        if tokens[0] == "(":
            tokens.pop(0)
            value = either()
            assert tokens.pop(0) == ")"
            return value
        name, sign, written = tokens.pop(0), tokens.pop(0), tokens.pop(0)
        assert name in {"status", "duration"} or name.partition(".")[0] in {"resource", "span"}, name
        has = names.get(name)
        if sign == "=":
            return bool(has == (orjson.loads(written) if written.startswith('"') else written))
        bound = seconds(written) if name == "duration" else float(written)
        if not isinstance(has, int | float):
            return False
        return bool(has >= bound if sign == ">=" else has <= bound)

    def both() -> bool:
        value = comparison()
        while tokens and tokens[0] == "&&":
            tokens.pop(0)
            value = comparison() and value
        return value

    def either() -> bool:
        value = both()
        while tokens and tokens[0] == "||":
            tokens.pop(0)
            value = both() or value
        return value

    return not tokens or either()


def otlp_pairs(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    """Attributes as OTLP/JSON."""
    return [{"key": key, "value": otlp_value(value)} for key, value in attributes.items()]


def otlp_value(value: Any) -> dict[str, Any]:
    """A value as OTLP/JSON."""
    if isinstance(value, list | tuple):
        return {"arrayValue": {"values": [otlp_value(one) for one in value]}}
    kinds = {bool: "boolValue", int: "intValue", float: "doubleValue"}
    return {kinds.get(type(value), "stringValue"): str(value) if type(value) is int else value}


def otlp_span(span: WireSpan) -> dict[str, Any]:
    """A span as OTLP/JSON."""
    return {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "parentSpanId": span.parent_id or "",
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": str(span.start_ns),
        "endTimeUnixNano": str(span.end_ns),
        "attributes": otlp_pairs(span.attributes),
        "events": [
            {"timeUnixNano": str(one.at_ns), "name": one.name, "attributes": otlp_pairs(one.attributes)}
            for one in span.events
        ],
        "status": {} if span.error is None else {"code": 2, "message": span.error},
    }


def as_text(value: Any) -> str:
    """A value as the Collector writes it into a map of texts."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return orjson.dumps(value).decode()


def collector_row(span: WireSpan) -> dict[str, Any]:
    """A row of `otel_traces`, as the Collector's clickhouseexporter writes it."""
    return {
        "Timestamp": span.start_ns,
        "TraceId": span.trace_id,
        "SpanId": span.span_id,
        "ParentSpanId": span.parent_id or "",
        "SpanName": span.name,
        "SpanKind": KINDS[span.kind].capitalize(),
        "ServiceName": service_of(span),
        "ResourceAttributes": {key: as_text(value) for key, value in span.resource.items()},
        "SpanAttributes": {key: as_text(value) for key, value in span.attributes.items()},
        "Duration": span.end_ns - span.start_ns,
        "StatusCode": "Unset" if span.error is None else "Error",
        "StatusMessage": span.error or "",
        "Events.Timestamp": [event.at_ns for event in span.events],
        "Events.Name": [event.name for event in span.events],
        "Events.Attributes": [
            {key: as_text(value) for key, value in event.attributes.items()} for event in span.events
        ],
    }


# The table as the exporter of 2026 makes it, without its codecs and indexes.
COLLECTOR_TABLE = """
CREATE TABLE otel_traces (
    Timestamp DateTime64(9), TraceId String, SpanId String, ParentSpanId String, TraceState String,
    SpanName LowCardinality(String), SpanKind LowCardinality(String), ServiceName LowCardinality(String),
    ResourceAttributes Map(LowCardinality(String), String), ScopeName String, ScopeVersion String,
    SpanAttributes Map(LowCardinality(String), String), Duration UInt64, StatusCode LowCardinality(String),
    StatusMessage String,
    Events Nested (Timestamp DateTime64(9), Name LowCardinality(String),
                   Attributes Map(LowCardinality(String), String)),
    Links Nested (TraceId String, SpanId String, TraceState String,
                  Attributes Map(LowCardinality(String), String))
) ENGINE = MergeTree PARTITION BY toDate(Timestamp) ORDER BY (ServiceName, SpanName, toDateTime(Timestamp))
"""


class ClickHouse(Store):
    """The HTTP interface of ClickHouse; its engine, `chdb`, runs the queries."""

    def __init__(self, spans: Iterable[WireSpan]) -> None:
        super().__init__(spans)
        # 530 MB, and without types: it may be missing.
        self.session: Any = import_module("chdb.session").Session()
        self.session.query("CREATE DATABASE IF NOT EXISTS fake ENGINE = Atomic")
        self.session.query("DROP TABLE IF EXISTS fake.otel_traces")
        self.session.query(COLLECTOR_TABLE.replace("otel_traces", "fake.otel_traces"))
        rows = [collector_row(span) for spans in self.traces.values() for span in spans]
        for row in rows:
            row["Timestamp"] = written_ns(row["Timestamp"])
            row["Events.Timestamp"] = [written_ns(at_ns) for at_ns in row["Events.Timestamp"]]
        data = "\n".join(orjson.dumps(row).decode() for row in rows)
        self.session.query(f"INSERT INTO fake.otel_traces FORMAT JSONEachRow\n{data}")

    def answer(self, request: Request) -> Answer:
        """A query in the body, values of its parameters in the URL."""
        values = {
            key.removeprefix("param_"): value
            for key, value in request.query.items()
            if key.startswith("param_")
        }
        try:
            rows = self.session.query(request.body.decode(), params=values).bytes()
        except RuntimeError as error:
            return Answer(str(error).encode(), 400)
        return Answer(bytes(rows or b""))


def written_ns(at_ns: int) -> str:
    """An instant as ClickHouse reads it, to the nanosecond."""
    return f"{at_ns // 1_000_000_000}.{at_ns % 1_000_000_000:09d}"


def _place(cursor: str | None) -> int:
    """Where a page begins; at the beginning for a cursor that was never given."""
    return int(cursor) if cursor and cursor.isdecimal() and len(cursor) < 9 else 0


class Phoenix(Store):
    """Phoenix's GraphQL search, and its REST interface of projects and spans; no kinds, no resources."""

    page = 7  # small, so that there are several

    def answer(self, request: Request) -> Answer:
        """One project, as a server has it at the start."""
        spans = [span for spans in self.traces.values() for span in spans]
        if request.path == "/v1/projects":
            rows = [{"id": "UHJvamVjdDox", "name": "default", "description": None}]
            return Answer({"data": rows, "next_cursor": None})
        if request.path == "/graphql":
            return self._graphql(orjson.loads(request.body)["variables"], spans)
        if request.path != "/v1/projects/UHJvamVjdDox/spans":
            return Answer({"detail": "Not Found"}, 404)
        ids = request.queries.get("trace_id", [])
        spans = [span for span in spans if not ids or span.trace_id in ids]
        at = _place(request.query.get("cursor"))
        after = str(at + self.page) if at + self.page < len(spans) else None
        rows = [self._row(span) for span in spans[at : at + self.page]]
        return Answer({"data": rows, "next_cursor": after})

    def _graphql(self, asked: dict[str, Any], spans: list[WireSpan]) -> Answer:
        if asked["id"] != "UHJvamVjdDox":
            return Answer({"data": None, "errors": [{"message": "Unknown project"}]})
        since, until = (datetime.fromisoformat(asked["time"][end]).timestamp() for end in ("start", "end"))
        found = [
            span
            for span in sorted(spans, key=lambda one: -one.start_ns)
            if since <= span.start_ns / 1e9 < until
            and (asked["condition"] is None or phoenix_fits(asked["condition"], span))
        ]
        at = _place(asked["after"])
        edges = [{"node": {"context": {"traceId": span.trace_id}}} for span in found[at : at + self.page]]
        more = at + self.page < len(found)
        info = {"hasNextPage": more, "endCursor": str(at + self.page) if more else None}
        return Answer({"data": {"node": {"spans": {"edges": edges, "pageInfo": info}}}})

    @staticmethod
    def _row(span: WireSpan) -> dict[str, Any]:
        return {
            "id": "U3BhbjoxOA==",
            "name": span.name,
            "context": {"trace_id": span.trace_id, "span_id": span.span_id},
            "span_kind": "UNKNOWN",
            "parent_id": span.parent_id,
            "start_time": iso_us(span.start_ns),
            "end_time": iso_us(span.end_ns),
            "status_code": "UNSET" if span.error is None else "ERROR",
            "status_message": span.error or "",
            "attributes": span.attributes,
            "events": [
                {"name": one.name, "timestamp": iso_us(one.at_ns), "attributes": one.attributes}
                for one in span.events
            ],
        }


class Attribute:
    """A path into the attributes of a span, as Phoenix's filter compares it."""

    def __init__(self, has: dict[str, Any], path: tuple[str, ...] = ()) -> None:
        self._has = has
        self._path = path

    def __getitem__(self, name: str) -> Attribute:
        return Attribute(self._has, (*self._path, name))

    def __ge__(self, bound: float) -> bool:
        value = self._has.get(".".join(self._path))
        return isinstance(value, int | float) and value >= bound


def phoenix_fits(condition: str, span: WireSpan) -> bool:
    """Whether a span fits the filter, which is an expression of Python."""
    names: dict[str, Any] = {
        "status_code": "UNSET" if span.error is None else "ERROR",
        "latency_ms": (span.end_ns - span.start_ns) / 1e6,
        "attributes": Attribute(span.attributes),
        "__builtins__": {},
    }
    return bool(eval(condition, names))


def iso_us(at_ns: int) -> str:
    """An instant with microseconds and its zone."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_ns // 1000)).isoformat()


FAKES: dict[str, type[Store]] = {
    "clickhouse": ClickHouse,
    "jaeger": Jaeger,
    "phoenix": Phoenix,
    "tempo": Tempo,
}
