"""The ordinary span of a hop, written by filling in one that the codec has made.

Nearly every exchange passes a hop whole: no cut, no event, no second try. For these no record is made and no table
is walked, because both together cost as much as the forwarding itself. The codec encodes one sample of the hop's
spans, whose values mark their places; each exchange fills these places in. Everything else takes the codec's way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

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
    float,  # the upstream's side ended
    float,  # ended, which is when the caller had the response whole
    float,  # the request was sent
    float,  # first byte
    float,  # last byte
    float,  # largest gap
    int,  # status
    int,  # bytes of the body
]
"""An ordinary exchange: the response came whole and was handed on whole."""

_NS: Final = 1_000_000_000
_METHOD, _PATH, _NAME = "\0method", "\0path", "\0name"
_TRACE_ID, _SPAN_ID, _PARENT_ID = "\0trace", "\0span", "\0parent"
_START_S, _END_S, _STATUS, _BYTES_DOWN = 1.0, 2.0, -7, -8


@runtime_checkable
class TakesRows(Protocol):
    """A sink of spans that takes rows as well."""

    def __call__(self, span: Span) -> None:
        """Write one span."""

    def rows_of(self, form: Form) -> Callable[[Row], None]:
        """Where the rows of this form's hop go."""


class Form:
    """The encoded span of one hop as a template, which each exchange fills in."""

    __slots__ = ("_child", "_named", "_root", "_sample")

    def __init__(
        self, layer: str, position: int, side: TapSide | None, lazy_s: float | None, clock: str | None
    ) -> None:
        # What marks a place is no hop's own value: no name has a NUL in it, no position or time is negative.
        upstream_s, downstream_s, sent_s, first_s, last_s, gap_s = (-float(number) for number in range(1, 7))
        sample = LayerRecord(
            trace_id=_TRACE_ID,
            span_id=_SPAN_ID,
            parent_id=_PARENT_ID,
            layer=layer,
            name=_NAME,
            start_s=_START_S,
            end_s=_END_S,
            position=position,
            method=_METHOD,
            path=_PATH,
            upstream=UpstreamEnd.COMPLETE,
            downstream=DownstreamEnd.ANSWERED,
            upstream_s=upstream_s,
            downstream_s=downstream_s,
            request_sent_s=sent_s,
            first_byte_s=first_s,
            last_byte_s=last_s,
            largest_gap_s=gap_s,
            status=_STATUS,
            bytes_down=_BYTES_DOWN,
            tap=side,
            tap_lazy_s=lazy_s,
            clock=clock,
        )
        text = otlp.encode_line((sample,), 0.0).replace(b"%", b"%%")
        values = [_text(_TRACE_ID), _text(_SPAN_ID)]
        values += [_text(str(round(at_s * _NS))) for at_s in (_START_S, _END_S)]
        values += [_number(at_s) for at_s in (upstream_s, downstream_s, sent_s, first_s, last_s, gap_s)]
        values += [_text(str(count)) for count in (_STATUS, _BYTES_DOWN)]
        values += [_text(_PARENT_ID)]
        for marked, place in values:
            before, found, after = text.partition(marked)
            assert found, marked
            text = before + place + after
        self._sample = text
        self._named: tuple[bytes, bytes] | None = (
            None  # the method and the target that stand in the templates
        )
        self._child = self._root = b""

    def line(self, row: Row, epoch_unix_s: float) -> bytes:
        """The exchange as a line of OTLP/JSON: what `otlp.encode_line` writes of its record."""
        trace_id, span_id, parent_id, method, target, start_s, *seen = row
        if (method, target) != self._named:  # most requests of a run ask for the same
            self._name(method, target)
        values: tuple[object, ...] = (
            trace_id,
            span_id,
            str(round((start_s + epoch_unix_s) * _NS)),  # the calendar is longer than orjson's integers
            str(round((seen[1] + epoch_unix_s) * _NS)),
            *seen,
        )
        template = self._root
        if parent_id is not None:
            template, values = self._child, (*values, parent_id)
        # One look at all values: as fast as looking at the line, and Python's own words of a float take longer.
        return template % tuple(orjson.dumps(values)[1:-1].replace(b'"', b"").split(b","))

    def _name(self, method: bytes, target: bytes) -> None:
        """Write the names into the templates."""
        self._named = (method, target)
        said, path = method.decode("latin-1"), path_of(target)
        text = self._sample
        for marked, name in ((_METHOD, said), (_PATH, path), (_NAME, f"{said} {path}")):
            text = text.replace(orjson.dumps(marked), orjson.dumps(name).replace(b"%", b"%%"))
        self._child = text
        self._root = text.replace(b',"parentSpanId":"%b"', b"")


def _text(marked: str) -> tuple[bytes, bytes]:
    return orjson.dumps(marked), b'"%b"'


def _number(marked: float) -> tuple[bytes, bytes]:
    return b'"doubleValue":' + orjson.dumps(marked) + b"}", b'"doubleValue":%b}'


def path_of(target: bytes) -> str:
    """The path of a request's target: a query may hold a key, and stays out of every record."""
    return target.partition(b"?")[0].decode("latin-1")
