"""Continuously refilling buckets, in memory or shared by several processes through Redis.

All the buckets of one request are asked at once and emptied all together or not at all. The time comes
from the caller, in model seconds. The `limits` package was weighed for this: of its strategies (fixed,
moving and sliding windows) none refills continuously, and all read the wall's clock, so no scaled and no
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


# Redis runs a script alone, so nobody draws between our reading and our writing. A process whose clock is
# a little behind cannot turn time back: the later instant stays.
_SCRIPT = """
local now = tonumber(ARGV[1])
local levels, granted = {}, 1
for i, key in ipairs(KEYS) do
  local capacity, per_s = tonumber(ARGV[i * 3 - 1]), tonumber(ARGV[i * 3])
  local kept = redis.call('HMGET', key, 'level', 'at')
  local level, at = tonumber(kept[1] or capacity), tonumber(kept[2] or now)
  levels[i] = math.min(capacity, level + math.max(0, now - at) * per_s)
  if levels[i] < tonumber(ARGV[i * 3 + 1]) then granted = 0 end
  if at > now then now = at end
end
local told = {tostring(granted)}
for i, key in ipairs(KEYS) do
  if granted == 1 then
    levels[i] = levels[i] - tonumber(ARGV[i * 3 + 1])
    redis.call('HSET', key, 'level', string.format('%.17g', levels[i]), 'at', string.format('%.17g', now))
  end
  told[i + 1] = string.format('%.17g', levels[i])
end
return told
"""


class RedisStore:
    """Levels in a Redis, shared by everyone who names the same address and prefix."""

    def __init__(self, url: str, prefix: str) -> None:
        try:
            from redis.asyncio import Redis  # noqa: PLC0415 - an extra: most mocks keep their levels in memory
            from redis.exceptions import RedisError  # noqa: PLC0415 - as above
        except ImportError:
            raise ValueError("a shared quota needs the redis package: pip install 'whocut[redis]'") from None
        self._unreachable = RedisError
        self._redis: Redis = Redis.from_url(url)
        self._script = self._redis.register_script(_SCRIPT)
        self._url, self._prefix = url, prefix

    async def draw(self, draws: Sequence[Draw], now_s: float) -> Drawn:
        """Take from all of these buckets, or from none."""
        keys = [f"{self._prefix}{draw.bucket}" for draw in draws]
        numbers = [repr(now_s)]
        for draw in draws:
            numbers += [repr(draw.capacity), repr(draw.per_s), repr(draw.amount)]
        try:
            told = await self._script(keys=keys, args=numbers)
        except self._unreachable as error:
            raise StoreGone(f"the shared quota at {self._url} cannot be reached: {error}") from error
        granted, *levels = [float(text) for text in told]
        return Drawn(granted == 1, tuple(levels))

    async def clear(self) -> None:
        """Fill every bucket of this prefix."""
        async for key in self._redis.scan_iter(f"{self._prefix}*"):
            await self._redis.delete(key)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()
