"""The ordinary span of a hop, written by filling in one that the codec has made.

Nearly every exchange passes a hop whole: no cut, no event, no second try. For these no record is made and no table
is walked, because both together cost as much as the forwarding itself. The codec encodes one sample of the hop's
spans, whose values mark their places; each exchange fills these places in. Everything else takes the codec's way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

import orjson

from whocut.trace import otlp
from whocut.trace.records import DownstreamEnd, LayerRecord, UpstreamEnd

if TYPE_CHECKING:
    from collections.abc import Callable

    from whocut.trace.records import Span, TapSide

Row = tuple[
    str,  # trace id
    str,  # span id
    str | None,  # parent's id
    bytes,  # method
    bytes,  # target, with its query
    float,  # accepted, model seconds as all that follow
    float,  # ended, which is when the caller had the response whole
    float,  # the upstream's side ended
    float,  # the request was sent
    float,  # first byte
    float,  # last byte
    float,  # largest gap
    int,  # status
    int,  # bytes of the body
]
"""An ordinary exchange: the response came whole and was handed on whole."""

_NS: Final = 1_000_000_000
_METHOD, _PATH = "\0method", "\0path"
_STATUS, _BYTES_DOWN = -7, -8


@runtime_checkable
class TakesRows(Protocol):
    """A sink of spans that takes rows as well."""

    def __call__(self, span: Span) -> None:
        """Write one span."""

    def rows_of(self, form: Form) -> Callable[[Row], None]:
        """Where the rows of this form's hop go."""


class Form:
    """The encoded span of one hop, whose places are filled in for each exchange."""

    __slots__ = (
        "_bytes_down",
        "_downstream",
        "_first",
        "_gap",
        "_last",
        "_line",
        "_method",
        "_named",
        "_path",
        "_sent",
        "_span",
        "_status",
        "_upstream",
    )

    def __init__(
        self, layer: str, position: int, side: TapSide | None, lazy_s: float | None, clock: str | None
    ) -> None:
        # What marks a place is no hop's own value: no name has a NUL in it, no position or time is negative.
        places = {
            name: -float(number)
            for number, name in enumerate(("sent", "first", "last", "gap", "upstream", "downstream"), start=1)
        }
        sample = LayerRecord(
            trace_id="",
            span_id="",
            parent_id=None,
            layer=layer,
            name="",
            start_s=0.0,
            end_s=0.0,
            position=position,
            method=_METHOD,
            path=_PATH,
            upstream=UpstreamEnd.COMPLETE,
            downstream=DownstreamEnd.ANSWERED,
            upstream_s=places["upstream"],
            downstream_s=places["downstream"],
            request_sent_s=places["sent"],
            first_byte_s=places["first"],
            last_byte_s=places["last"],
            largest_gap_s=places["gap"],
            status=_STATUS,
            bytes_down=_BYTES_DOWN,
            tap=side,
            tap_lazy_s=lazy_s,
            clock=clock,
        )
        self._line = orjson.loads(otlp.encode_line((sample,), 0.0))
        self._span = self._line["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
        leaves: list[dict[str, Any]] = [pair["value"] for pair in self._span["attributes"]]

        def place(kind: str, value: object) -> dict[str, Any]:
            (leaf,) = [leaf for leaf in leaves if leaf.get(kind) == value]
            return leaf

        self._sent, self._first, self._last, self._gap, self._upstream, self._downstream = (
            place("doubleValue", marked) for marked in places.values()
        )
        self._named: tuple[bytes, bytes] | None = (
            None  # the method and the target whose names stand in the line
        )
        self._method, self._path = place("stringValue", _METHOD), place("stringValue", _PATH)
        self._status, self._bytes_down = (place("intValue", str(marked)) for marked in (_STATUS, _BYTES_DOWN))

    def line(self, row: Row, epoch_unix_s: float) -> bytes:
        """The exchange as a line of OTLP/JSON: what `otlp.encode_line` writes of its record."""
        span = self._span
        (
            span["traceId"],
            span["spanId"],
            parent_id,
            method,
            target,
            start_s,
            end_s,
            self._upstream["doubleValue"],
            self._sent["doubleValue"],
            self._first["doubleValue"],
            self._last["doubleValue"],
            self._gap["doubleValue"],
            status,
            bytes_down,
        ) = row
        if parent_id is not None:
            span["parentSpanId"] = parent_id
        else:
            span.pop("parentSpanId", None)
        span["startTimeUnixNano"] = str(round((start_s + epoch_unix_s) * _NS))
        span["endTimeUnixNano"] = str(round((end_s + epoch_unix_s) * _NS))
        self._downstream["doubleValue"] = end_s
        named = (method, target)
        if named != self._named:  # most requests of a run ask for the same
            self._named = named
            self._method["stringValue"] = said = method.decode("latin-1")
            self._path["stringValue"] = path = path_of(target)
            span["name"] = f"{said} {path}"
        self._status["intValue"] = str(status)
        self._bytes_down["intValue"] = str(bytes_down)
        return orjson.dumps(self._line, option=orjson.OPT_APPEND_NEWLINE)


def path_of(target: bytes) -> str:
    """The path of a request's target: a query may hold a key, and stays out of every record."""
    return target.partition(b"?")[0].decode("latin-1")
