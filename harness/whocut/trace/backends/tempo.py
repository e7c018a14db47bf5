"""Grafana Tempo: a search by TraceQL, then each trace by its id, as OTLP/JSON.

A search has no pages and takes the first traces that it comes across, so a time whose answer is full is halved; its
bounds are whole seconds. Ids in `/api/search` lack the zeros in front. In a trace by id, ids of spans are in base64
by the older interface, and `batches` is what OTLP calls `resourceSpans`.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Final

import orjson

from whocut.trace.fetching.asked import LOWEST_STATUS, SERVICE_ATTRIBUTE, STATUS_ATTRIBUTES, Backend
from whocut.trace.fetching.door import over_http
from whocut.trace.fetching.halves import in_halves

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from whocut.trace.fetching.asked import Asked
    from whocut.trace.fetching.door import Door

_PAGE: Final = 200
_S_NS: Final = 1_000_000_000
_IDS: Final = ("traceId", "spanId", "parentSpanId")
_NOT_WHOLE: Final = (AttributeError, LookupError, TypeError, ValueError)


class _Tempo:
    """One search, halved where it is full."""

    def __init__(self, door: Door, asked: Asked) -> None:
        self.there: int | None = None
        self.matching: int | None = None
        self._door = door
        self._asked = asked

    def search(self) -> AsyncIterator[Sequence[str]]:
        """Ids of traces with a span that the query selects."""
        until_ns = -(-self._asked.until_ns // _S_NS) * _S_NS
        since_ns = self._asked.since_ns // _S_NS * _S_NS
        return in_halves(since_ns, until_ns, self._page, page=_PAGE, least_ns=_S_NS)

    async def fetch(self, trace_ids: Sequence[str]) -> AsyncIterator[Any]:
        """Each trace by its id; what is not there any more is left out."""
        for trace_id in trace_ids:
            answer = await self._door.json(f"/api/traces/{trace_id}")
            if answer is not None:
                yield self._request(answer)

    async def _page(self, begin_ns: int, end_ns: int) -> list[str]:
        answer = await self._door.json(
            "/api/search",
            (
                ("q", traceql(self._asked)),
                ("start", str(begin_ns // _S_NS)),
                ("end", str(end_ns // _S_NS)),
                ("limit", str(_PAGE)),
                ("spss", "1"),
            ),
        )
        try:
            return [_hex(trace["traceID"]) for trace in (answer or {}).get("traces") or ()]
        except _NOT_WHOLE:
            raise self._door.strange("its traces are no list with ids") from None

    def _request(self, answer: Any) -> dict[str, Any]:
        try:
            trace = answer.get("trace", answer)
            groups = trace.get("batches") or trace.get("resourceSpans") or []
            for group in groups:
                for scope in group.get("scopeSpans") or group.get("instrumentationLibrarySpans") or ():
                    for span in scope.get("spans") or ():
                        span |= {key: _from_base64(span[key]) for key in _IDS if span.get(key)}
                group["scopeSpans"] = (
                    group.get("scopeSpans") or group.get("instrumentationLibrarySpans") or []
                )
        except _NOT_WHOLE as error:
            raise self._door.strange(f"a trace of it lacks a field: {error}") from None
        return {"resourceSpans": groups}


def traceql(asked: Asked) -> str:
    """The query for one span: of the service, and suspicious."""
    parts = []
    if asked.service is not None:
        parts.append(f"resource.{SERVICE_ATTRIBUTE} = {orjson.dumps(asked.service).decode()}")
    if not asked.every:
        kinds = ["status = error"]
        kinds += [f"span.{name} >= {LOWEST_STATUS}" for name in STATUS_ATTRIBUTES]
        for low_s, high_s in asked.durations:
            low = f"duration >= {_ms(low_s)}"
            kinds.append(low if high_s is None else f"({low} && duration <= {_ms(high_s)})")
        parts.append(f"({' || '.join(kinds)})")
    return f"{{ {' && '.join(parts)} }}"


def _ms(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"


def _hex(trace_id: Any) -> str:
    """An id of a trace in full: only hex digits go into a path."""
    number = int(trace_id, 16)
    if not 0 <= number < 1 << 128:
        raise ValueError(trace_id)
    return f"{number:032x}"


def _from_base64(written: Any) -> Any:
    """An id in hex, as OTLP/JSON has it; the older interface writes protobuf's base64."""
    digits = 16 if len(written) <= 16 else 32
    if len(written) == digits and all(digit in "0123456789abcdefABCDEF" for digit in written):
        return written
    try:
        return base64.b64decode(written, validate=True).hex()
    except binascii.Error:
        return written  # the codec says what is wrong with it


BACKEND: Final = Backend("URL", "Grafana Tempo", over_http("tempo", _Tempo))
