"""What is taken can be judged: a value of another type or range is refused at the door, in one sentence."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.trace.made import record_of
from whocut.trace import otlp
from whocut.trace.receiver import _records, _refused_for
from whocut.trace.records import SpanKind

EPOCH_UNIX_S = 1_790_000_000.0
# Of each kind of value in OTLP/JSON: one of another type, and one out of every range.
HOSTILE: list[dict[str, Any]] = [
    {"stringValue": "evil"},
    {"stringValue": 5},
    {"intValue": "x"},
    {"intValue": "9" * 400},
    {"intValue": 1e308},
    {"intValue": 2**64},
    {"doubleValue": "NaN"},
    {"doubleValue": "-Infinity"},
    {"boolValue": "x"},
    {"arrayValue": {"values": [{"stringValue": "evil"}]}},
    {"kvlistValue": {"values": []}},
    {},
]
OURS = [kind for kind in SpanKind if kind is not SpanKind.FOREIGN]


def export_of(kind: SpanKind) -> dict[str, Any]:
    """An export request with one record of a kind."""
    export: dict[str, Any] = orjson.loads(otlp.encode_line([record_of(kind)], EPOCH_UNIX_S))
    return export


def span_in(export: dict[str, Any]) -> dict[str, Any]:
    """Its span."""
    span: dict[str, Any] = export["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    return span


def taken(export: dict[str, Any]) -> list[Any]:
    """What is read of an export that the receiver takes; empty where it refuses it in a sentence."""
    try:
        _records(export, EPOCH_UNIX_S)
    except ValueError:
        return []
    return list(otlp.decode_line(orjson.dumps(export), EPOCH_UNIX_S))


@pytest.mark.parametrize("kind", OURS)
def test_no_attribute_brings_a_value_of_another_type(kind: SpanKind) -> None:
    """Each attribute with each hostile value: refused, or a record whose fields have the types of a good one."""
    good = record_of(kind)
    count = len(span_in(export_of(kind))["attributes"])

    for number in range(count):
        for value in HOSTILE:
            export = export_of(kind)
            span_in(export)["attributes"][number]["value"] = value
            for record in taken(export):
                for name in good.__dataclass_fields__ if record.kind is kind else ():
                    expected, came = getattr(good, name), getattr(record, name)
                    if expected is not None and came is not None:
                        assert isinstance(came, type(expected)), (name, value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("traceId", "zz" * 16),
        ("traceId", ""),
        ("traceId", 5),
        ("spanId", "1"),
        ("parentSpanId", {}),
        ("startTimeUnixNano", "9" * 400),
        ("startTimeUnixNano", -1),
        ("endTimeUnixNano", None),
        ("endTimeUnixNano", True),
        ("name", []),
        ("kind", []),
        ("events", [{"name": 5, "timeUnixNano": "1"}]),
        ("status", {"code": 2, "message": 5}),
        ("status", 5),
    ],
)
def test_no_span_of_another_form_is_taken(field: str, value: object) -> None:
    """Ids are hex of their length, instants are of the calendar, and names are text."""
    export = export_of(SpanKind.HOP)
    span_in(export)[field] = value

    with pytest.raises(ValueError) as refused:  # noqa: PT011  # what it says is the next test's
        _records(export, EPOCH_UNIX_S)

    assert _refused_for(refused.value).status == 400


def test_depth_without_end_is_refused() -> None:
    """Nesting is no fault of ours."""
    export = export_of(SpanKind.HOP)
    value: dict[str, Any] = {"stringValue": "x"}
    for _ in range(120):
        value = {"arrayValue": {"values": [value]}}
    span_in(export)["attributes"][0]["value"] = value

    assert isinstance(taken(export), list)
