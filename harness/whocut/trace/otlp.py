"""Spans as OTLP/JSON, one export request a line, as an OpenTelemetry Collector's file exporter writes them.

The form is the protobuf's JSON mapping with the specification's exceptions: ids in hex, 64-bit numbers as
strings, enums as numbers. https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding

This is the only place that knows by which attribute a fact of a record goes: each kind of record has a table.
One file, because what writes a fact and what reads it back have to agree, row by row.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from sys import intern
from typing import TYPE_CHECKING, Any, Final

import orjson

from whocut.chain.timers import Phase, TimerKind
from whocut.trace import names, typed
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
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from enum import StrEnum

_SAME_CLOCK_S: Final = 0.001  # nanoseconds of the calendar lose no more than this on the way
_NS: Final = 1_000_000_000
_SHORT: Final = 64
_INTERNAL, _SERVER, _CLIENT = 1, 2, 3
_OTEL_KIND: Final = {
    SpanKind.REQUEST: _INTERNAL,
    SpanKind.ATTEMPT: _CLIENT,
    SpanKind.HOP: _SERVER,
    SpanKind.GENERATION: _SERVER,
    SpanKind.DEATH: _INTERNAL,
}
# Numbers by the specification, names by some exporters.
_OTEL_NAMES: Final = {
    f"SPAN_KIND_{name}": number
    for number, name in enumerate(("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"))
}
_OTEL_NUMBERS: Final = frozenset(_OTEL_NAMES.values())
_SIDES: Final = {_SERVER: "server", _CLIENT: "client"}
_STATUS_ERROR: Final = 2
_IS_ERROR: Final = (_STATUS_ERROR, "STATUS_CODE_ERROR")
# What taking apart JSON of another form raises, from a missing field to a depth without end.
NOT_WHOLE: Final = (AttributeError, LookupError, OverflowError, RecursionError, TypeError, ValueError)

# The events of a layer's own cuts, with their facts: the one that ended it, and those after which it asked again.
_CUT_EVENT, _CUT_TRY_EVENT = "cut", "try.cut"


# --- values -----------------------------------------------------------------------------------------------


def _any_value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return _double(value)
    if isinstance(value, list | tuple):
        return {"arrayValue": {"values": [_any_value(item) for item in value]}}
    return {"stringValue": str(value)}


def encode_value(name: str, value: Any) -> dict[str, Any]:
    """An attribute's value as OTLP/JSON has it; of one of ours, typed anew where it was kept as text."""
    if type(value) is str:
        value = _from_text(name, value)
    return _any_value(value)


def _from_text(name: str, text: str) -> Any:
    """The value that a backend keeps as text; the text itself, where it is no other value's."""
    read = list if name.startswith(names.RESPONSE_HEADER) else _READ_BACK.get(name)
    parse = _PARSED.get(read)
    if parse is None:
        return text
    try:
        return parse(text)
    except (KeyError, ValueError):
        return text


def _list(text: str) -> Any:
    value = orjson.loads(text)
    return value if type(value) is list else text


# How a field that is no text is read from one.
_PARSED: Final[dict[Any, Callable[[str], Any]]] = {
    **dict.fromkeys((typed.seconds, typed.limit_s), float),
    **dict.fromkeys((typed.number, typed.position), int),
    typed.flag: {"true": True, "false": False}.__getitem__,
    **dict.fromkeys((typed.instants, list), _list),
}


def _double(value: float) -> dict[str, Any]:
    return {"doubleValue": typed.finite_or_word(value)}


def _string(value: str) -> dict[str, Any]:
    return {"stringValue": value}


def _member(value: StrEnum) -> dict[str, Any]:
    return {"stringValue": value._value_}  # a plain string: of a member the JSON's writer is slow


# How a field is written, by what reads it back: a name from a set is a string.
_WRITTEN: Final[dict[Callable[[Any], Any], Callable[[Any], dict[str, Any]]]] = {
    typed.text: _string,
    **dict.fromkeys((typed.seconds, typed.limit_s), _double),
    **dict.fromkeys((typed.number, typed.position), lambda value: {"intValue": str(value)}),
    typed.flag: lambda value: {"boolValue": value},
    typed.instants: _any_value,
    **dict.fromkeys((DownstreamEnd, Outcome, Phase, TapSide, TimerKind, UpstreamEnd), _member),
}


