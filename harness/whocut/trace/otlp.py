"""Spans as OTLP/JSON, one export request a line, as an OpenTelemetry Collector's file exporter writes them.

The form is the protobuf's JSON mapping with the specification's exceptions: ids in hex, 64-bit numbers as
strings, enums as numbers. https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from sys import intern
from typing import TYPE_CHECKING, Any

import orjson

from whocut.trace import names
from whocut.trace.records import Event, Span, SpanKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_SAME_CLOCK_S = 0.001  # nanoseconds of the calendar lose no more than this on the way
_INSTANTS = (
    names.UPSTREAM_END_S,
    names.DOWNSTREAM_END_S,
    names.REQUEST_SENT_S,
    names.FIRST_BYTE_S,
    names.LAST_BYTE_S,
    names.CUT_AT_S,
)
_NS = 1_000_000_000
_SHORT = 64
_INTERNAL, _SERVER, _CLIENT = 1, 2, 3
_OTEL_KIND = {
    SpanKind.REQUEST: _INTERNAL,
    SpanKind.ATTEMPT: _CLIENT,
    SpanKind.HOP: _SERVER,
    SpanKind.GENERATION: _SERVER,
    SpanKind.DEATH: _INTERNAL,
}
# Numbers by the specification, names by some exporters.
_OTEL_NAMES = {
    f"SPAN_KIND_{name}": number
    for number, name in enumerate(("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"))
}
_SIDES = {_SERVER: "server", _CLIENT: "client"}
_STATUS_ERROR = 2
_IS_ERROR = (_STATUS_ERROR, "STATUS_CODE_ERROR")
_NOT_FINITE = {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}


def encode_line(spans: Iterable[Span], epoch_unix_s: float) -> bytes:
    """One export request with its newline. Spans of one layer share a resource (`service.name`)."""
    by_layer: dict[str, list[dict[str, Any]]] = {}
    for span in spans:
        by_layer.setdefault(span.layer, []).append(_encode_span(span, epoch_unix_s))
    request = {
        "resourceSpans": [
            {
                "resource": {"attributes": [_pair(names.SERVICE_NAME, layer)]},
                "scopeSpans": [{"scope": {"name": "whocut"}, "spans": encoded}],
            }
            for layer, encoded in by_layer.items()
        ]
    }
    return orjson.dumps(request, option=orjson.OPT_APPEND_NEWLINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class WireEvent:
    """An instant inside a span, as OTLP has it: calendar nanoseconds."""

    name: str
    at_ns: int
    attributes: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class WireSpan:
    """One span as OTLP has it, whoever wrote it: its kind is OTLP's number, its instants are calendar nanoseconds.

    `service` is its resource's ``service.name``; `error` is None where its status is not an error.
    """

    trace_id: str
    span_id: str
    parent_id: str | None
    service: str
    kind: int
    name: str
    start_ns: int
    end_ns: int
    attributes: dict[str, Any]
    events: tuple[WireEvent, ...]
    error: str | None


def decode_line(line: bytes, epoch_unix_s: float) -> Iterator[Span]:
    """The spans of one export request, on the run's clock.

    Raises:
        ValueError: the line is not an OTLP/JSON export request.
    """
    for wire in wire_spans(line):
        yield _record_of(wire, epoch_unix_s)


def wire_spans(line: bytes) -> Iterator[WireSpan]:
    """The spans of one export request as they stand there: for who sends them on and judges nothing.

    Raises:
        ValueError: the line is not an OTLP/JSON export request.
    """
    try:
        for resource in orjson.loads(line)["resourceSpans"]:
            attributes = _decode_attributes(resource.get("resource", {}).get("attributes", []))
            service = str(attributes.get(names.SERVICE_NAME, ""))
            for scope in resource.get("scopeSpans", []):
                for raw in scope.get("spans", []):
                    yield _wire_span(raw, service)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"not an OTLP/JSON export request: {error}") from None


def onto_one_clock(spans: Iterable[Span]) -> None:
    """Move the instants of hops that counted from a beginning of their own: a tap is no part of the run.

    A hop ends its span as it ends its caller's side, so that instant stands in it twice, on both clocks.
    """
    for span in spans:
        has = span.attributes
        ended_s = has.get(names.DOWNSTREAM_END_S) if span.kind is SpanKind.HOP else None
        if ended_s is not None and abs(span.end_s - ended_s) > _SAME_CLOCK_S:
            for name in _INSTANTS:
                if name in has:
                    has[name] += span.end_s - ended_s


def _encode_span(span: Span, epoch_unix_s: float) -> dict[str, Any]:
    attributes = {names.KIND: str(span.kind), names.LAYER: span.layer, **span.attributes}
    encoded: dict[str, Any] = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "name": span.name,
        "kind": _OTEL_KIND[span.kind],
        "startTimeUnixNano": _nanos(span.start_s, epoch_unix_s),
        "endTimeUnixNano": _nanos(span.end_s, epoch_unix_s),
        "attributes": [_pair(key, value) for key, value in attributes.items() if value is not None],
        "status": {"code": _STATUS_ERROR, "message": span.error} if span.error else {},
    }
    if span.parent_id:
        encoded["parentSpanId"] = span.parent_id
    if span.events:
        encoded["events"] = [
            {
                "timeUnixNano": _nanos(event.at_s, epoch_unix_s),
                "name": event.name,
                "attributes": [_pair(key, value) for key, value in event.attributes.items()],
            }
            for event in span.events
        ]
    return encoded


def _wire_span(raw: dict[str, Any], service: str) -> WireSpan:
    kind, status = raw.get("kind", 0), raw.get("status", {})
    return WireSpan(
        trace_id=intern(raw["traceId"]),
        span_id=raw["spanId"],
        parent_id=raw.get("parentSpanId") or None,
        service=service,
        kind=_OTEL_NAMES.get(kind, 0) if isinstance(kind, str) else kind,
        name=raw.get("name", ""),
        start_ns=int(raw["startTimeUnixNano"]),
        end_ns=int(raw["endTimeUnixNano"]),
        attributes=_decode_attributes(raw.get("attributes", [])),
        events=tuple(
            WireEvent(
                name=event["name"],
                at_ns=int(event["timeUnixNano"]),
                attributes=_decode_attributes(event.get("attributes", [])),
            )
            for event in raw.get("events", ())
        ),
        error=status.get("message", "error") if status.get("code") in _IS_ERROR else None,
    )


def _record_of(wire: WireSpan, epoch_unix_s: float) -> Span:
    attributes = wire.attributes
    kind = attributes.pop(names.KIND, None)
    layer = str(attributes.pop(names.LAYER, wire.service))
    if kind is None:
        attributes[names.OTEL_KIND] = _SIDES.get(wire.kind, "internal")
    return Span(
        trace_id=wire.trace_id,
        span_id=wire.span_id,
        parent_id=wire.parent_id,
        layer=layer,
        kind=SpanKind(kind) if kind else SpanKind.HOP,
        name=wire.name,
        start_s=wire.start_ns / _NS - epoch_unix_s,
        end_s=wire.end_ns / _NS - epoch_unix_s,
        attributes=attributes,
        events=[
            Event(event.name, event.at_ns / _NS - epoch_unix_s, event.attributes) for event in wire.events
        ],
        error=wire.error,
    )


def _nanos(at_s: float, epoch_unix_s: float) -> str:
    return str(round((at_s + epoch_unix_s) * _NS))


def _pair(key: str, value: Any) -> dict[str, Any]:
    return {"key": key, "value": _any_value(value)}


def _any_value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        # JSON has no infinity; the protobuf mapping writes it as a string.
        return {"doubleValue": value if math.isfinite(value) else _NOT_FINITE[str(value)]}
    if isinstance(value, list | tuple):
        return {"arrayValue": {"values": [_any_value(item) for item in value]}}
    return {"stringValue": str(value)}


def _decode_attributes(pairs: list[dict[str, Any]]) -> dict[str, Any]:
    # Keys and short values repeat in every span; kept once, a hundred thousand spans need half the memory.
    return {intern(pair["key"]): _plain(pair.get("value", {})) for pair in pairs}


def _plain(value: dict[str, Any]) -> Any:
    for key, inner in value.items():
        if key == "stringValue":
            return intern(inner) if len(inner) <= _SHORT else inner
        convert = _CONVERT.get(key)
        return convert(inner) if convert else inner
    return None


_CONVERT: dict[str, Callable[[Any], Any]] = {
    "intValue": int,
    "doubleValue": float,
    "arrayValue": lambda inner: [_plain(item) for item in inner.get("values", [])],
    "kvlistValue": lambda inner: _decode_attributes(inner.get("values", [])),
}
