"""Traces as other people's instrumentation writes them: random ones, and those of a world's own spans."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import orjson
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from whocut.trace.records import DownstreamEnd, LayerRecord, UpstreamEnd

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Sequence

    from whocut.trace.records import Span

EPOCH_NS = 1_795_345_500 * 1_000_000_000
_SERVICES = ("client", "gateway", "app", "nginx", "worker", "")
_STATUSES = (200, 200, 200, 204, 304, 400, 429, 499, 499, 500, 502, 503, 504, 504, 0, "504", 200.0, "x", True)
_PROBLEMS = (
    "timeout", "ReadTimeout", "ConnectTimeout", "deadline exceeded", "cancelled", "context canceled", "broken pipe",
    "ECONNRESET", "connection refused", "unexpected EOF", "504", "500", "error", "", 5, "x" * 300, "dial timeout",
)  # fmt: skip
_FLAGS = ("UT", "DC", "-", "UC", "UPE", "SI", "UF,URX", "nothing", 7)
_OTHER: dict[str, tuple[Any, ...]] = {
    "user_agent.original": ("OpenAI/Python 3.54.0", "curl/8", "u" * 200),
    "network.peer.port": tuple(range(40_000, 40_050)),
    "server.address": ("images.example.com",),
    "double": (1.5, float("nan"), float("inf"), -0.0),
    "list": (["a", "b"], [[1, [2]], "x"], []),
    "map": ({"a": 1, "b": {"c": [1, True, None]}},),
    "none": (None,),
    "bytes": (b"\x00\xff",),
}


def random_trace(dice: random.Random, number: int) -> list[dict[str, Any]]:
    """Spans of one trace as OTLP/JSON has them, each beside its service: a chain, plain or odd, or anything."""
    trace_id = f"{number:032x}"
    count = dice.choice((1, 2, 3, 4, 5, 5, 5, 6, 8))
    spans: list[dict[str, Any]] = []
    start_ns = EPOCH_NS + number * 10_000_000
    orderly = dice.random() < 0.7
    plain = orderly and dice.random() < 0.6
    for own in range(count):
        kind = (3 if own % 2 == 0 else 2) if orderly else dice.choice((0, 1, 2, 3, 3, 2, 4, 5, 9))
        above: int | None = own - 1 if orderly else dice.choice((*range(count), 77, None))
        lasts_ns = round(dice.choice((1.0, 30.0, 59.98, 60.0, 60.03, 195.0)) * 1e9)
        offset_ns = own * dice.choice((0, 0, 1, 2_000_000))
        spans.append(
            {
                "service": _SERVICES[(own + 1) // 2 % 5] if orderly else dice.choice(_SERVICES),
                "traceId": trace_id,
                "spanId": f"{number * 100 + own:016x}",
                **({} if above is None or above < 0 else {"parentSpanId": f"{number * 100 + above:016x}"}),
                "name": "POST",
                "kind": kind,
                "startTimeUnixNano": str(start_ns + offset_ns),
                "endTimeUnixNano": str(start_ns + offset_ns + lasts_ns),
                "attributes": _pairs(_plain(dice) if plain else _attributes(dice, orderly=orderly)),
                "status": {} if plain else _status(dice),
                "events": [] if plain else _events(dice),
            }
        )
    if dice.random() < 0.05:
        spans.append(dict(dice.choice(spans), kind=dice.choice((2, 3))))  # it was sent twice, and not alike
    return spans


def _plain(dice: random.Random) -> dict[str, Any]:
    ended = {"error.type": "timeout"} if dice.random() < 0.1 else {"http.response.status_code": 200}
    return {
        "http.request.method": "POST",
        "url.path": f"/v1/{dice.random()}",
        "network.peer.port": dice.randint(1, 9),
    } | ended


def _attributes(dice: random.Random, *, orderly: bool) -> dict[str, Any]:
    has: dict[str, Any] = {}
    if orderly or dice.random() < 0.7:
        has[dice.choice(("http.request.method", "http.method"))] = "POST"
    if dice.random() < 0.8:
        name = dice.choice(("http.response.status_code",) * 5 + ("http.status_code",))
        has[name] = 200 if orderly and dice.random() < 0.6 else dice.choice(_STATUSES)
    if dice.random() < (0.1 if orderly else 0.4):
        has["error.type"] = dice.choice(_PROBLEMS)
    if dice.random() < 0.1:
        has["response_flags"] = dice.choice(_FLAGS)
    if dice.random() < 0.5:
        has["url.path"] = f"/v1/images/{dice.randint(1, 3)}"
    if dice.random() < 0.2:
        has["http.request.header.x-request-id"] = dice.choice((["r-1"], "r-2", [], "", ["a", "b"]))
    if dice.random() < 0.05:
        has["whocut.layer"] = dice.choice(("gateway", "", "other"))
    for name in dice.sample(sorted(_OTHER), dice.randint(0, 4)):
        has[name] = dice.choice(_OTHER[name])
    names = list(has)
    dice.shuffle(names)
    return {name: has[name] for name in names}


def _status(dice: random.Random) -> dict[str, Any]:
    if dice.random() < 0.8:
        return {}
    return {"code": dice.choice((0, 1, 2, 2, 2)), "message": str(dice.choice(_PROBLEMS))}


def _events(dice: random.Random) -> list[dict[str, Any]]:
    if dice.random() < 0.9:
        return []
    told = {"exception.type": dice.choice(_PROBLEMS), "exception.message": dice.choice(_PROBLEMS), "other": 1}
    names = dice.sample(sorted(told), dice.randint(0, 3))
    return [
        {
            "timeUnixNano": str(EPOCH_NS),
            "name": dice.choice(("exception", "exception", "message")),
            "attributes": _pairs({name: told[name] for name in names}),
        }
    ]


def _pairs(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in attributes.items()]


def _value(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if isinstance(value, float):
        return {"doubleValue": {"nan": "NaN", "inf": "Infinity"}.get(str(value), value)}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(one) for one in value]}}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": _pairs(value)}}
    name, written = {
        bool: ("boolValue", value),
        int: ("intValue", str(value)),
        bytes: ("bytesValue", value.hex() if isinstance(value, bytes) else ""),
        str: ("stringValue", value),
    }[type(value)]
    return {name: written}


def of_a_world(spans: Iterable[Span]) -> list[dict[str, Any]]:
    """A world's requests as instrumentation would tell of them: a server's and a client's span for each hop."""
    told = []
    for span in spans:
        if not isinstance(span, LayerRecord):
            continue
        served = span.position > 0
        problem = _problem(span)
        common = {
            "service": span.layer,
            "traceId": span.trace_id,
            "name": "POST",
            "startTimeUnixNano": str(EPOCH_NS + round(span.start_s * 1e9)),
            "endTimeUnixNano": str(EPOCH_NS + round(span.end_s * 1e9)),
        }
        above = {} if span.parent_id is None else {"parentSpanId": _called(span.parent_id)}
        if served:
            server = {
                "http.request.method": "POST",
                "url.path": span.path,
                "http.response.status_code": span.status,
            }
            left = span.downstream is DownstreamEnd.LEFT
            told.append(
                common
                | above
                | {
                    "spanId": span.span_id,
                    "kind": 2,
                    "attributes": _pairs(_known(server | ({"error.type": "cancelled"} if left else {}))),
                    "status": {},
                }
            )
            above = {"parentSpanId": span.span_id}
        seen = None if problem == "timeout" else span.status
        client = {"http.request.method": "POST", "http.response.status_code": seen, "error.type": problem}
        told.append(
            common
            | above
            | {
                "spanId": _called(span.span_id),
                "kind": 3,
                "attributes": _pairs(_known(client)),
                "status": {"code": 2, "message": problem} if problem else {},
            }
        )
    return told


