"""Lines of logs that come by OTLP: the text of each record, its service, and its trace.

https://opentelemetry.io/docs/specs/otel/logs/data-model/
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from whocut.trace import typed
from whocut.trace.otlp import NOT_WHOLE, plain_value, service_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NO_TRACE: Final = ("", "0" * 32)


@dataclass(frozen=True, slots=True)
class SentLine:
    """A line as its product wrote it, the service that sent it, and its trace where the record names one."""

    service: str
    text: bytes
    trace_id: str | None


def lines_of(export: Mapping[str, Any]) -> list[SentLine]:
    """The lines of an export request in OTLP/JSON.

    Raises:
        ValueError: a field has another type than OTLP gives it.
    """
    try:
        return [line for group in export.get("resourceLogs") or () for line in _of_resource(group)]
    except NOT_WHOLE as error:
        raise ValueError(f"not an OTLP/JSON export request of logs: {error}") from None


def _of_resource(group: Mapping[str, Any]) -> Iterator[SentLine]:
    service = service_of(group.get("resource", {}))
    for scope in group.get("scopeLogs", []):
        for record in scope.get("logRecords", []):
            written = record.get("traceId", "")
            trace_id = None if written in _NO_TRACE else typed.trace_id(written)
            for text in _written(plain_value(record.get("body", {}))):
                yield SentLine(service, text, trace_id)


def _written(body: object) -> list[bytes]:
    """The lines of a body: text as it is, fields as the object in which a product would have written them."""
    if body is None:
        return []
    if isinstance(body, str):
        return [line.encode("utf-8", "replace") for line in body.splitlines() if line.strip()]
    return [orjson.dumps(body)]
