"""Foreign spans as rows: what a judge reads of them, and nothing else of what was sent.

Spans of one service look alike in all that decides: their faces. A reader makes each face once, and of a span that
has it only its ids, its instants, and what is its own. Attributes that no judge reads are looked at as far as it
takes to know that they are what they should be.

A reader takes what is ordinary. What it cannot take it leaves to the codec, which takes it or refuses it: what a
reader takes, the codec takes too, and both say the same of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import orjson
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from whocut.trace import names, otlp, typed
from whocut.trace.protobuf import MOST_VALUES, counted_value
from whocut.trace.records import Event, ForeignSpan

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_NS: Final = 1_000_000_000
_ERROR: Final = 2
_TRACE_BYTES, _SPAN_BYTES = 16, 8
_NO_OR_SPAN_BYTES: Final = frozenset({0, _SPAN_BYTES})
# A reader that is on for ever forgets and learns again, and keeps nothing that is long.
_MOST_KNOWN, _MOST_SERVICES = 20_000, 1_000
_LONG_FACE, _LONG_RESOURCE = 1_000, 8_000
# Fewer bytes hold no value that is nested as deep as the parser allows: a level takes two bytes.
_MAYBE_DEEP: Final = 160
_NEW: Final = object()


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """All that decides in a span, but for how long it took: one object for all spans that look so."""

    layer: str
    side: str
    attributes: Mapping[str, Any]
    events: tuple[Event, ...]
    error: str | None


Own: TypeAlias = "tuple[tuple[str, Any], ...]"
Row: TypeAlias = "tuple[str, str | None, float, float, Face, Own]"
"""A span: its id and its parent's, its start and end in Unix seconds, its face, and its own attributes."""

Rows: TypeAlias = "dict[str, list[Row]]"
"""The rows of an export request by their traces, each in the order in which they came."""


def as_span(trace_id: str, row: Row) -> ForeignSpan:
    """The span of a row, for the judge of single requests."""
    span_id, parent_id, start_s, end_s, face, own = row
    return ForeignSpan(
        trace_id=trace_id,
        span_id=span_id,
        parent_id=parent_id,
        layer=face.layer,
        name="",
        start_s=start_s,
        end_s=end_s,
        events=list(face.events),
        error=face.error,
        side=face.side,
        attributes={**face.attributes, **dict(own)} if own else dict(face.attributes),
    )


class _NotLeanError(Exception):
    """Something here is for the codec."""


@dataclass(frozen=True, slots=True)
class _Said:
    """An attribute that decides; `mark` tells it from all others, and a value from one of another type."""

    key: str
    value: Any
    mark: str


