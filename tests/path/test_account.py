"""What a hop writes down of an exchange: as a row where it was ordinary, as a span where it was not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.path.fakes import FakeUpstream, call, layer, ok, request, send, topology, wait
from tests.path.test_timers import virtual_clock
from whocut.chain.timers import Phase, Timer, TimerKind
from whocut.clock import run_virtual
from whocut.errors import NoRoom
from whocut.path import start_chain
from whocut.path.account import Cut, Facts, Lineage, Place, row_of, span_of
from whocut.trace import otlp, records
from whocut.trace.records import DownstreamEnd, TapSide, UpstreamEnd
from whocut.trace.rundir import SPANS, RunDir, SpanWriter

if TYPE_CHECKING:
    from collections.abc import Callable

    from whocut.trace.ordinary import Row

TRACEPARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
instants = st.floats(min_value=0, max_value=1e6, allow_nan=False)


def ordinary(lineage: Lineage) -> Facts:
    """An exchange that came whole and went down whole."""
    facts = Facts(b"POST", b"/v1/images/generations?key=sk-1", 1.0, lineage)
    facts.sent_s = 1.5
    facts.byte_came(2.0)
    facts.byte_came(2.25)
    facts.status, facts.bytes_down, facts.head_bytes = 200, 2300, 200
    facts.upstream_ended(UpstreamEnd.COMPLETE, 2.5)
    facts.downstream_ended(DownstreamEnd.ANSWERED, 2.75)
    return facts


@given(
    parent=st.sampled_from([None, TRACEPARENT]),
    layer_name=st.sampled_from(["nginx", "path", "method", '100%b "%s', "a,b"]),
    position=st.integers(min_value=1, max_value=12),
    lazy_s=st.sampled_from([0.0, 0.5, *map(float, range(1, 13))]),
    side=st.sampled_from([None, *TapSide]),
    target=st.binary(min_size=1, max_size=40),
    at=st.lists(instants, min_size=7, max_size=7),
    status=st.integers(min_value=100, max_value=999),
    size=st.integers(min_value=-5, max_value=10**9),
    epoch_unix_s=st.sampled_from([0.0, 1.7e9, 2.4e11]),
)
def test_a_row_is_written_as_its_span_would_be(
    parent: bytes | None,
    layer_name: str,
    position: int,
    lazy_s: float,
    side: TapSide | None,
    target: bytes,
    at: list[float],
    status: int,
    size: int,
    epoch_unix_s: float,
) -> None:
    """The quick way writes what the codec writes, byte by byte of its values."""
    place = Place(layer_name, position, side, lazy_s, "path" if side is TapSide.ALONE else None)
    lineage = Lineage(parent)
    facts = ordinary(lineage)
    facts.target, facts.status, facts.bytes_down, facts.head_bytes = target, status, size, 0
    facts.accepted_s, facts.sent_s, facts.first_byte_s, facts.last_byte_s, facts.largest_gap_s = at[:5]
    facts.upstream_end_s = at[5]
    facts.downstream_end_s = at[6]

    row = row_of(facts, lineage, at[6])
    assert row is not None
    line = place.form().line(row, epoch_unix_s)

    assert orjson.loads(line) == orjson.loads(
        otlp.encode_line([span_of(facts, lineage, place, at[6])], epoch_unix_s)
    )


def _cut(facts: Facts, _: Lineage) -> None:
    facts.cut = Cut(Timer(kind=TimerKind.IDLE, limit_s=60.0, directive="idle"), Phase.WAIT, 61.0)


def _event(facts: Facts, _: Lineage) -> None:
    facts.note("downstream.left", 2.0)


def _second_try(facts: Facts, _: Lineage) -> None:
    facts.tries = 2


def _left(facts: Facts, _: Lineage) -> None:
    facts.downstream_ended(DownstreamEnd.LEFT, 2.0)


def _closed(facts: Facts, _: Lineage) -> None:
    facts.upstream_ended(UpstreamEnd.CLOSED, 2.0)


def _answered_before_it_was_sent(facts: Facts, _: Lineage) -> None:
    facts.sent_s = None


@pytest.mark.parametrize(
    "change",
    [_cut, _event, _second_try, _left, _closed, _answered_before_it_was_sent],
    ids=lambda change: change.__name__.strip("_"),
)
def test_what_is_not_ordinary_has_no_row(change: Callable[[Facts, Lineage], None]) -> None:
    """A fact that a row has no place for is never lost: the exchange is written as a span."""
    lineage = Lineage(TRACEPARENT)
    facts = ordinary(lineage)
    assert row_of(facts, lineage, 2.75) is not None

    change(facts, lineage)

    assert row_of(facts, lineage, 2.75) is None


def recorded(folder: Path, *work_s: float) -> list[records.LayerRecord]:
    """What a hop with a limit of 60 s leaves in a run directory of requests of such lengths, one after another."""

    async def main() -> None:
        upstream = FakeUpstream(*((wait(each_s), send(ok())) for each_s in work_s))
        writer = SpanWriter(run)
        async with upstream:
            hops = topology(layer("gateway", first_byte=60))
            chain = await start_chain(hops, upstream=upstream.address, clock=virtual_clock(), sink=writer)
            for _ in work_s:
                caller = await call(chain.port, request())
                await caller.response()
                caller.transport.abort()
            await chain.close()
        writer.close()

    run = RunDir.create(folder / "run", {"epoch_unix_s": 1.7e9})
    run_virtual(main())
    return [span for span in run.spans() if isinstance(span, records.LayerRecord)]


def test_a_run_directory_holds_ordinary_exchanges_and_cut_ones(tmp_path: Path) -> None:
    """Both ways of writing end in one file, and each exchange stands there once."""
    spans = recorded(tmp_path, 10, 90, 20)

    took_s = sorted((round(span.end_s - span.start_s), span.cut is not None) for span in spans)

    assert took_s == [(10, False), (20, False), (60, True)]


def row() -> Row:
    """An ordinary exchange."""
    lineage = Lineage(TRACEPARENT)
    made = row_of(ordinary(lineage), lineage, 2.75)
    assert made is not None
    return made


def lines(run: RunDir) -> int:
    """How many spans the file holds by now."""
    return (run.path / SPANS).read_bytes().count(b"\n")


def test_rows_are_written_soon_without_a_further_exchange(tmp_path: Path) -> None:
    """The last exchange before a silence does not wait for the next one: a live reader sees it."""

    async def main() -> tuple[int, int]:
        run = RunDir.create(tmp_path / "run", {"epoch_unix_s": 1.7e9})
        writer = SpanWriter(run)
        take = writer.rows_of(Place("nginx", 1).form())
        take(row())
        take(row())
        at_once = lines(run)
        await asyncio.sleep(0.1)
        soon = lines(run)
        writer.close()
        return at_once, soon

    assert run_virtual(main()) == (0, 2)


def test_rows_that_came_before_the_end_are_in_the_file(tmp_path: Path) -> None:
    """Closing writes what is kept."""

    async def main() -> int:
        run = RunDir.create(tmp_path / "run", {"epoch_unix_s": 1.7e9})
        writer = SpanWriter(run)
        take = writer.rows_of(Place("nginx", 1).form())
        for _ in range(300):
            take(row())
        writer.close()
        return lines(run)

    assert run_virtual(main()) == 300


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_met_by_the_next_exchange(tmp_path: Path) -> None:
    """Rows are written by a timer, and there the error has no reader: the hop learns of it with the next row."""

    async def main() -> None:
        run = RunDir.create(tmp_path / "run", {"epoch_unix_s": 1.7e9})
        (run.path / SPANS).symlink_to("/dev/full")
        writer = SpanWriter(run)
        take = writer.rows_of(Place("nginx", 1).form())
        take(row())
        await asyncio.sleep(0.1)
        with pytest.raises(NoRoom):
            take(row())
        with pytest.raises(NoRoom):
            writer.close()

    run_virtual(main())
