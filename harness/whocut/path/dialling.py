"""A connection that is being made, for a user who may lose interest in it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

from whocut.path.fallen import is_ours

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from whocut.path.sides import House

C = TypeVar("C")


class Dial(Generic[C]):
    """Begins at once, or after some real seconds, and calls one of three: `made`, `refused`, or `failed`.

    The last is for faults of ours, or of a machine that has no room. The house hears of them first, since nothing
    awaits the task.
    """

    __slots__ = ("_after_real_s", "_dial", "_failed", "_house", "_made", "_refused", "_task")

    def __init__(
        self,
        house: House,
        dial: Callable[[], Awaitable[C]],
        made: Callable[[C], None],
        refused: Callable[[OSError], None],
        failed: Callable[[Exception], None],
        after_real_s: float = 0.0,
    ) -> None:
        self._house = house
        self._dial = dial
        self._made = made
        self._refused = refused
        self._failed = failed
        self._after_real_s = after_real_s
        self._task = house.loop.create_task(self._run())

    async def _run(self) -> None:
        try:
            if self._after_real_s:
                await asyncio.sleep(self._after_real_s)
            try:
                connection = await self._dial()
            except OSError as error:
                if is_ours(error):
                    raise
                self._refused(error)
            else:
                self._made(connection)
        except Exception as error:  # noqa: BLE001  # told: nothing awaits this task
            self._house.fail(error)
            self._failed(error)

    def cancel(self) -> None:
        """The connection is no longer wanted."""
        self._task.cancel()
