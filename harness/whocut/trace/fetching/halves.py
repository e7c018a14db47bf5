"""Paging where a backend has none: a time whose answer is full is asked again in two halves, the newer first."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

_Row = TypeVar("_Row")


async def in_halves(
    since_ns: int,
    until_ns: int,
    ask: Callable[[int, int], Awaitable[Sequence[_Row]]],
    *,
    page: int,
    least_ns: int,
) -> AsyncIterator[Sequence[_Row]]:
    """Answers until none is full, or the time is too short to be halved; a row may come again."""
    still = [(since_ns, until_ns)]
    while still:
        begin, end = still.pop()
        rows = await ask(begin, end)
        yield rows
        middle = begin + (end - begin) // 2 // least_ns * least_ns
        if len(rows) >= page and begin < middle < end:
            still += [(begin, middle), (middle, end)]