# --- which attribute is which field ---------------------------------------------------------------------


class _Table:
    """Rows of attribute, field, and what reads the field back; made ready for both ways."""

    def __init__(self, *rows: tuple[str, str, Callable[[Any], Any]]) -> None:
        self.rows = rows
        self.by_name = {name: (field, read) for name, field, read in rows}
        self.columns = tuple((name, _WRITTEN[read]) for name, _, read in rows)
        # One value more, or of one field it would give no tuple.
        self.values_of = attrgetter(*(field for _, field, _ in rows), "__class__")

    def facts(self, has: Mapping[str, Any]) -> dict[str, Any]:
        """The fields that are known, from attributes."""
        known = self.by_name
        return {known[name][0]: known[name][1](value) for name, value in has.items() if name in known}

    def pairs(self, record: object) -> list[dict[str, Any]]:
        """The fields that are known, as attributes; a hop writes this for every request that it forwards."""
        return [
            {"key": name, "value": write(value)}
            for value, (name, write) in zip(self.values_of(record), self.columns)  # noqa: B905  # one value more
            if value is not None
        ]


# By which attribute each field of a record goes, and how it is read back.
_IMAGE: Final = {names.GENAI_OPERATION: "generate_content", names.GENAI_OUTPUT_TYPE: "image"}
_REQUEST: Final = _Table(
    (names.REQUEST, "request", typed.text),
    (names.MODE, "mode", typed.text),
    (names.OUTCOME, "outcome", Outcome),
)
_LAYER: Final = _Table(
    (names.POSITION, "position", typed.position),
    (names.METHOD, "method", typed.text),
    (names.PATH, "path", typed.text),
    (names.UPSTREAM_END, "upstream", UpstreamEnd),
    (names.UPSTREAM_END_S, "upstream_s", typed.seconds),
    (names.DOWNSTREAM_END, "downstream", DownstreamEnd),
    (names.DOWNSTREAM_END_S, "downstream_s", typed.seconds),
    (names.REQUEST_SENT_S, "request_sent_s", typed.seconds),
    (names.FIRST_BYTE_S, "first_byte_s", typed.seconds),
    (names.LAST_BYTE_S, "last_byte_s", typed.seconds),
    (names.LARGEST_GAP_S, "largest_gap_s", typed.seconds),
    (names.STATUS, "status", typed.number),
    (names.BYTES_DOWN, "bytes_down", typed.number),
    (names.GONE, "gone", typed.text),
    (names.RESEND_COUNT, "resent", typed.number),
    (names.TAP, "tap", TapSide),
    (names.TAP_LAZY_S, "tap_lazy_s", typed.seconds),
    (names.CLOCK, "clock", typed.text),
    (names.GATEWAY, "gateway", typed.text),
)
_ATTEMPT: Final = _Table(
    *_LAYER.rows,
    *_REQUEST.rows,
    (names.ATTEMPT, "number", typed.number),
    (names.ERROR_TYPE, "error_code", typed.text),
    (names.BODY_HEAD, "body_head", typed.text),
)
_GENERATION: Final = _Table(
    (names.GENERATION, "generation", typed.text),
    (names.GENAI_MODEL, "model", typed.text),
    (names.STATUS, "status", typed.number),
    (names.ERROR_TYPE, "error_code", typed.text),
    (names.CALLER_GONE_S, "caller_gone_s", typed.seconds),
    (names.ORPHANED, "orphaned", typed.flag),
    (names.ORPHANED_S, "orphaned_s", typed.seconds),
    (names.DELIVERED, "delivered", typed.flag),
    (names.BILLED, "billed", typed.flag),
    (names.BILLED_USD, "billed_usd", typed.seconds),
    (names.FAULT, "fault", typed.text),
    (names.REFUSED, "refused", typed.flag),
    (names.SETTLED, "settled", typed.flag),
    (names.EMISSIONS_S, "events_s", typed.instants),
    (names.FIRST_BYTE_S, "first_byte_s", typed.seconds),
    (names.HEARTBEAT_S, "heartbeat_s", typed.seconds),
    (names.LOST, "lost", typed.text),
    (names.LOST_S, "lost_s", typed.seconds),
)
_CUT: Final = _Table(
    (names.CUT_TIMER, "timer", TimerKind),
    (names.CUT_DIRECTIVE, "directive", typed.text),
    (names.CUT_PHASE, "phase", Phase),
    (names.CUT_LIMIT_S, "limit_s", typed.limit_s),
    (names.CUT_AT_S, "at_s", typed.seconds),
)
_TABLES: Final[dict[SpanKind, tuple[type[Span], _Table]]] = {
    SpanKind.REQUEST: (RequestRecord, _REQUEST),
    SpanKind.ATTEMPT: (AttemptRecord, _ATTEMPT),
    SpanKind.HOP: (LayerRecord, _LAYER),
    SpanKind.GENERATION: (GenerationRecord, _GENERATION),
    SpanKind.DEATH: (DeathRecord, _Table((names.GONE, "why", typed.text))),
}


