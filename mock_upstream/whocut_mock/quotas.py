"""Who is let in: images and tokens per minute, how many at once, how quickly they come.

Figures and messages from the reference "OpenAI Images API", sections 4 and 5; the concurrency model is
calibrated to the article, section 4, which gives three points and no mechanism.
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from whocut_mock import errors
from whocut_mock.buckets import Draw, MemoryStore, Store, StoreGone
from whocut_mock.clock import ModelClock
from whocut_mock.dice import Dice
from whocut_mock.errors import ApiError
from whocut_mock.parameters import Order
from whocut_mock.settings import Quota


@dataclass(frozen=True, slots=True)
class Tier:
    """The limits of one usage tier."""

    images_per_min: int
    tokens_per_min: int


# Identical on the official pages of gpt-image-1, 1.5, 2 and 2.5; those of mini and 2.6 were not seen.
TIERS = {
    "free": Tier(0, 0),
    "1": Tier(5, 100_000),
    "2": Tier(20, 250_000),
    "3": Tier(50, 800_000),
    "4": Tier(150, 3_000_000),
    "5": Tier(250, 8_000_000),
}

# The chance that the n-th generation at once is refused. Three at once never are; of batches of five
# about one in seven meets a refusal ("occasional"), of batches of ten 99 in 100 ("nearly guaranteed").
ARTICLE_CONCURRENCY = (0.0, 0.0, 0.0, 0.05, 0.10, 0.20, 0.35, 0.50, 0.65, 0.80)
_BEYOND = 0.95
# "3 concurrent + 2s gap between batches: stable": a place is free again two seconds after its generation.
PLACE_FREE_AFTER_S = 2.0

_LIMIT_NAME = "gpt-image"  # one limit for the whole family, as the published message says


@dataclass
class Gate:
    """The state behind the quotas: levels, places taken, and the rule that reads them."""

    store: Store
    _ended_s: deque[float] = field(default_factory=deque)

    def ended(self, now_s: float) -> None:
        """A generation is over; its place is free a little later."""
        self._ended_s.append(now_s)
        self._forget(now_s)

    def places(self, running: int, now_s: float) -> int:
        """Places that are taken: by what runs and by what has just ended."""
        self._forget(now_s)
        return running + len(self._ended_s)

    def _forget(self, now_s: float) -> None:
        while self._ended_s and now_s - self._ended_s[0] >= PLACE_FREE_AFTER_S:
            self._ended_s.popleft()

    async def clear(self) -> None:
        """Everything is free again."""
        self._ended_s.clear()
        await self.store.clear()

    @staticmethod
    def stands_open(quota: Quota) -> bool:
        """Whether this quota limits nothing, so that no store need be asked."""
        limits = (quota.tier, quota.images_per_min, quota.tokens_per_min, quota.concurrency)
        return all(limit is None for limit in (*limits, quota.ramp, quota.overloaded_at))

    async def admit(self, request: "Request", quota: Quota) -> Mapping[str, str]:
        """Let the request in and return what headers may tell; raise the 429 or 503 it meets."""
        if quota.overloaded_at is not None and request.running >= quota.overloaded_at:
            raise errors.overloaded(errors.retry_headers(quota.overloaded_retry_s))
        self._check_places(request, quota)
        wanted = _wanted(request, quota)
        if not wanted:
            return {}
        drawn = await self.store.draw([one.draw for one in wanted], request.now_s)
        if not drawn.granted:
            raise _refusal(wanted, drawn.levels, request)
        return _rate_headers(wanted, drawn.levels) if quota.headers_on_success else {}

    def _check_places(self, request: "Request", quota: Quota) -> None:
        if quota.concurrency is None:
            return
        place = self.places(request.running, request.now_s)
        chances = ARTICLE_CONCURRENCY if quota.concurrency == "article" else (0.0,) * quota.concurrency
        beyond = _BEYOND if quota.concurrency == "article" else 1.0
        chance = chances[place] if place < len(chances) else beyond
        if request.dice.fraction("concurrency") < chance:
            raise errors.too_many_at_once(
                request.order.model_name,
                request.organization,
                used=place,
                headers=errors.retry_headers(PLACE_FREE_AFTER_S),
            )


@dataclass(frozen=True, slots=True)
class Request:
    """What the gate wants to know of a request."""

    order: Order
    tokens: int
    dice: Dice
    organization: str
    account: str
    running: int
    now_s: float


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One draw, and the wording of its refusal."""

    kind: str
    draw: Draw
    limit: int


