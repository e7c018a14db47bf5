"""Error lines laid over the rows of their requests, as `told_together` lays them over accounts in memory.

A remark is held against the rows that share a key with it and were under way then. Only those rows are fetched, and
the function that decides is the one that decides in memory.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from whocut.foreign.rows import KEYS_APART, Place
from whocut.trace.logs.reading import FROM_BEGIN_S, Lines, explained, merged, tries_together
from whocut.trace.logs.records import EndedBy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whocut.foreign.rows import Rows
    from whocut.trace.logs.records import Account

_AT_ONCE: Final = 2_000  # remarks
_MOST_ROWS: Final = 100_000  # that are fetched for them
_EARLIER_S: Final = 3.0  # before a remark, and an account of that end is never its
_LATER_S: Final = 10.0  # as much again behind the longest duration


def lay_over(rows: Rows, position: int, remarks: list[Account], unjoined: list[Account]) -> None:
    """Lay one layer's remarks over its rows. Where it has no rows, they are its requests."""
    if not remarks:
        return
    found = rows.sql.execute(
        "select count(*), max(duration_s) from rows where position = $1", [position]
    ).fetchone()
    assert found is not None
    if not found[0]:
        for account in tries_together(remarks):
            rows.add(position, [(Place(-1, len(rows.whole)), account)])
            rows.whole.append(account)
        return
    layer = remarks[0].layer
    of_layer = (told for told in rows.meanings if told.layer == layer)
    remarks = [remark for remark, _ in merged(remarks, of_layer)]
    belong: dict[Place, list[int]] = {}
    alone: list[int] = []
    meanings: dict[Place, int] = {}
    order = sorted(range(len(remarks)), key=lambda at: remarks[at].end_s or 0.0)
    for batch, known in _batches(rows, position, remarks, order, found[1] or 0.0):
        lines = Lines([account for _, _, account in known])
        for at in batch:
            index = lines.belongs_to(remarks[at])
            if index is None:
                alone.append(at)
                continue
            place, meaning, _ = known[index]
            belong.setdefault(place, []).append(at)
            meanings[place] = meaning
    changed: dict[tuple[object, ...], int] = {}
    updates = []
    for place, ats in belong.items():
        said = [remarks[at] for at in sorted(ats)]
        kind = (meanings[place], *(rows.meaning_of(one) for one in said))
        if kind not in changed:
            account = rows.meanings[meanings[place]]
            for one in said:
                account = explained(account, one)
            changed[kind] = rows.meaning_of(account)
        rows.explained[place] = said
        updates.append((place, changed[kind]))
    rows.change(updates)
    if alone:
        unjoined += [remarks[at] for at in sorted(alone)]
        return
    # The error log was given, and what it does not speak of went through whole.
    rows.explained_layers.add(layer)
    for number, told in enumerate(rows.meanings):
        if told.layer == layer and told.ended_by is EndedBy.NONE:
            rows.meanings[number] = replace(told, caveat="")


def _batches(
    rows: Rows, position: int, remarks: list[Account], order: list[int], longest_s: float
) -> Iterator[tuple[list[int], list[tuple[Place, int, Account]]]]:
    """Remarks that are near to each other in time, each time with all the rows that they may belong to."""
    at_begin = any(told.at_begin for told in rows.meanings if told.layer == remarks[0].layer)
    earlier_s = FROM_BEGIN_S + _EARLIER_S if at_begin else _EARLIER_S
    waiting = [order[at : at + _AT_ONCE] for at in range(0, len(order), _AT_ONCE)][::-1]
    while waiting:
        batch = waiting.pop()
        said = [remarks[at] for at in batch]
        where, values = _near(position, said, longest_s, earlier_s)
        counted = rows.sql.execute(f"select count(*) from rows where {where}", values).fetchone()
        if counted and counted[0] > _MOST_ROWS and len(batch) > 1:
            middle = len(batch) // 2
            waiting += [batch[middle:], batch[:middle]]
            continue
        fetched = rows.sql.execute(
            "select file, line, meaning, status, end_s, duration_s, trace, request, path, key from rows "
            f"where {where} order by file, line",
            values,
        ).fetchall()
        yield batch, [(Place(row[0], row[1]), row[2], account_of(rows, row)) for row in fetched]


def _near(position: int, said: list[Account], longest_s: float, earlier_s: float) -> tuple[str, list[Any]]:
    where = "position = $1"
    values: list[Any] = [position]
    if all(one.end_s is not None for one in said):
        ends = [one.end_s for one in said if one.end_s is not None]
        where += " and (end_s is null or end_s between $2 and $3)"
        values += [min(ends) - earlier_s, max(ends) + longest_s + _LATER_S]
    if all(one.keys for one in said):
        keys = sorted({key for one in said for key in one.keys})
        where += (
            f" and list_has_any(string_split(key, chr({ord(KEYS_APART)})), ${len(values) + 1}::varchar[])"
        )
        values.append(keys)
    return where, values


def account_of(rows: Rows, row: tuple[Any, ...]) -> Account:
    """A row as the account that it was made of, but for the words that name its own instants."""
    file, line, meaning, status, end_s, duration_s, trace, request, path, key = row
    like: Account = rows.meanings[meaning]
    return replace(
        like,
        status=status,
        end_s=end_s,
        duration_s=duration_s,
        trace_id=trace,
        request_id=request,
        path=path,
        keys=tuple(key.split(KEYS_APART)) if key else (),
        place=rows.place_of(Place(file, line)),
        parent_id=None,
    )
