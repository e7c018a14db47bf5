"""Spans survive the way through a file, and the file is what a Collector reads."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whocut.trace import names, otlp
from whocut.trace.records import (
    Event,
    Span,
    SpanKind,
    new_span_id,
    new_trace_id,
    parse_traceparent,
    traceparent,
)

EPOCH_UNIX_S = 1_790_000_000.0

values = st.one_of(
    st.text(max_size=20), st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False, width=32)
)
instants = st.integers(0, 10_000_000).map(lambda millis: millis / 1000)
spans = st.builds(
    Span,
    trace_id=st.builds(new_trace_id),
    span_id=st.builds(new_span_id),
    parent_id=st.one_of(st.none(), st.builds(new_span_id)),
    layer=st.sampled_from(["nginx", "upstream"]),
    kind=st.sampled_from(SpanKind),
    name=st.text(max_size=20),
    start_s=instants,
    end_s=instants,
    attributes=st.dictionaries(st.text(min_size=1, max_size=9).map("x.".__add__), values, max_size=4),
    events=st.lists(st.builds(Event, st.text(max_size=9), instants), max_size=2),
    error=st.one_of(st.none(), st.text(min_size=1, max_size=9)),
)


@given(st.lists(spans, min_size=1, max_size=4))
def test_spans_come_back_as_they_went(written: list[Span]) -> None:
    """A line holds every fact of its spans; instants to the microsecond."""
    line = otlp.encode_line(written, EPOCH_UNIX_S)

    read = list(otlp.decode_line(line, EPOCH_UNIX_S))

    assert sorted(map(_facts, read)) == sorted(map(_facts, written))


def _facts(span: Span) -> str:
    return repr(
        (
            span.trace_id,
            span.span_id,
            span.parent_id,
            span.layer,
            span.kind,
            span.name,
            round(span.start_s, 5),
            round(span.end_s, 5),
            sorted(span.attributes.items()),
            [(event.name, round(event.at_s, 5)) for event in span.events],
            span.error,
        )
    )


def test_line_is_one_export_request_in_the_collector_s_form() -> None:
    """Ids are hex, 64-bit numbers are strings, enums are numbers: the OTLP/JSON specification's exceptions."""
    span = Span(
        trace_id="a" * 32,
        span_id="b" * 16,
        parent_id=None,
        layer="nginx",
        kind=SpanKind.HOP,
        name="POST",
        start_s=1.5,
        end_s=61.5,
        attributes={names.STATUS: 504},
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
    assert {"key": names.STATUS, "value": {"intValue": "504"}} in written["attributes"]


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
