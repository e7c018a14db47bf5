"""OTLP in protobuf, spans and logs, as a plain OTLP/JSON object: the form in which spans lie in a run directory.

Written out by hand: protobuf's own `MessageToDict` writes ids in base64 where OTLP/JSON wants hex, and takes
ten times as long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from whocut.trace.typed import finite_or_word

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from google.protobuf.message import Message
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
    from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

_T = TypeVar("_T")

# A Collector's batch has 8,192 spans, of some twenty attributes each.
MOST_VALUES: Final = 500_000


class TooManyValues(ValueError):  # noqa: N818  # an answer to the sender
    """More than is read of one request."""


def export_request_from_protobuf(body: bytes, most: int = MOST_VALUES) -> dict[str, Any]:
    """One export request of at most so many spans, events, attributes and items of lists together.

    Raises:
        TooManyValues: it has more; two bytes of protobuf can be one.
        ValueError: the bytes are not one.
    """
    message = ExportTraceServiceRequest()
    _parse(message, body)
    return _Reading(most).request(message)


def export_logs_from_protobuf(body: bytes, most: int = MOST_VALUES) -> dict[str, Any]:
    """One export request of logs; of a record its body and its trace.

    Raises:
        TooManyValues: it has more records, attributes and items of lists than that.
        ValueError: the bytes are not one.
    """
    message = ExportLogsServiceRequest()
    _parse(message, body)
    return _Reading(most).logs(message)


def counted_value(value: AnyValue) -> tuple[dict[str, Any], int]:
    """A value as OTLP/JSON has it, and how many values are inside it."""
    reading = _Reading(MOST_VALUES)
    plain = reading.value(value)
    return plain, MOST_VALUES - reading.left


def _parse(message: Message, body: bytes) -> None:
    try:
        message.ParseFromString(body)
    except DecodeError as error:
        raise ValueError(f"not an OTLP export request in protobuf: {error}") from None


class _Reading:
    """One message on its way into plain objects; `left` is how many values it may still have."""

    def __init__(self, left: int) -> None:
        self.left = left

    def request(self, message: ExportTraceServiceRequest) -> dict[str, Any]:
        return {
            "resourceSpans": [
                {
                    "resource": {"attributes": self._attributes(group.resource.attributes)},
                    "scopeSpans": [
                        {
                            "scope": {"name": scope.scope.name},
                            "spans": [self._span(span) for span in self._counted(scope.spans)],
                        }
                        for scope in self._counted(group.scope_spans)
                    ],
                }
                for group in self._counted(message.resource_spans)
            ]
        }

    def logs(self, message: ExportLogsServiceRequest) -> dict[str, Any]:
        return {
            "resourceLogs": [
                {
                    "resource": {"attributes": self._attributes(group.resource.attributes)},
                    "scopeLogs": [
                        {"logRecords": [self._record(record) for record in self._counted(scope.log_records)]}
                        for scope in self._counted(group.scope_logs)
                    ],
                }
                for group in self._counted(message.resource_logs)
            ]
        }

    def _record(self, record: LogRecord) -> dict[str, Any]:
        return {"traceId": record.trace_id.hex(), "body": self.value(record.body)}

    def _counted(self, values: Sequence[_T]) -> Sequence[_T]:
        self.left -= len(values)
        if self.left < 0:
            raise TooManyValues("one request has too many values")
        return values

    def _span(self, span: Span) -> dict[str, Any]:
        plain: dict[str, Any] = {
            "traceId": span.trace_id.hex(),
            "spanId": span.span_id.hex(),
            "name": span.name,
            "kind": span.kind,
            "startTimeUnixNano": str(span.start_time_unix_nano),
            "endTimeUnixNano": str(span.end_time_unix_nano),
            "attributes": self._attributes(span.attributes),
            "status": {"code": span.status.code, "message": span.status.message} if span.status.code else {},
        }
        if span.parent_span_id:
            plain["parentSpanId"] = span.parent_span_id.hex()
        if span.events:
            plain["events"] = [
                {
                    "timeUnixNano": str(event.time_unix_nano),
                    "name": event.name,
                    "attributes": self._attributes(event.attributes),
                }
                for event in self._counted(span.events)
            ]
        return plain

    def _attributes(self, pairs: Sequence[KeyValue]) -> list[dict[str, Any]]:
        return [{"key": pair.key, "value": self.value(pair.value)} for pair in self._counted(pairs)]

    def value(self, value: AnyValue) -> dict[str, Any]:
        kind = value.WhichOneof("value")
        if kind is None:
            return {}
        if kind == "array_value":
            return {
                "arrayValue": {
                    "values": [self.value(item) for item in self._counted(value.array_value.values)]
                }
            }
        if kind == "kvlist_value":
            return {"kvlistValue": {"values": self._attributes(value.kvlist_value.values)}}
        key, plain = _VALUES[kind]
        return {key: plain(getattr(value, kind))}


# How each plain kind of value is written in OTLP/JSON; bytes have no plain form there that a reader could tell.
_VALUES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "string_value": ("stringValue", str),
    "bool_value": ("boolValue", bool),
    "int_value": ("intValue", str),
    "double_value": ("doubleValue", finite_or_word),
    "bytes_value": ("stringValue", bytes.hex),
}