# What reads each attribute of ours back, whichever record it is of.
_READ_BACK: Final = {
    name: read for table in (*(table for _, table in _TABLES.values()), _CUT) for name, _, read in table.rows
}


# --- lines -------------------------------------------------------------------------------------------------


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


@dataclass(slots=True, kw_only=True)
class WireEvent:
    """An instant inside a span, as OTLP has it: calendar nanoseconds."""

    name: str
    at_ns: int
    attributes: dict[str, Any]


@dataclass(slots=True, kw_only=True)
class WireSpan:
    """One span as OTLP has it, ours or foreign: its kind is OTLP's number, its instants are calendar nanoseconds.

    `resource` are the attributes of the service that wrote it; `error` is None where its status is not an error.
    """

    trace_id: str
    span_id: str
    parent_id: str | None
    resource: dict[str, Any]
    kind: int
    name: str
    start_ns: int
    end_ns: int
    attributes: dict[str, Any]
    events: tuple[WireEvent, ...]
    error: str | None


def decode_line(line: bytes, epoch_unix_s: float) -> Iterator[Span]:
    """The spans of one export request as records, on the run's clock.

    Raises:
        ValueError: the line is not an OTLP/JSON export request, or a record in it is not whole.
    """
    return _records(wire_spans(line), epoch_unix_s)


def decode_request(request: Any, epoch_unix_s: float) -> Iterator[Span]:
    """The spans of one export request that is plain data already.

    Raises:
        ValueError: as `decode_line`.
    """
    return _records(_wire_spans(request), epoch_unix_s)


def _records(wires: Iterable[WireSpan], epoch_unix_s: float) -> Iterator[Span]:
    for wire in wires:
        try:
            yield _record_of(wire, epoch_unix_s)
        except NOT_WHOLE as error:
            raise ValueError(f"not a whole record: span {wire.span_id}: {error}") from None


def wire_spans(line: bytes) -> Iterator[WireSpan]:
    """The spans of one export request, unchanged: for the exporter, which judges nothing.

    Raises:
        ValueError: the line is not an OTLP/JSON export request.
    """
    try:
        request = orjson.loads(line)
    except NOT_WHOLE as error:
        raise ValueError(f"not an OTLP/JSON export request: {error}") from None
    return _wire_spans(request)


def _wire_spans(request: Any) -> Iterator[WireSpan]:
    try:
        for resource in request["resourceSpans"]:
            attributes = decode_attributes(resource.get("resource", {}).get("attributes", []))
            for scope in resource.get("scopeSpans", []):
                for raw in scope.get("spans", []):
                    yield _wire_span(raw, attributes)
    except NOT_WHOLE as error:
        raise ValueError(f"not an OTLP/JSON export request: {error}") from None


def onto_one_clock(spans: Iterable[Span], scale: float = 1.0) -> None:
    """Move the instants of hops that counted from a beginning of their own: a tap is no part of the run.

    A hop ends its span as it ends its caller's side, so that instant is in it twice, on both clocks. A tap's
    seconds are real ones: `scale` is how many of the run's go into one of them.
    """
    for span in spans:
        if isinstance(span, LayerRecord) and span.kind is SpanKind.HOP and span.downstream_s is not None:
            apart_s = span.end_s - span.downstream_s
            if abs(apart_s) > _SAME_CLOCK_S:
                span.move_own(apart_s)
        if scale != 1.0 and isinstance(span, LayerRecord) and span.tap is TapSide.ALONE:
            span.stretch(scale)


