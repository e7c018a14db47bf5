"""Traces for a watch: a client, a gateway that gives up after 60 s, and an app that runs on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from whocut.trace import otlp

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from whocut.trace.records import Span

EPOCH_UNIX_S = 1_795_345_500
SERVICE = "edge-gateway"


def foreign(trace: int, own: int, kind: int, service: str, parent: int | None = None, **has: Any) -> Span:
    """One foreign span as a record."""
    (span,) = otlp.decode_line(exported([row(trace, own, kind, service, parent, **has)]), 0.0)
    return span


def row(
    trace: int, own: int, kind: int, service: str, parent: int | None = None, **has: Any
) -> dict[str, Any]:
    """One foreign span as OTLP/JSON has it; `lasts` is its duration, the rest are attributes."""
    lasts = has.pop("lasts", 60.0)
    attributes = {"http.request.method": "POST"} | {
        key.replace("_", "."): value for key, value in has.items()
    }
    if "status" in has:
        attributes["http.response.status_code"] = attributes.pop("status")
    start_s = EPOCH_UNIX_S + trace
    return {
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
        "scopeSpans": [
            {
                "spans": [
                    {
                        "traceId": f"{trace:032x}",
                        "spanId": f"{trace * 100 + own:016x}",
                        **({"parentSpanId": f"{trace * 100 + parent:016x}"} if parent else {}),
                        "name": "POST",
                        "kind": kind,
                        "startTimeUnixNano": str(round(start_s * 1e9)),
                        "endTimeUnixNano": str(round((start_s + lasts) * 1e9)),
                        "attributes": [
                            {
                                "key": key,
                                "value": {"intValue" if isinstance(value, int) else "stringValue": value},
                            }
                            for key, value in attributes.items()
                        ],
                        "status": {},
                    }
                ]
            }
        ],
    }


def rows_of(trace: int) -> list[dict[str, Any]]:
    """A trace that the gateway cut, as OTLP/JSON."""
    return [
        row(trace, 1, 3, "client", status=504),
        row(trace, 2, 2, "gateway", 1, status=504),
        row(trace, 3, 3, "gateway", 2, error_type="timeout"),
        row(trace, 4, 2, "app", 3, status=200, lasts=195.0),
    ]


def timed_out(trace: int) -> list[Span]:
    """The same as records, the app's last."""
    return list(otlp.decode_line(exported(rows_of(trace)), 0.0))


def exported(rows: Iterable[dict[str, Any]]) -> bytes:
    """One export request."""
    return orjson.dumps({"resourceSpans": list(rows)}, option=orjson.OPT_APPEND_NEWLINE)


def export_of(bodies: Sequence[Any], service: str = SERVICE, trace_id: str = "") -> dict[str, Any]:
    """An export request with a record for each body; a body that is no text is an object's value."""
    return {
        "resourceLogs": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
                "scopeLogs": [
                    {
                        "logRecords": [
                            {
                                "traceId": trace_id,
                                "body": {"stringValue": body} if isinstance(body, str) else body,
                            }
                            for body in bodies
                        ]
                    }
                ],
            }
        ]
    }
