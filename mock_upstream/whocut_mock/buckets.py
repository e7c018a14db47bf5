"""Continuously refilling buckets, and where their levels are kept: here in memory.

All the buckets of one request are asked at once and emptied all together or not at all. The time comes
from the caller, in model seconds. The `limits` package was weighed for this: of its strategies (fixed,
moving and sliding windows) none refills continuously. All of them read the wall's clock, so no scaled and no
virtual time is possible.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Draw:
    """What one request wants of one bucket."""

    bucket: str
    capacity: float
    per_s: float
    amount: float


@dataclass(frozen=True, slots=True)
class Drawn:
    """Whether everything was there, and what each bucket held: after the draw, or unchanged without one."""

    granted: bool
    levels: tuple[float, ...]


class StoreGone(Exception):  # noqa: N818 - it says what is the case
    """The shared store cannot be reached; the text says where."""


class Store(Protocol):
    """Where the levels are kept."""

    async def draw(self, draws: Sequence[Draw], now_s: float) -> Drawn:
        """Take from all of these buckets, or from none."""

    async def clear(self) -> None:
        """Fill every bucket."""

    async def close(self) -> None:
        """Let go of what the store holds open."""


@dataclass
class MemoryStore:
    """Levels in this process."""

    _levels: dict[str, tuple[float, float]] = field(default_factory=dict)

    async def draw(self, draws: Sequence[Draw], now_s: float) -> Drawn:
        """Take from all of these buckets, or from none."""
        levels = [self._level(draw, now_s) for draw in draws]
        granted = all(level >= draw.amount for level, draw in zip(levels, draws, strict=True))
        if granted:
            levels = [level - draw.amount for level, draw in zip(levels, draws, strict=True)]
            for level, draw in zip(levels, draws, strict=True):
                self._levels[draw.bucket] = (level, now_s)
        return Drawn(granted, tuple(levels))

    async def clear(self) -> None:
        """Fill every bucket."""
        self._levels.clear()

    async def close(self) -> None:
        """Nothing is held open."""

    def _level(self, draw: Draw, now_s: float) -> float:
        level, then_s = self._levels.get(draw.bucket, (draw.capacity, now_s))
        return min(draw.capacity, level + max(0.0, now_s - then_s) * draw.per_s)