@dataclass(slots=True)
class _Reading:
    """What has to be known of one body beside its rows."""

    values: int = 0  # of spans and events, and inside other values
    deep: bool = False  # whether a value may be nested deeper than the parser allows


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The attributes that are read: those that decide, those that are each span's own, and those of exceptions.

    No more than the first `longest` characters of a text in `worded`, or of an error, are read.
    """

    deciding: frozenset[str]
    own: frozenset[str]
    worded: frozenset[str]
    event: str
    of_event: frozenset[str]
    longest: int


class LeanReader:
    """Reads export requests of foreign spans, for a judge who asks for these attributes. Threads may share it."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._read = asked.deciding | asked.own | {names.LAYER, names.KIND}
        self._attributes: dict[bytes, Any] = {}
        self._plain: dict[tuple[str, type, Any], _Said | Own] = {}
        self._faces: dict[tuple[object, ...], Face] = {}
        self._services: dict[tuple[bytes, ...], str] = {}

    def protobuf(self, body: bytes) -> Rows | None:
        """The rows of a body in protobuf; None where it is for the codec."""
        reading = _Reading()
        try:
            rows = self._of_message(_LEAN.FromString(body), reading)
            if reading.deep:
                trace_service_pb2.ExportTraceServiceRequest.FromString(body)
        except (DecodeError, _NotLeanError, *otlp.NOT_WHOLE):
            return None
        return rows

    def plain(self, request: Any) -> Rows | None:
        """The rows of a request in OTLP/JSON that is plain data already; None where it is for the codec."""
        rows: Rows = {}
        try:
            for resource in request["resourceSpans"]:
                has = otlp.decode_attributes(resource.get("resource", {}).get("attributes", []))
                service = str(has.get(names.SERVICE_NAME, ""))
                for scope in resource.get("scopeSpans", []):
                    for raw in scope.get("spans", []):
                        trace_id = typed.trace_id(raw["traceId"])
                        row = self._of_plain(raw, service)
                        if trace_id in rows:
                            rows[trace_id].append(row)
                        else:
                            rows[trace_id] = [row]
        except (_NotLeanError, *otlp.NOT_WHOLE):
            return None
        return rows

    # --- protobuf -------------------------------------------------------------------------------------------

    def _of_message(self, message: Any, reading: _Reading) -> Rows:
        rows: Rows = {}
        left = MOST_VALUES
        for group in message.resource_spans:
            resource = tuple(group.resource.attributes)
            left -= 1 + len(resource)
            service = self._services.get(resource)
            if service is None:
                service = self._service(resource, reading)
            for scope in group.scope_spans:
                spans = scope.spans
                left -= 1 + len(spans)
                for span in spans:
                    trace_id = span.trace_id
                    if len(trace_id) != _TRACE_BYTES:
                        raise _NotLeanError
                    trace_id = trace_id.hex()
                    row = self._row(span, service, reading)
                    if trace_id in rows:
                        rows[trace_id].append(row)
                    else:
                        rows[trace_id] = [row]
        if left < reading.values:
            raise _NotLeanError
        return rows

    def _row(self, span: Any, service: str, reading: _Reading) -> Row:
        own_id, above, kind = span.span_id, span.parent_span_id, span.kind
        if len(own_id) != _SPAN_BYTES or len(above) not in _NO_OR_SPAN_BYTES or kind < 0:
            raise _NotLeanError
        known, attributes = self._attributes, span.attributes
        says: list[_Said] = []
        mark: list[object] = [service, kind]
        own: Own = ()
        for raw in attributes:
            said = known.get(raw, _NEW)
            if said is None:
                continue
            if said is _NEW and (said := self._attribute(raw, reading)) is None:
                continue
            if said.__class__ is tuple:
                own += said
            else:
                says.append(said)
                mark.append(said.mark)
        reading.values += len(attributes)
        status, events = span.status, span.events
        error = status.message[: self._asked.longest] if status.code == _ERROR else None
        told: tuple[Event, ...] = ()
        if error is not None:
            mark.append((error,))
        if events:
            told = self._events(events, reading)
            mark.append(repr(told))
        face = self._faces.get(tuple(mark))
        if face is None:
            face = self._face(mark, service, kind, says, told, error)
        start_s, end_s = span.start_time_unix_nano / _NS, span.end_time_unix_nano / _NS
        return own_id.hex(), above.hex() or None, start_s, end_s, face, own

    def _attribute(self, raw: bytes, reading: _Reading) -> Any:
        """What a span's attribute says: something that decides, its own (a tuple), or None: it is not read."""
        if len(raw) >= _MAYBE_DEEP:
            reading.deep = True
        pair = common_pb2.KeyValue.FromString(raw)
        nests = pair.value.WhichOneof("value") in _NESTING
        said = None
        if nests or pair.key in self._read:
            key, value = _plain_pair(pair, reading)
            said = self._said(key, value) if key in self._read else None
        if len(raw) < _MAYBE_DEEP and not nests:
            _learn(self._attributes, raw, said)
        return said

    def _service(self, resource: tuple[bytes, ...], reading: _Reading) -> str:
        before = reading.values
        has = dict(_plain_pair(common_pb2.KeyValue.FromString(raw), reading) for raw in resource)
        service = str(has.get(names.SERVICE_NAME, ""))
        if any(len(raw) >= _MAYBE_DEEP for raw in resource):
            reading.deep = True
        elif sum(map(len, resource)) < _LONG_RESOURCE and before == reading.values:
            _learn(self._services, resource, service, _MOST_SERVICES)
        return service

    def _events(self, events: Iterable[Any], reading: _Reading) -> tuple[Event, ...]:
        told = []
        for event in events:
            reading.values += 1 + len(event.attributes)
            has = dict(_plain_pair(pair, reading) for pair in event.attributes)
            told.append(self._event(event.name, has))
        return tuple(event for event in told if event is not None)

    # --- OTLP/JSON ------------------------------------------------------------------------------------------

    def _of_plain(self, raw: dict[str, Any], service: str) -> Row:
        own_id, above = typed.span_id(raw["spanId"]), raw.get("parentSpanId")
        start_ns, end_ns = typed.nanos(raw["startTimeUnixNano"]), typed.nanos(raw["endTimeUnixNano"])
        typed.text(raw.get("name", ""))
        kind = otlp.kind_of(raw.get("kind", 0))
        says: list[_Said] = []
        mark: list[object] = [service, kind]
        own: Own = ()
        for pair in raw.get("attributes", []):
            key, value = pair["key"], pair.get("value", {})
            text = value.get("stringValue") if len(value) == 1 else None
            if key not in self._read:
                if key.__class__ is not str or (text.__class__ is not str and not _plain_number(value)):
                    _checked(pair)
                continue
            plain = text if text.__class__ is str else _checked(pair)
            said = self._plain.get((key, plain.__class__, plain)) if plain.__class__ in _HASHED else None
            if said is None:
                said = self._said(key, plain)
                if plain.__class__ is int or (plain.__class__ is str and len(plain) < _MAYBE_DEEP):
                    _learn(self._plain, (key, plain.__class__, plain), said)
            if isinstance(said, tuple):
                own += said
            else:
                says.append(said)
                mark.append(said.mark)
        error = otlp.error_of(raw.get("status", {}))
        if error is not None:
            error = error[: self._asked.longest]
            mark.append((error,))
        events = raw.get("events", ())
        told: tuple[Event, ...] = ()
        if events:
            told = self._plain_events(events)
            mark.append(repr(told))
        face = self._faces.get(tuple(mark))
        if face is None:
            face = self._face(mark, service, kind, says, told, error)
        parent_id = None if above in {None, ""} else typed.span_id(above)
        return own_id, parent_id, start_ns / _NS, end_ns / _NS, face, own

    def _plain_events(self, events: Iterable[dict[str, Any]]) -> tuple[Event, ...]:
        told = []
        for event in events:
            typed.nanos(event["timeUnixNano"])
            name, has = typed.text(event["name"]), otlp.decode_attributes(event.get("attributes", []))
            told.append(self._event(name, has))
        return tuple(event for event in told if event is not None)

    # --- both -----------------------------------------------------------------------------------------------

    def _said(self, key: str, value: Any) -> _Said | Own:
        if key == names.KIND and value is not None:
            raise _NotLeanError  # a span of ours
        if key in self._asked.worded and value.__class__ is str:
            value = value[: self._asked.longest]
        if key in self._asked.own:
            return ((key, value),)
        return _Said(key, value, f"{key!r}{value.__class__}{value!r}")

    def _event(self, name: str, has: Mapping[str, Any]) -> Event | None:
        """An event of which something is read, without its instant, which is not."""
        if name != self._asked.event:
            return None
        kept = {key: has[key] for key in sorted(self._asked.of_event & has.keys())}
        longest = self._asked.longest
        short = {key: value[:longest] if isinstance(value, str) else value for key, value in kept.items()}
        return Event(name, 0.0, short)

    def _face(
        self,
        mark: list[object],
        service: str,
        kind: int,
        says: list[_Said],
        events: tuple[Event, ...],
        error: str | None,
    ) -> Face:
        has = {said.key: said.value for said in says}
        layer = str(has.get(names.LAYER) or service)
        face = Face(layer, otlp.side_of(kind), has, events, error)
        if sum(len(one) for one in mark if isinstance(one, str)) < _LONG_FACE:
            _learn(self._faces, tuple(mark), face)
        return face


