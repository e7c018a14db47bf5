"""OTLP in protobuf, as a plain OTLP/JSON object: the form in which spans lie in a run directory.

Written out by hand: protobuf's own `MessageToDict` writes ids in base64 where OTLP/JSON wants hex, and takes
ten times as long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
    from opentelemetry.proto.trace.v1.trace_pb2 import Span


def export_request_from_protobuf(body: bytes) -> dict[str, Any]:
    """One export request.

    Raises:
        ValueError: the bytes are not one.
    """
    message = ExportTraceServiceRequest()
    try:
        message.ParseFromString(body)
    except DecodeError as error:
        raise ValueError(f"not an OTLP export request in protobuf: {error}") from None
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": _attributes(group.resource.attributes)},
                "scopeSpans": [
                    {"scope": {"name": scope.scope.name}, "spans": [_span(span) for span in scope.spans]}
                    for scope in group.scope_spans
                ],
            }
            for group in message.resource_spans
        ]
    }


def _span(span: Span) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "traceId": span.trace_id.hex(),
        "spanId": span.span_id.hex(),
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": str(span.start_time_unix_nano),
        "endTimeUnixNano": str(span.end_time_unix_nano),
        "attributes": _attributes(span.attributes),
        "status": {"code": span.status.code, "message": span.status.message} if span.status.code else {},
    }
    if span.parent_span_id:
        plain["parentSpanId"] = span.parent_span_id.hex()
    if span.events:
        plain["events"] = [
            {
                "timeUnixNano": str(event.time_unix_nano),
                "name": event.name,
                "attributes": _attributes(event.attributes),
            }
            for event in span.events
        ]
    return plain


def _attributes(pairs: Iterable[KeyValue]) -> list[dict[str, Any]]:
    return [{"key": pair.key, "value": _value(pair.value)} for pair in pairs]


def _value(value: AnyValue) -> dict[str, Any]:
    kind = value.WhichOneof("value")
    if kind is None:
        return {}
    key, plain = _VALUES[kind]
    return {key: plain(getattr(value, kind))}


# How each kind of value is written in OTLP/JSON; bytes have no plain form there that a reader could tell.
_VALUES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "string_value": ("stringValue", str),
    "bool_value": ("boolValue", bool),
    "int_value": ("intValue", str),
    "double_value": ("doubleValue", float),
    "array_value": ("arrayValue", lambda array: {"values": [_value(item) for item in array.values]}),
    "kvlist_value": ("kvlistValue", lambda pairs: {"values": _attributes(pairs.values)}),
    "bytes_value": ("stringValue", bytes.hex),
}