# --- from records -----------------------------------------------------------------------------------------


def _encode_span(span: Span, epoch_unix_s: float) -> dict[str, Any]:
    encoded: dict[str, Any] = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "name": span.name,
        "kind": _OTEL_KIND.get(span.kind, _INTERNAL),
        "startTimeUnixNano": _nanos(span.start_s, epoch_unix_s),
        "endTimeUnixNano": _nanos(span.end_s, epoch_unix_s),
        "attributes": _attributes_of(span),
        "status": {"code": _STATUS_ERROR, "message": span.error} if span.error else {},
    }
    if span.parent_id:
        encoded["parentSpanId"] = span.parent_id
    events = [_event(event.name, event.at_s, _pairs(event.attributes), epoch_unix_s) for event in span.events]
    if isinstance(span, LayerRecord):
        cuts = [(_CUT_TRY_EVENT, cut) for cut in span.cut_tries]
        cuts += [(_CUT_EVENT, span.cut)] if span.cut is not None else []
        events += [_event(name, cut.at_s, _CUT.pairs(cut), epoch_unix_s) for name, cut in cuts]
    if events:
        encoded["events"] = events
    return encoded


def _event(name: str, at_s: float, pairs: list[dict[str, Any]], epoch_unix_s: float) -> dict[str, Any]:
    return {"timeUnixNano": _nanos(at_s, epoch_unix_s), "name": name, "attributes": pairs}


def _attributes_of(span: Span) -> list[dict[str, Any]]:
    if isinstance(span, ForeignSpan):
        return _pairs(span.attributes)
    pairs = [
        {"key": names.KIND, "value": _member(span.kind)},
        {"key": names.LAYER, "value": _string(span.layer)},
    ]
    pairs += _TABLES[span.kind][1].pairs(span)
    if isinstance(span, GenerationRecord | RequestRecord):
        pairs += _pairs(_IMAGE)
    if isinstance(span, LayerRecord) and span.cut is not None:
        pairs += _CUT.pairs(span.cut)
    if isinstance(span, AttemptRecord):
        pairs.append(_pair(names.RESEND_COUNT, span.number - 1))
        pairs += [_pair(f"{names.RESPONSE_HEADER}{name}", [value]) for name, value in span.headers.items()]
    return pairs


def _nanos(at_s: float, epoch_unix_s: float) -> str:
    return str(round((at_s + epoch_unix_s) * _NS))