def _wanted(request: Request, quota: Quota) -> list[_Wanted]:
    tier = TIERS.get(quota.tier or "")
    images, tokens = quota.images_per_min, quota.tokens_per_min
    if tier is not None:
        images = tier.images_per_min if images is None else images
        tokens = tier.tokens_per_min if tokens is None else tokens
    wanted = []
    if images is not None:
        amount = request.order.n + quota.images_per_reference * request.order.references
        wanted.append(_per_minute("images", request.account, images, amount))
    if tokens is not None:
        wanted.append(_per_minute("tokens", request.account, tokens, request.tokens))
    if quota.ramp is not None:
        draw = Draw(f"{request.account}/ramp", quota.ramp.burst, quota.ramp.per_s, 1)
        wanted.append(_Wanted("ramp", draw, quota.ramp.burst))
    return wanted


def _per_minute(kind: str, account: str, limit: int, amount: float) -> _Wanted:
    return _Wanted(kind, Draw(f"{account}/{_LIMIT_NAME}/{kind}", limit, limit / 60, amount), limit)


def _refusal(wanted: Sequence[_Wanted], levels: Sequence[float], request: Request) -> ApiError:
    """The refusal by the bucket that makes the caller wait longest."""
    waits = [
        (_wait_s(one, level), index) for index, (one, level) in enumerate(zip(wanted, levels, strict=True))
    ]
    wait_s, index = max(waits)
    one, level = wanted[index], levels[index]
    if one.draw.amount > one.draw.capacity > 0 and one.kind != "ramp":
        return errors.never_fits(
            one.kind,
            model=request.order.model_name,
            limit_name=_LIMIT_NAME,
            organization=request.organization,
            limit=one.limit,
            requested=math.ceil(one.draw.amount),
        )
    headers = {**errors.retry_headers(wait_s), **_rate_headers(wanted, levels)}
    if one.kind == "ramp":
        return errors.slow_down(headers)
    return errors.rate_limited(
        one.kind,
        model=request.order.model_name,
        limit_name=_LIMIT_NAME,
        organization=request.organization,
        limit=one.limit,
        used=math.ceil(one.limit - level),
        requested=math.ceil(one.draw.amount),
        again=duration(wait_s),
        headers=headers,
    )


def _wait_s(one: _Wanted, level: float) -> float:
    missing = one.draw.amount - level
    if missing <= 0:
        return 0.0
    if one.draw.amount > one.draw.capacity > 0:
        return math.inf  # more than it ever holds
    return missing / one.draw.per_s if one.draw.per_s else 60.0  # a limit of zero never refills


def _rate_headers(wanted: Sequence[_Wanted], levels: Sequence[float]) -> dict[str, str]:
    headers = {}
    for one, level in zip(wanted, levels, strict=True):
        if one.kind == "ramp":
            continue
        full_s = (one.draw.capacity - level) / one.draw.per_s if one.draw.per_s else 60.0
        for name in ("images", "input-images") if one.kind == "images" else ("tokens",):
            headers[f"x-ratelimit-limit-{name}"] = str(one.limit)
            headers[f"x-ratelimit-remaining-{name}"] = str(max(0, math.floor(level)))
            headers[f"x-ratelimit-reset-{name}"] = duration(full_s)
    return headers


def duration(seconds: float) -> str:
    """As the API writes it: `534ms`, `12s`, `58.891s`, `1m3s`."""
    millis = max(1, math.ceil(seconds * 1000))
    if millis < 1000:
        return f"{millis}ms"
    minutes, millis = divmod(millis, 60_000)
    rest = f"{millis / 1000:g}s"
    return f"{minutes}m{rest}" if minutes else rest


def make_store(quota: Quota, clock: ModelClock) -> Store:
    """Where the levels of this quota are kept; shared ones are timed by the clock that all processes share."""
    if quota.redis is None:
        return MemoryStore()
    try:
        from whocut_mock.redis_store import RedisStore  # noqa: PLC0415 - only who shares a quota needs redis
    except ImportError as error:
        raise StoreGone("a shared quota needs the package redis: pip install redis") from error
    if quota.redis_time == "run":
        return RedisStore(quota.redis, quota.redis_prefix)
    return RedisStore(quota.redis, quota.redis_prefix, clock.origin_on_machine_s)
