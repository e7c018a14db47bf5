"""Bucket levels in a Redis, so that several processes share one quota. Needs the package `redis`."""

import os
import re
from collections.abc import Callable, Sequence

from redis.asyncio import Redis
from redis.exceptions import RedisError

from whocut_mock.buckets import Draw, Drawn, StoreGone
from whocut_mock.settings import without_password

# Redis runs a script alone, so no other draw comes between our reading and our writing. A process whose clock is
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


_GLOB, _ESCAPED = re.compile(r"[][*?^\\-]"), r"\\\g<0>"  # what SCAN would read as a pattern


class RedisStore:
    """Levels in a Redis, shared by everyone who names the same address and prefix."""

    def __init__(self, url: str, prefix: str, origin_s: Callable[[], float] = lambda: 0.0) -> None:
        url = os.path.expandvars(url)
        self._redis: Redis = Redis.from_url(url)
        self._script = self._redis.register_script(_SCRIPT)
        self._shown, self._prefix = without_password(url), prefix
        # Each process counts from its own start; a bucket they share must fill by a clock they share.
        self._origin_s = origin_s

    async def draw(self, draws: Sequence[Draw], now_s: float) -> Drawn:
        """Take from all of these buckets, or from none."""
        keys = [f"{self._prefix}{draw.bucket}" for draw in draws]
        numbers = [repr(self._origin_s() + now_s)]
        for draw in draws:
            numbers += [repr(draw.capacity), repr(draw.per_s), repr(draw.amount)]
        try:
            told = await self._script(keys=keys, args=numbers)
        except RedisError as error:
            # What the other side said stays out: it may be anything that listens there.
            problem = type(error).__name__
            raise StoreGone(f"the shared quota at {self._shown} cannot be reached: {problem}") from None
        granted, *levels = [float(text) for text in told]
        return Drawn(granted == 1, tuple(levels))

    async def clear(self) -> None:
        """Fill every bucket of this prefix."""
        async for key in self._redis.scan_iter(f"{_GLOB.sub(_ESCAPED, self._prefix)}*"):
            await self._redis.delete(key)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()
