"""A span of another form, written as OTLP/JSON: what every reader of spans here reads.

A backend names the facts; which attribute is of which type, where the backend keeps all of them as text, the codec
knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from whocut.trace import otlp
from whocut.trace.fetching.asked import SERVICE_ATTRIBUTE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_ERROR: Final = 2
_KINDS: Final = ("unspecified", "internal", "server", "client", "producer", "consumer")
_PREFIX: Final = "span_kind_"
_ERRORS: Final = frozenset({"error", "status_code_error", "2"})


def is_error(status: Any) -> bool:
    """Whether a status, by its name or its number, is an error."""
    return str(status).strip().lower() in _ERRORS


def event(name: Any, at_ns: Any, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """An instant inside a span."""
    return {"name": name, "timeUnixNano": at_ns, "attributes": _pairs(attributes)}


def span(
    *,
    trace_id: Any,
    span_id: Any,
    parent_id: Any,
    name: Any,
    kind: Any,
    start_ns: Any,
    end_ns: Any,
    attributes: Mapping[str, Any],
    resource: Mapping[str, Any],
    service: Any = None,
    error: bool = False,
    message: Any = "",
    events: Iterable[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """One span with the service that wrote it: a member of `resourceSpans`. Types are the codec's to check."""
    said = dict(resource)
    if service:
        said[SERVICE_ATTRIBUTE] = service
    return {
        "resource": {"attributes": _pairs(said)},
        "scopeSpans": [
            {
                "spans": [
                    {
                        "traceId": trace_id,
                        "spanId": span_id,
                        "parentSpanId": parent_id or "",
                        "name": name,
                        "kind": _kind(kind),
                        "startTimeUnixNano": start_ns,
                        "endTimeUnixNano": end_ns,
                        "attributes": _pairs(attributes),
                        "events": list(events),
                        "status": {"code": _ERROR, "message": message or "error"} if error else {},
                    }
                ]
            }
        ],
    }


def request(spans: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """An export request of these."""
    return {"resourceSpans": list(spans)}


def _kind(written: Any) -> int:
    if type(written) is int:
        return written
    name = str(written or "").lower().removeprefix(_PREFIX)
    return _KINDS.index(name) if name in _KINDS else 0


def _pairs(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"key": str(key), "value": otlp.encode_value(str(key), value)}
        for key, value in attributes.items()
        if value is not None
    ]
