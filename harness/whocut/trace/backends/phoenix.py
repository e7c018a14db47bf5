"""Arize Phoenix: a search by the filter of its GraphQL, then each trace's spans by its REST interface.

Phoenix has projects in place of services. It keeps neither a span's kind nor its resource, so that other people's
spans cannot be judged from it: whocut's own name their kind and layer in attributes. Instants are microseconds.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from whocut.trace.fetching import made
from whocut.trace.fetching.asked import LOWEST_STATUS, STATUS_ATTRIBUTES, Backend
from whocut.trace.fetching.door import over_http

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from whocut.trace.fetching.asked import Asked
    from whocut.trace.fetching.door import Door

_PAGE: Final = 1_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_US: Final = timedelta(microseconds=1)
_US_NS: Final = 1_000
_QUERY: Final = f"""query($id: ID!, $after: String, $time: TimeRange, $condition: String) {{
  node(id: $id) {{ ... on Project {{
    spans(first: {_PAGE}, after: $after, timeRange: $time, filterCondition: $condition,
          sort: {{col: startTime, dir: desc}}) {{
      edges {{ node {{ context {{ traceId }} }} }}
      pageInfo {{ hasNextPage endCursor }}
    }} }} }} }}"""
_NOT_WHOLE: Final = (AttributeError, LookupError, OverflowError, TypeError, ValueError)


class _Phoenix:
    """Searches each project, and remembers in which a trace is."""

    def __init__(self, door: Door, asked: Asked) -> None:
        self.there: int | None = None
        self.matching: int | None = None
        self._door = door
        self._asked = asked
        self._project_of: dict[str, str] = {}

    async def search(self) -> AsyncIterator[Sequence[str]]:
        """The ids of traces with a span that the filter selects, project by project, the newest first."""
        time = {"start": _written(self._asked.since_ns), "end": _written(self._asked.until_ns)}
        for project in await self._projects():
            asked = {"id": project, "time": time, "condition": condition(self._asked)}
            after: str | None = None
            while True:
                answer = await self._door.json(
                    "/graphql", body={"query": _QUERY, "variables": {**asked, "after": after}}
                )
                try:
                    if answer.get("errors"):
                        raise self._door.strange(str(answer["errors"][0]["message"])[:200])
                    spans = answer["data"]["node"]["spans"]
                    page = [str(edge["node"]["context"]["traceId"]) for edge in spans["edges"]]
                    after = str(spans["pageInfo"]["endCursor"]) if spans["pageInfo"]["hasNextPage"] else None
                except _NOT_WHOLE as error:
                    raise self._door.strange(f"a page of spans lacks a field: {error}") from None
                self._project_of |= dict.fromkeys(page, project)
                yield page
                if after is None:
                    break

    async def fetch(self, trace_ids: Sequence[str]) -> AsyncIterator[Any]:
        """All spans of these traces, page by page."""
        for project in dict.fromkeys(self._project_of[trace_id] for trace_id in trace_ids):
            ids = [trace_id for trace_id in trace_ids if self._project_of[trace_id] == project]
            async for rows in self._pages(
                f"/v1/projects/{quote(project, safe='')}/spans", [("trace_id", one) for one in ids]
            ):
                try:
                    # A version before 13.9 does not know the filter, and answers with every span.
                    spans = [_span(row) for row in rows if row["context"]["trace_id"] in ids]
                except _NOT_WHOLE as error:
                    raise self._door.strange(f"a span of it lacks a field: {error}") from None
                yield made.request(spans)

    async def _projects(self) -> list[str]:
        found: dict[str, str] = {}
        async for rows in self._pages("/v1/projects", []):
            try:
                found |= {str(row["name"]): str(row["id"]) for row in rows}
            except _NOT_WHOLE:
                raise self._door.strange("its projects are no list with names") from None
        if self._asked.service is None:
            return list(found.values())
        return [found[self._asked.service]] if self._asked.service in found else []

    async def _pages(self, path: str, query: list[tuple[str, str]]) -> AsyncIterator[list[Any]]:
        cursor: list[tuple[str, str]] = []
        while True:
            answer = await self._door.json(path, [*query, ("limit", str(_PAGE)), *cursor])
            try:
                rows, after = list((answer or {})["data"]), answer.get("next_cursor")
            except _NOT_WHOLE:
                raise self._door.strange("an answer has no list of data") from None
            yield rows
            if after is None:
                return
            cursor = [("cursor", str(after))]


def condition(asked: Asked) -> str | None:
    """What makes a span suspicious, as Phoenix's filter has it; None selects every span."""
    if asked.every:
        return None
    kinds = ["status_code == 'ERROR'"]
    for name in STATUS_ATTRIBUTES:
        path = "".join(f"['{part}']" for part in name.split("."))
        kinds.append(f"attributes{path} >= {LOWEST_STATUS}")
    for low_s, high_s in asked.durations:
        low = f"latency_ms >= {low_s * 1000:.3f}"
        kinds.append(low if high_s is None else f"({low} and latency_ms <= {high_s * 1000:.3f})")
    return " or ".join(kinds)


def _span(row: Mapping[str, Any]) -> dict[str, Any]:
    return made.span(
        trace_id=row["context"]["trace_id"],
        span_id=row["context"]["span_id"],
        parent_id=row.get("parent_id"),
        name=row["name"],
        kind="",
        start_ns=_ns(row["start_time"]),
        end_ns=_ns(row["end_time"]),
        attributes=row["attributes"],
        resource={},
        error=made.is_error(row["status_code"]),
        message=row.get("status_message"),
        events=[
            made.event(one["name"], _ns(one["timestamp"]), one.get("attributes") or {})
            for one in row.get("events") or ()
        ],
    )


def _ns(written: Any) -> int:
    return (datetime.fromisoformat(written) - _EPOCH) // _US * _US_NS


def _written(at_ns: int) -> str:
    return (_EPOCH + at_ns // _US_NS * _US).isoformat()


BACKEND: Final = Backend("URL", "Arize Phoenix", over_http("phoenix", _Phoenix))