def _pairs(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [_pair(key, value) for key, value in attributes.items() if value is not None]


def _pair(key: str, value: Any) -> dict[str, Any]:
    return {"key": key, "value": _any_value(value)}


# --- to records -------------------------------------------------------------------------------------------


def kind_of(value: Any) -> int:
    """A span's kind, from its number or its name. Raises one of `NOT_WHOLE`.

    One that the specification does not have is unspecified, as protobuf wants it of every enum.
    """
    if isinstance(value, str):
        return _OTEL_NAMES.get(value, 0)
    number = typed.number(value)
    return number if number in _OTEL_NUMBERS else 0


def side_of(kind: int) -> str:
    """The side of a layer that a span of this kind tells of."""
    return _SIDES.get(kind, "internal")


def error_of(status: dict[str, Any]) -> str | None:
    """What a status says went wrong; None where it is not an error. Raises one of `NOT_WHOLE`."""
    return typed.text(status.get("message", "error")) if status.get("code") in _IS_ERROR else None


def _wire_span(raw: dict[str, Any], resource: dict[str, Any]) -> WireSpan:
    return WireSpan(
        trace_id=intern(typed.trace_id(raw["traceId"])),
        span_id=typed.span_id(raw["spanId"]),
        parent_id=None if (parent_id := raw.get("parentSpanId")) in (None, "") else typed.span_id(parent_id),
        resource=resource,
        kind=kind_of(raw.get("kind", 0)),
        name=typed.text(raw.get("name", "")),
        start_ns=typed.nanos(raw["startTimeUnixNano"]),
        end_ns=typed.nanos(raw["endTimeUnixNano"]),
        attributes=decode_attributes(raw.get("attributes", [])),
        events=tuple(
            WireEvent(
                name=typed.text(event["name"]),
                at_ns=typed.nanos(event["timeUnixNano"]),
                attributes=decode_attributes(event.get("attributes", [])),
            )
            for event in raw.get("events", ())
        ),
        error=error_of(raw.get("status", {})),
    )


def _record_of(wire: WireSpan, epoch_unix_s: float) -> Span:
    has = wire.attributes
    facts: dict[str, Any] = {
        "trace_id": wire.trace_id,
        "span_id": wire.span_id,
        "parent_id": wire.parent_id,
        "layer": str(has.get(names.LAYER) or wire.resource.get(names.SERVICE_NAME, "")),
        "name": wire.name,
        "start_s": wire.start_ns / _NS - epoch_unix_s,
        "end_s": wire.end_ns / _NS - epoch_unix_s,
        "events": [
            Event(event.name, event.at_ns / _NS - epoch_unix_s, event.attributes) for event in wire.events
        ],
        "error": wire.error,
    }
    written = has.get(names.KIND)
    if written is None:
        return ForeignSpan(side=side_of(wire.kind), attributes=has, **facts)
    kind = SpanKind(written)
    record, table = _TABLES[kind]
    facts |= table.facts(has)
    if issubclass(record, LayerRecord):
        events = facts["events"]
        facts["cut"] = _cut_of(has)
        tries = [_cut_of(event.attributes) for event in events if event.name == _CUT_TRY_EVENT]
        facts["cut_tries"] = [cut for cut in tries if cut is not None]
        facts["events"] = [event for event in events if event.name not in {_CUT_EVENT, _CUT_TRY_EVENT}]
    if kind is SpanKind.ATTEMPT:
        facts["resent"] = None
        facts["headers"] = _headers_of(has)
        facts.setdefault("request", wire.trace_id)
    if kind is SpanKind.GENERATION:
        facts.setdefault("generation", wire.span_id)
    return record(**facts)


def _cut_of(has: Mapping[str, Any]) -> Cut | None:
    if names.CUT_TIMER not in has:
        return None
    return Cut(**{"directive": str(has[names.CUT_TIMER]), **_CUT.facts(has)})


def _headers_of(has: Mapping[str, Any]) -> dict[str, str]:
    prefix = names.RESPONSE_HEADER
    return {
        key.removeprefix(prefix): ", ".join(value) if isinstance(value, list) else str(value)
        for key, value in has.items()
        if key.startswith(prefix)
    }


def decode_attributes(pairs: list[dict[str, Any]]) -> dict[str, Any]:
    """The attributes of OTLP/JSON by their keys. Raises one of `NOT_WHOLE`."""
    # Keys and short values repeat in every span; kept once, a hundred thousand spans need half the memory.
    return {intern(pair["key"]): plain_value(pair.get("value", {})) for pair in pairs}


def service_of(resource: Mapping[str, Any]) -> str:
    """The name of the service that a resource describes; empty where it names none. Raises one of `NOT_WHOLE`."""
    attributes = decode_attributes(resource.get("attributes", []))
    return typed.text(attributes.get(names.SERVICE_NAME, ""))


def plain_value(value: dict[str, Any]) -> Any:
    """A value of OTLP/JSON as Python has it; None where it is empty. Raises one of `NOT_WHOLE`."""
    for key, inner in value.items():
        if key == "stringValue":
            known = typed.text(inner)
            return intern(known) if len(known) <= _SHORT else known
        return _CONVERT[key](inner)
    return None


_CONVERT: dict[str, Callable[[Any], Any]] = {
    "boolValue": typed.flag,
    "bytesValue": typed.text,
    "intValue": typed.integer,
    "doubleValue": float,
    "arrayValue": lambda inner: [plain_value(item) for item in inner.get("values", [])],
    "kvlistValue": lambda inner: decode_attributes(inner.get("values", [])),
}
