"""The door of the backends: one answer of an honest conversation is changed, and the rest of it stays."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import orjson

from tests.trace.backends.fakes import Jaeger, Phoenix, Request, Store, Tempo, collector_row
from tests.trace.backends.material import foreign_lines, wires, world_lines
from whocut.errors import RemoteFailure
from whocut.foreign.files import attribute_files
from whocut.trace.fetching.asked import Asked
from whocut.trace.fetching.door import DEFAULT_BOUNDS, Address, Door
from whocut.trace.fetching.fetch import Source, _fetched, backends

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_ASKED: Final = Asked(since_unix_s=1_795_300_000.0, until_unix_s=1_796_000_000.0, slower_than_s=1.0, limit=3)


class CannedClickHouse(Store):
    """The answers of ClickHouse to the three queries, without its engine."""

    def answer(self, request: Request) -> Any:
        """Which query it is, its columns tell."""
        rows: Iterable[dict[str, Any]] = [{"there": len(self.traces), "matching": str(len(self.traces))}]
        if b"AS last" in request.body:
            rows = [{"TraceId": trace_id, "last": "2026-11-22 11:05:00.0"} for trace_id in self.traces]
        elif b"AS StartNs" in request.body:
            rows = [self._row(span) for spans in self.traces.values() for span in spans]
        return b"".join(orjson.dumps(row) + b"\n" for row in rows)

    @staticmethod
    def _row(span: Any) -> dict[str, Any]:
        row = collector_row(span)
        return row | {
            "StartNs": str(row["Timestamp"]),
            "EventNs": row["Events.Timestamp"],
            "EventNames": row["Events.Name"],
            "EventAttributes": row["Events.Attributes"],
        }


_STORES: Final[dict[str, type[Store]]] = {
    "clickhouse": CannedClickHouse,
    "jaeger": Jaeger,
    "phoenix": Phoenix,
    "tempo": Tempo,
}


class _InProcess(Door):
    """A door without a socket; `changed` takes the place of one answer, the others are noted."""

    def __init__(self, name: str, store: Store, step: int, changed: bytes) -> None:
        session: Any = None
        super().__init__(name, Address("http://127.0.0.1:1", "127.0.0.1:1"), session, DEFAULT_BOUNDS)
        self.answers: list[bytes] = []
        self._store = store
        self._step = step
        self._changed = changed

    async def raw(
        self, path: str, query: Iterable[tuple[str, str]] = (), *, body: bytes | None = None, of: str = ""
    ) -> bytes | None:
        """The store's own answer, or the changed one."""
        del of
        if len(self.answers) > 200:
            raise RemoteFailure("more than 200 requests")
        pairs = list(query)
        queries: dict[str, list[str]] = {}
        for key, value in pairs:
            queries.setdefault(key, []).append(value)
        said: Any = self._store.answer(Request(path, dict(pairs), queries, body or b"", {}))
        honest = said if isinstance(said, bytes) else orjson.dumps(said.body)
        self.answers.append(honest)
        return self._changed if len(self.answers) - 1 == self._step else honest


@lru_cache
def _conversations() -> list[tuple[str, Store, int, bytes]]:
    """Every answer of an honest conversation with each backend, the largest ones but once."""
    found = []
    for name, kind in _STORES.items():
        for lines in (foreign_lines(), world_lines(0)):
            store = kind(wires(lines))
            door = _InProcess(name, store, -1, b"")
            _played(name, door)
            seen = set()
            for step, answer in enumerate(door.answers):
                if answer[:20] not in seen:
                    seen.add(answer[:20])
                    found.append((name, store, step, answer))
    return found


def _played(name: str, door: Door) -> None:
    module = import_module(f"whocut.trace.backends.{name}")
    kind = {"clickhouse": "_ClickHouse", "jaeger": "_Jaeger", "phoenix": "_Phoenix", "tempo": "_Tempo"}[name]
    asked = replace(_ASKED, service="gateway" if name == "jaeger" else None)
    reader = getattr(module, kind)(door, asked, *(["`otel_traces`"] if name == "clickhouse" else []))
    spans, looked = asyncio.run(_fetched(Source(name, backends()[name], ""), asked, reader))
    attributed = attribute_files([], [], fetched=spans, looked=[looked])
    orjson.dumps(attributed.as_json())
    list(attributed.as_words())


def corpus(_: Path) -> list[bytes]:
    """Each answer, led by its number."""
    return [bytes([number]) + one[3] for number, one in enumerate(_conversations())]


def feed(_: Path, data: bytes) -> None:
    """Play the conversation that the first byte names, with this answer in its place."""
    known = _conversations()
    name, store, step, _answer = known[data[0] % len(known) if data else 0]
    _played(name, _InProcess(name, store, step, data[1:]))