def _called(span_id: str) -> str:
    """The id of a layer's call."""
    return f"{int(span_id, 16) ^ 0xFFFF:016x}"


def _known(attributes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}


def _problem(span: LayerRecord) -> str | None:
    if span.cut is not None:
        return "timeout"
    if span.upstream is UpstreamEnd.ABANDONED:
        return "cancelled"
    return "connection reset" if span.upstream.by_them or span.fell else None


def exports(spans: Sequence[dict[str, Any]], dice: random.Random, together: int) -> list[dict[str, Any]]:
    """Export requests of these spans in any order, so many in one, each in the group of its service."""
    order = list(spans)
    dice.shuffle(order)
    return [_export(order[at : at + together]) for at in range(0, len(order), together)]


def _export(spans: Iterable[dict[str, Any]]) -> dict[str, Any]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for span in spans:
        groups.setdefault(span["service"], []).append(
            {key: value for key, value in span.items() if key != "service"}
        )
    return {
        "resourceSpans": [
            {
                "resource": {
                    "attributes": _pairs({"service.name": service, "host.name": "h"} if service else {})
                },
                "scopeSpans": [{"scope": {"name": "auto"}, "spans": of_service}],
            }
            for service, of_service in groups.items()
        ]
    }


def as_json(export: dict[str, Any]) -> bytes:
    """An export request as an exporter of OTLP/JSON sends it."""
    return orjson.dumps(export)


def as_protobuf(export: dict[str, Any]) -> bytes:
    """The same in protobuf, whose own JSON has ids in base64."""
    plain = orjson.loads(orjson.dumps(export))
    for group in plain["resourceSpans"]:
        for scope in group["scopeSpans"]:
            for span in scope["spans"]:
                for name in ("traceId", "spanId", "parentSpanId"):
                    if name in span:
                        span[name] = base64.b64encode(bytes.fromhex(span[name])).decode()
    return bytes(ParseDict(plain, ExportTraceServiceRequest()).SerializeToString())
