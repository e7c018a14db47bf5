"""By how much a loop comes too late: nothing on it is punctual while it is blocked."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from whocut.clock.clock import wall_s

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_BEAT_REAL_S = 0.02


class Pulse:
    """Beats on a loop; a beat that comes too late is late by what everything else there is."""

    def __init__(self) -> None:
        self.worst_stall_real_s = 0.0

    @asynccontextmanager
    async def felt(self) -> AsyncIterator[None]:
        """Beat as long as this lasts."""
        beating = asyncio.ensure_future(self._beat())
        try:
            yield
        finally:
            beating.cancel()
            with suppress(asyncio.CancelledError):
                await beating

    async def _beat(self) -> None:
        while True:
            before_s = wall_s()
            await asyncio.sleep(_BEAT_REAL_S)
            self.worst_stall_real_s = max(self.worst_stall_real_s, wall_s() - before_s - _BEAT_REAL_S)
