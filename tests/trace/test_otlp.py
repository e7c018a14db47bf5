"""Spans survive the way through a file, and the file is what a Collector reads."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trace.made import record_of
from whocut.chain.timers import Phase, TimerKind
from whocut.trace import otlp, records
from whocut.trace.records import (
    AttemptRecord,
    Cut,
    DeathRecord,
    DownstreamEnd,
    Event,
    ForeignSpan,
    GenerationRecord,
    LayerRecord,
    Outcome,
    RequestRecord,
    Span,
    SpanKind,
    TapSide,
    UpstreamEnd,
    new_span_id,
    new_trace_id,
    parse_traceparent,
    traceparent,
)

EPOCH_UNIX_S = 1_790_000_000.0

numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)
instants = st.integers(0, 10_000_000).map(lambda millis: millis / 1000)
values = st.one_of(st.text(max_size=20), st.booleans(), st.integers(-(2**53), 2**53), numbers)
_OF_TYPE = {
    float: instants,
    str: st.text(min_size=1, max_size=9),
    bool: st.booleans(),
    int: st.integers(0, 999),
    Event: st.builds(
        Event,
        st.sampled_from(["retry", "image event"]),
        instants,
        st.dictionaries(st.text(max_size=5), values, max_size=2),
    ),
    TapSide: st.sampled_from(TapSide),
    UpstreamEnd: st.sampled_from(UpstreamEnd),
    DownstreamEnd: st.sampled_from(DownstreamEnd),
    Outcome: st.sampled_from(Outcome),
    TimerKind: st.sampled_from(TimerKind),
    Phase: st.sampled_from(Phase),
}
_IDS = {
    "trace_id": st.text("0123456789abcdef", min_size=32, max_size=32),
    "span_id": st.text("0123456789abcdef", min_size=16, max_size=16),
    "parent_id": st.none() | st.text("0123456789abcdef", min_size=16, max_size=16),
}
# What a reader does to a record, and no line says.
_OF_THE_READER = {"stretched"}
_TYPES = {"Cut": Cut, **{kind.__name__: kind for kind in _OF_TYPE}}


def drawn_of(record: type[Any]) -> st.SearchStrategy[Any]:
    """Any record of this kind: each field of its type, or its default."""
    hints = get_type_hints(record, _TYPES | vars(records))
    drawn = {
        one.name: _IDS[one.name] if one.name in _IDS else _drawn(hints[one.name])
        for one in fields(record)
        if one.name not in _OF_THE_READER
    }
    return st.builds(record, **drawn)


def _drawn(hint: Any) -> st.SearchStrategy[Any]:
    parts = get_args(hint)
    origin = get_origin(hint)
    if origin is list:
        return st.lists(_drawn(parts[0]), max_size=2)
    if origin is tuple:
        return st.lists(_drawn(parts[0]), max_size=3).map(tuple)
    if origin is dict:
        return st.dictionaries(st.text("abc-", min_size=1, max_size=5), st.text(max_size=5), max_size=2)
    if parts:
        return st.one_of(*(st.none() if part is NoneType else _drawn(part) for part in parts))
    return drawn_of(Cut) if hint is Cut else _OF_TYPE[hint]


written_records = st.one_of(
    *map(drawn_of, (RequestRecord, LayerRecord, GenerationRecord, DeathRecord)),
    drawn_of(AttemptRecord).map(  # its number, from 1 on, says how often it was sent again
        lambda made: replace(made, resent=None, number=made.number or 1)
    ),
    st.builds(
        ForeignSpan,
        trace_id=st.builds(new_trace_id),
        span_id=st.builds(new_span_id),
        parent_id=st.none(),
        layer=st.just("shop"),
        name=st.text(max_size=9),
        start_s=instants,
        end_s=instants,
        attributes=st.dictionaries(st.text(min_size=1, max_size=9).map("x.".__add__), values, max_size=4),
    ),
)


@given(st.lists(written_records, min_size=1, max_size=4))
def test_records_come_back_as_they_went(written: list[Span]) -> None:
    """A line holds every fact of its records; instants on the calendar to the microsecond."""
    line = otlp.encode_line(written, EPOCH_UNIX_S)

    read = list(otlp.decode_line(line, EPOCH_UNIX_S))

    assert sorted(map(_rounded, read)) == sorted(map(_rounded, written))


@pytest.mark.parametrize("kind", SpanKind)
def test_each_kind_comes_back_whole(kind: SpanKind) -> None:
    """No field of a record is without its attribute."""
    written = record_of(kind)

    (read,) = otlp.decode_line(otlp.encode_line([written], EPOCH_UNIX_S), EPOCH_UNIX_S)

    assert read == written


def _rounded(span: Span) -> str:
    """A record as text, its calendar instants rounded."""
    events = [Event(event.name, round(event.at_s, 5), event.attributes) for event in span.events]
    start_s, end_s = round(span.start_s, 5), round(span.end_s, 5)
    return repr(replace(span, start_s=start_s, end_s=end_s, events=events))


def test_line_is_one_export_request_in_the_collector_s_form() -> None:
    """Ids are hex, 64-bit numbers are strings, enums are numbers: the OTLP/JSON specification's exceptions."""
    span = LayerRecord(
        trace_id="a" * 32,
        span_id="b" * 16,
        parent_id=None,
        layer="nginx",
        name="POST",
        start_s=1.5,
        end_s=61.5,
        status=504,
        error="504",
    )

    line = otlp.encode_line([span], EPOCH_UNIX_S)

    request = json.loads(line)
    (written,) = request["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert written["traceId"] == "a" * 32
    assert written["startTimeUnixNano"] == "1790000001500000000"
    assert written["kind"] == 2
    assert written["status"] == {"code": 2, "message": "504"}
    assert {"key": "http.response.status_code", "value": {"intValue": "504"}} in written["attributes"]


@pytest.mark.parametrize(
    "line", [b"", b"{}", b"[]", b"nonsense", b'{"resourceSpans": [{"scopeSpans": [{"spans": [{}]}]}]}']
)
def test_line_that_is_no_export_request_is_refused(line: bytes) -> None:
    """Whatever else stands in the file is named as what it is not."""
    with pytest.raises(ValueError, match="not an OTLP/JSON export request"):
        list(otlp.decode_line(line, EPOCH_UNIX_S))


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        "00-" + "0" * 32 + "-" + "1" * 16 + "-01",
        "00-xyz-123-01",
        "ff-" + "1" * 32 + "-" + "1" * 16 + "-01",
    ],
)
def test_broken_traceparent_is_none(header: str) -> None:
    """What is not a valid W3C header names no parent."""
    assert parse_traceparent(header) is None


def test_traceparent_comes_back() -> None:
    """What we send is what the next layer reads."""
    trace_id, span_id = new_trace_id(), new_span_id()

    assert parse_traceparent(traceparent(trace_id, span_id)) == (trace_id, span_id)