_HASHED: Final = frozenset({str, int})
_SURELY_64_BITS: Final = 18  # digits
_NESTING: Final = frozenset({"array_value", "kvlist_value"})
# A value with fewer brackets is nested less deep than JSON's writer goes.
_MOST_BRACKETS: Final = 200


def _plain_pair(pair: common_pb2.KeyValue, reading: _Reading) -> tuple[str, Any]:
    plain, nested = counted_value(pair.value)
    reading.values += nested
    return pair.key, otlp.plain_value(plain)


def _plain_number(value: dict[str, Any]) -> bool:
    """Whether a value is a whole number and nothing else, written as JSON has it."""
    digits = value.get("intValue") if len(value) == 1 else None
    return (
        digits.__class__ is str and len(digits) <= _SURELY_64_BITS and digits.isascii() and digits.isdigit()
    )


def _checked(pair: dict[str, Any]) -> Any:
    """The value of an attribute of OTLP/JSON; what may be nested too deep is for the codec."""
    value = pair.get("value", {})
    if "arrayValue" in value or "kvlistValue" in value:
        written = orjson.dumps(value)
        if written.count(b"[") + written.count(b"{") > _MOST_BRACKETS:
            raise _NotLeanError
    (plain,) = otlp.decode_attributes([pair]).values()
    return plain


def _learn(known: dict[Any, Any], key: Any, value: object, most: int = _MOST_KNOWN) -> None:
    if len(known) >= most:
        known.clear()
    known[key] = value


def _lean_request() -> Any:
    """OTLP's export request, but that attributes of spans and resources stay bytes: most were seen before."""
    pool = descriptor_pool.DescriptorPool()
    for module in (common_pb2, resource_pb2, trace_pb2, trace_service_pb2):
        file = descriptor_pb2.FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)
        for message in file.message_type:
            if message.name in {"Span", "Resource"}:
                (attributes,) = [one for one in message.field if one.name == "attributes"]
                attributes.type = descriptor_pb2.FieldDescriptorProto.TYPE_BYTES
                attributes.ClearField("type_name")
        pool.Add(file)
    name = trace_service_pb2.ExportTraceServiceRequest.DESCRIPTOR.full_name
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


_LEAN: Final = _lean_request()
