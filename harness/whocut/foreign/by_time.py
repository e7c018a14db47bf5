"""Rows without a name, joined by time: the same join as `verdict.joining`, in one pass over each layer's rows.

An attempt is the row that began it. A layer's rows come in the order of their beginnings. Beside them come the
attempts that still lack the layer, each in the order of its own instant, and only those near are in memory.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from whocut.foreign.rows import fetched
from whocut.verdict.joining import CLOCKS_APART_S, Instants, alike

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from whocut.foreign.rows import Rows

_BEHIND: Final = 20_000  # attempts too early for all that follows that are kept before they are let go
_START: Final = "end_s - coalesce(duration_s, 0)"
_PATH: Final = "case when path <> '' then split_part(path, '?', 1) end"
_UNNAMED: Final = "trace is null and request is null"
# An attempt's place among others of the same instant: those with a name first, then by what began them.
_RANK: Final = f"(trace is null and request is null), position, coalesce({_START}, 0), file, line"


def join_by_time(rows: Rows, positions: list[int], folder: Path) -> None:
    """Fill the table `joined`: each row, the row that began its attempt, and whether others fitted as well.

    Rows of one name are one attempt; a name is that of one attempt, and has one row a layer.
    """
    run = rows.sql.execute
    run("create table joined(number bigint, attempt bigint, ambiguous boolean)")
    run(
        "insert into joined with named as (select coalesce(trace, chr(1) || request) as name, number, position "
        f"from rows where not ({_UNNAMED})), "
        "firsts as (select name, arg_min(number, position) as attempt from named group by name) "
        "select number, attempt, false from named join firsts using (name)"
    )
    for position in positions:
        if run("select 1 from joined limit 1").fetchone() is None:
            run(
                "insert into joined select number, number, false from rows "
                f"where position = {position} and {_UNNAMED}"
            )
            continue
        told = folder / "joined.csv"
        _Layer(rows, position).join_into(told)
        literal = str(told).replace("'", "''")
        run(
            f"insert into joined select * from read_csv('{literal}', header = false, auto_detect = false, "
            "columns = {'number': 'bigint', 'attempt': 'bigint', 'ambiguous': 'boolean'})"
        )
        told.unlink()


class _Layer:
    """One layer's rows, and the attempts that lack it."""

    def __init__(self, rows: Rows, position: int) -> None:
        self._rows, self._position = rows, position
        last = rows.sql.execute("select max(number) from rows").fetchone()
        self._gone = bytearray((last[0] if last else 0) + 1)
        self._widest_s = 2 * CLOCKS_APART_S + max(one.coarse_s for one in rows.meanings)

    def join_into(self, path: Path) -> None:
        """Write a line for each row: its number, the number of the row that began its attempt, ambiguous or not."""
        starts = _Near(self._lacking(_START, "and duration_s is not null"), self._gone, self._widest_s)
        ends = _Near(self._lacking("end_s", ""), self._gone, self._widest_s)
        coarse_s = [one.coarse_s for one in self._rows.meanings]
        rows = self._fetch(
            f"select number, {_START}, duration_s is not null, meaning, {_PATH}, status from rows "
            f"where position = {self._position} and {_UNNAMED} order by coalesce({_START}, 0), file, line"
        )
        with path.open("w") as file:
            for number, at_s, has_start, meaning, bare, status in rows:
                # Without a duration it begins where it ends.
                near = starts if has_start else ends
                fits = near.fitting(at_s, coarse_s[meaning], bare, status) if at_s is not None else []
                if fits:
                    self._gone[fits[0]] = 1
                attempt = fits[0] if fits else number
                file.write(f"{number},{attempt},{'true' if len(fits) > 1 else 'false'}\n")

    def _lacking(self, at: str, where: str) -> Iterator[tuple[Any, ...]]:
        """Attempts without a row of this layer, by one of their instants."""
        return self._fetch(
            f"select number, {at}, {_PATH}, status from rows join joined using (number) "
            "anti join (select attempt as number from joined join rows using (number) "
            f"where position = {self._position}) as having_it using (number) "
            f"where number = attempt and end_s is not null {where} order by {at}, {_RANK}"
        )

    def _fetch(self, query: str) -> Iterator[tuple[Any, ...]]:
        yield from fetched(self._rows.sql.cursor().execute(query))


class _Near:
    """Attempts in the order of one of their instants, as far as they have been reached."""

    def __init__(self, attempts: Iterator[tuple[Any, ...]], gone: bytearray, widest_s: float) -> None:
        self._coming, self._is_gone, self._widest_s = attempts, gone, widest_s
        self._kept: list[tuple[Any, ...]] = []
        self._instants = self._begun()
        self._next: tuple[Any, ...] | None = ()

    def _begun(self) -> Instants:
        kept, gone = self._kept, self._is_gone
        return Instants((one[1] for one in kept), lambda place: gone[kept[place][0]] == 1)

    def fitting(self, at_s: float, coarse_s: float, path: str | None, status: int | None) -> list[int]:
        """The nearest that fits, and another if any. Each instant asked for is not before the last."""
        self._reach(at_s)
        kept = self._kept
        found = (
            kept[place][0]
            for place in self._instants.near(at_s, CLOCKS_APART_S + coarse_s)
            if alike(path, status, kept[place][2], kept[place][3])
        )
        return list(islice(found, 2))

    def _reach(self, at_s: float) -> None:
        """Have in memory what is near this instant."""
        if self._next == ():
            self._next = next(self._coming, None)
        first_s, last_s = at_s - self._widest_s, at_s + self._widest_s
        while self._next is not None and self._next[1] <= last_s:
            if self._next[1] >= first_s and not self._is_gone[self._next[0]]:
                self._kept.append(self._next)
                self._instants.put(self._next[1])
            self._next = next(self._coming, None)
        if len(self._kept) > _BEHIND and self._kept[_BEHIND][1] < first_s:
            self._kept = [one for one in self._kept if one[1] >= first_s and not self._is_gone[one[0]]]
            self._instants = self._begun()
