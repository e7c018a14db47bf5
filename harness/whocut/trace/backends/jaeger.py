"""Jaeger, by the JSON that its own page reads: `/api/traces`, which answers with whole traces.

Versions 1 and 2 have it, and so have VictoriaTraces and other stores that take its place. A search is for one
service and joins its tags by "and", so each kind of suspicion is a search of its own. There is no paging: a time
whose answer is full is halved. Instants are microseconds. Lists are kept as text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from whocut.trace.fetching import made
from whocut.trace.fetching.asked import CUT_STATUSES, STATUS_ATTRIBUTES, Backend
from whocut.trace.fetching.door import over_http
from whocut.trace.fetching.halves import in_halves

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

    from whocut.trace.fetching.asked import Asked
    from whocut.trace.fetching.door import Door

_PAGE: Final = 100
_US_NS: Final = 1_000
_LEAST_NS: Final = 1_000_000
_MOST_SERVICES: Final = 100
_KIND, _STATUS, _WORDS, _ERROR = "span.kind", "otel.status_code", "otel.status_description", "error"
_OWN_TAGS: Final = frozenset({_KIND, _STATUS, _WORDS, _ERROR})
_NOT_WHOLE: Final = (AttributeError, LookupError, TypeError, ValueError)


class _Jaeger:
    """Searches, and keeps the traces that came with the answers until they are asked for."""

    def __init__(self, door: Door, asked: Asked) -> None:
        self.there: int | None = None
        self.matching: int | None = None
        self._door = door
        self._asked = asked
        self._whole: dict[str, Any] = {}

    async def search(self) -> AsyncIterator[Sequence[str]]:
        """One search a service and a kind of suspicion."""
        for service in await self._services():
            for more in self._searches():
                pages = in_halves(
                    self._asked.since_ns,
                    self._asked.until_ns,
                    lambda begin, end, service=service, more=more: self._page(service, more, begin, end),  # type: ignore[misc]
                    page=min(_PAGE, self._asked.limit),
                    least_ns=_LEAST_NS,
                )
                async for page in pages:
                    yield page

    async def fetch(self, trace_ids: Sequence[str]) -> AsyncIterator[Any]:
        """What the searches have brought."""
        for trace_id in trace_ids:
            yield made.request(self._spans(self._whole.pop(trace_id)))

    async def _services(self) -> list[str]:
        if self._asked.service is not None:
            return [self._asked.service]
        answer = await self._door.json("/api/services")
        try:
            services = [str(name) for name in answer["data"] or ()]
        except _NOT_WHOLE:
            raise self._door.strange("its services are no list") from None
        if len(services) > _MOST_SERVICES:
            raise self._door.strange(f"it has {len(services):,} services; name one with --service")
        return services

    def _searches(self) -> Iterator[dict[str, str]]:
        """The parameters of each search."""
        if self._asked.every:
            yield {}
            return
        yield {"tags": _json({_ERROR: "true"})}
        for attribute in STATUS_ATTRIBUTES:
            for status in CUT_STATUSES:
                yield {"tags": _json({attribute: str(status)})}
        for low_s, high_s in self._asked.durations:
            high = {} if high_s is None else {"maxDuration": f"{high_s:.3f}s"}
            yield {"minDuration": f"{low_s:.3f}s", **high}

    async def _page(self, service: str, more: Mapping[str, str], begin_ns: int, end_ns: int) -> list[str]:
        answer = await self._door.json(
            "/api/traces",
            (
                ("service", service),
                ("start", str(begin_ns // _US_NS)),
                ("end", str(end_ns // _US_NS)),
                ("limit", str(min(_PAGE, self._asked.limit))),
                ("raw", "true"),  # as it is stored: no clock is moved
                *more.items(),
            ),
        )
        try:
            traces = {str(trace["traceID"]): trace for trace in (answer or {}).get("data") or ()}
        except _NOT_WHOLE:
            raise self._door.strange("its traces are no list with ids") from None
        for trace_id, trace in traces.items():
            if len(self._whole) <= self._asked.limit:
                self._whole.setdefault(trace_id, trace)
        return list(traces)

    def _spans(self, trace: Any) -> list[dict[str, Any]]:
        try:
            processes = trace.get("processes") or {}
            return [_span(raw, processes.get(raw.get("processID")) or {}) for raw in trace["spans"]]
        except _NOT_WHOLE as error:
            raise self._door.strange(f"a span of it lacks a field: {error}") from None


def _span(raw: Mapping[str, Any], process: Mapping[str, Any]) -> dict[str, Any]:
    tags = _tags(raw.get("tags"))
    start_ns = _ns(raw["startTime"])
    return made.span(
        trace_id=_padded(raw["traceID"], 32),
        span_id=_padded(raw["spanID"], 16),
        parent_id=_parent(raw),
        name=raw.get("operationName", ""),
        kind=tags.get(_KIND, ""),
        start_ns=start_ns,
        end_ns=start_ns + _ns(raw["duration"]),
        attributes={key: value for key, value in tags.items() if key not in _OWN_TAGS},
        resource=_tags(process.get("tags")),
        service=process.get("serviceName"),
        error=tags.get(_ERROR) in {True, "true"} or made.is_error(tags.get(_STATUS)),
        message=tags.get(_WORDS, ""),
        events=[_event(log) for log in raw.get("logs") or ()],
    )


def _event(log: Mapping[str, Any]) -> dict[str, Any]:
    fields = _tags(log.get("fields"))
    return made.event(fields.pop("event", ""), _ns(log["timestamp"]), fields)


def _ns(written_us: Any) -> int:
    """Microseconds in nanoseconds."""
    if type(written_us) is not int:
        raise ValueError("an instant is no whole number")
    return written_us * _US_NS


def _tags(tags: Any) -> dict[str, Any]:
    return {tag["key"]: tag.get("value") for tag in tags or ()}


def _parent(raw: Mapping[str, Any]) -> str | None:
    """The span that it is a child of, in the same trace; the field `parentSpanID` is older than references."""
    for reference in raw.get("references") or ():
        if reference["refType"] == "CHILD_OF" and reference["traceID"] == raw["traceID"]:
            return _padded(reference["spanID"], 16)
    parent_id = raw.get("parentSpanID")
    return _padded(parent_id, 16) if parent_id else None


def _padded(written: Any, digits: int) -> str:
    """An id with the zeros in front that older versions leave out."""
    return str(written).rjust(digits, "0")


def _json(tags: Mapping[str, str]) -> str:
    return orjson.dumps(tags).decode()


BACKEND: Final = Backend("URL", "Jaeger's query service", over_http("jaeger", _Jaeger))
