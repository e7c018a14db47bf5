"""From ``BACKEND=ADDRESS`` to records: search what is suspicious, fetch those traces whole, decode as of files.

A backend's search is not trusted with the bounds: ids are counted, and spans decoded by type, here.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from whocut.errors import BadInput, RemoteFailure, nearest
from whocut.registry import found_in
from whocut.trace import otlp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from whocut.trace.fetching.asked import Asked, Backend, Reader
    from whocut.trace.records import Span

from whocut.trace.fetching.asked import Looked

MOST_SPANS: Final = 2_000_000
_ALL_REAL_S: Final = 600.0
_ASK_LESS: Final = "Ask for less: a shorter time, a --service, a smaller --limit."


class Source(NamedTuple):
    """One ``--from``: which backend, and where it is."""

    name: str
    backend: Backend
    address: str


def backends() -> dict[str, Backend]:
    """Every backend by its name."""
    return found_in("whocut.trace.backends", "BACKEND")


def parse_source(written: str) -> Source:
    """Read ``BACKEND=ADDRESS``.

    Raises:
        BadInput: it is not of that form, or there is no such backend; names the nearest one.
    """
    name, _, address = written.partition("=")
    known = backends()
    if name not in known or not address:
        forms = ", ".join(f"{key}={one.address}" for key, one in known.items())
        shown = name if name.isidentifier() else "the value"
        raise BadInput(
            f"'{shown}' is no backend with an address{nearest(name, known)}. Write one of {forms}.",
            field="from",
        )
    return Source(name, known[name], address)


def fetch_spans(source: Source, asked: Asked) -> tuple[list[Span], Looked]:
    """The spans of suspicious traces, Unix seconds, and how the search went.

    Raises:
        BadInput: the address is invalid.
        CouldNotRun: it cannot be reached, or read.
        RemoteFailure: what came is not of the backend's form, or goes beyond a bound.
    """
    return asyncio.run(_within(source, asked))


async def _within(source: Source, asked: Asked) -> tuple[list[Span], Looked]:
    try:
        async with asyncio.timeout(_ALL_REAL_S):
            async with source.backend.opened(source.address, asked) as reader:
                return await _fetched(source, asked, reader)
    except TimeoutError:
        raise RemoteFailure(
            f"{source.name} takes longer than {_ALL_REAL_S:g} s in all. {_ASK_LESS}"
        ) from None


async def _fetched(source: Source, asked: Asked, reader: Reader) -> tuple[list[Span], Looked]:
    looked = Looked(source.name, every=asked.every)
    found: dict[str, None] = {}
    async for page in reader.search():
        found |= dict.fromkeys(page)
        if len(found) > asked.limit:
            looked.more = True
            break
    wanted = list(found)[: asked.limit]
    looked.there = reader.there
    looked.found = len(found) if reader.matching is None else reader.matching
    looked.left_out = looked.found - len(wanted)
    looked.more = looked.more and reader.matching is None
    spans: dict[tuple[str, str], Span] = {}
    for batch in _batches(wanted, source.backend.at_once):
        async for request in reader.fetch(batch):
            _take(request, spans, source.name)
    came = {trace_id for trace_id, _ in spans}
    looked.fetched, looked.gone = len(came), len(wanted) - len(came)
    looked.spans = len(spans)
    return list(spans.values()), looked


def _take(request: Any, spans: dict[tuple[str, str], Span], name: str) -> None:
    """Decode one export request; a span that the backend keeps twice counts once."""
    try:
        for span in otlp.decode_request(request, 0.0):
            spans.setdefault((span.trace_id.lower(), span.span_id.lower()), span)
            if len(spans) > MOST_SPANS:
                raise RemoteFailure(f"{name} sends more than {MOST_SPANS:,} spans. {_ASK_LESS}")
    except ValueError as error:
        raise RemoteFailure(f"a span from {name} cannot be read: {error}. Correct --from.") from None


def _batches(ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for begin in range(0, len(ids), size):
        yield ids[begin : begin + size]


def everything() -> tuple[float, float]:
    """The time of a file of which no beginning was said: all that a span's nanoseconds can tell."""
    return 0.0, math.floor(2**63 / 1e9)
