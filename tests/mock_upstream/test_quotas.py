"""Quotas: refilling buckets with the tiers' figures, the concurrency model, and what a 429 says."""

import asyncio
from typing import Any

import pytest

from tests.mock_upstream.stage import MINIMAL, Answer, Stage, on_stage
from tests.mock_upstream.virtual_time import run_virtual
from whocut_mock import Settings
from whocut_mock.buckets import Draw, MemoryStore
from whocut_mock.quotas import TIERS, duration


def settings(**quota: Any) -> Settings:
    """Settings with this quota and generations of 100 s."""
    return Settings.model_validate({"latency": {"constant_s": 100.0}, "quota": quota})


async def burst(stage: Stage, count: int, **fields: Any) -> list[Answer]:
    """So many different requests at once."""
    bodies = ({**MINIMAL, "prompt": f"cat {number}", **fields} for number in range(count))
    return list(await asyncio.gather(*(stage.post(body) for body in bodies)))


def test_tier_one_takes_five_and_says_when() -> None:
    """The sixth image of a minute meets the published message, and is let in when it says."""

    async def play(stage: Stage) -> None:
        answers = await burst(stage, 6)

        [refused] = [answer for answer in answers if answer.status == 429]
        assert refused.error == {
            "message": (
                "Rate limit reached for gpt-image-2 (for limit gpt-image) in organization org-mock on"
                " input-images per min: Limit 5, Used 5, Requested 1. Please try again in 12s."
            ),
            "type": "input-images",
            "param": None,
            "code": "rate_limit_exceeded",
        }
        assert (refused.headers["retry-after"], refused.headers["retry-after-ms"]) == ("12", "12000")
        assert refused.headers["x-ratelimit-limit-images"] == "5"
        assert refused.headers["x-ratelimit-remaining-images"] == "0"
        assert refused.headers["x-ratelimit-reset-images"] == "1m0s"

    on_stage(play, settings(tier="1"))


def test_bucket_refills_continuously() -> None:
    """After the seconds that the refusal names, one more is let in, and not one more than that."""

    async def play() -> None:
        store = MemoryStore()

        async def draw(now_s: float, amount: float = 1) -> bool:
            return (await store.draw([Draw("images", 5, 5 / 60, amount)], now_s)).granted

        assert [await draw(0) for _ in range(6)] == [True] * 5 + [False]
        assert [await draw(11.99), await draw(12.0), await draw(12.0)] == [False, True, False]
        assert [await draw(72.0, 5), await draw(72.0, 0.5)] == [True, False]

    run_virtual(play())


def test_all_buckets_or_none() -> None:
    """A request refused by one bucket takes nothing out of the others."""

    async def play() -> None:
        store = MemoryStore()
        images, tokens = Draw("images", 5, 1, 1), Draw("tokens", 100, 1, 200)

        drawn = await store.draw([images, tokens], 0.0)

        assert (drawn.granted, drawn.levels) == (False, (5, 100))

    run_virtual(play())


def test_n_counts_n() -> None:
    """One request for four images takes four."""

    async def play(stage: Stage) -> None:
        answers = [*await burst(stage, 1, n=4), *await burst(stage, 1, n=2)]

        assert [answer.status for answer in answers] == [200, 200]  # 100 s later the bucket is full again

        first, second = await asyncio.gather(
            stage.post({**MINIMAL, "n": 4, "prompt": "a"}), stage.post({**MINIMAL, "n": 4, "prompt": "b"})
        )
        assert sorted([first.status, second.status]) == [200, 429]
        refused = first if first.status == 429 else second
        assert "Limit 5, Used 4, Requested 4. Please try again in 36s." in refused.error["message"]

    on_stage(play, settings(tier="1"))


def test_tokens_per_minute() -> None:
    """Tokens have a bucket and a message of their own."""

    async def play(stage: Stage) -> None:
        answers = await burst(stage, 3, quality="high")

        [refused] = [answer for answer in answers if answer.status == 429]
        assert refused.error["type"] == "tokens"
        assert "on tokens per min (TPM): Limit 15000, Used 140" in refused.error["message"]
        assert refused.headers["x-ratelimit-limit-tokens"] == "15000"

    on_stage(play, settings(tokens_per_min=15_000))


@pytest.mark.parametrize(
    ("limits", "fields", "said"),
    [
        (
            {"tier": "1"},
            {"n": 6},
            "on input-images per min: Limit 5, Requested 6. The number of images must be",
        ),
        (
            {"tokens_per_min": 9000},
            {"n": 9},
            "on tokens per min (TPM): Limit 9000, Requested 15813. The input",
        ),
    ],
)
def test_more_than_the_bucket_holds_names_no_wait(
    limits: dict[str, Any], fields: dict[str, Any], said: str
) -> None:
    """No wait would ever help such a request, so its 429 tells none."""

    async def play(stage: Stage) -> None:
        answer = await stage.post({**MINIMAL, **fields})

        assert answer.status == 429
        assert said in answer.error["message"]
        assert "try again" not in answer.error["message"]
        assert "retry-after" not in answer.headers

    on_stage(play, settings(**limits))


def test_free_tier_lets_nobody_in() -> None:
    """A limit of nought refuses everything, as the published message of one does."""

    async def play(stage: Stage) -> None:
        answer = await stage.post(MINIMAL)

        assert "Limit 0, Used 0, Requested 1" in answer.error["message"]

    on_stage(play, settings(tier="free"))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (12, "12s"),
        (0.24, "240ms"),
        (0.0151, "16ms"),
        (0.0, "1ms"),
        (58.891, "58.891s"),
        (63, "1m3s"),
        (60, "1m0s"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    """Durations are written as the API writes them."""
    assert duration(seconds) == text


@pytest.mark.parametrize(("limit", "again_s"), [(5, 12.0), (250, 0.24), (4000, 0.015)])
def test_again_is_a_minute_by_the_limit(limit: int, again_s: float) -> None:
    """The published pairs of limit and waiting time come out of a continuously refilling bucket."""

    async def play() -> float:
        store = MemoryStore()
        draw = Draw("images", limit, limit / 60, 1)
        await store.draw([Draw("images", limit, limit / 60, limit)], 0.0)
        drawn = await store.draw([draw], 0.0)
        return (1 - drawn.levels[0]) / draw.per_s

    assert run_virtual(play()) == pytest.approx(again_s)


def test_tiers_are_the_published_ones() -> None:
    """Images per minute of the tiers 1 to 5."""
    assert [TIERS[name].images_per_min for name in "12345"] == [5, 20, 50, 150, 250]


async def refused_batches(stage: Stage, width: int, batches: int, gap_s: float) -> int:
    """How many of so many batches met a 429."""
    met = 0
    for batch in range(batches):
        bodies = ({**MINIMAL, "prompt": f"{width} {batch} {number}", "n": 1} for number in range(width))
        answers = await asyncio.gather(*(stage.post(body) for body in bodies))
        met += any(answer.status == 429 for answer in answers)
        await stage.running.upstream.clock.sleep_s(gap_s)
    return met


@pytest.mark.parametrize(("width", "at_least", "at_most"), [(3, 0.0, 0.0), (5, 0.02, 0.35), (10, 0.9, 1.0)])
def test_concurrency_of_the_article(width: int, at_least: float, at_most: float) -> None:
    """Three at once with a gap of two seconds never, five now and then, ten nearly always."""
    batches = 40

    async def play(stage: Stage) -> None:
        met = await refused_batches(stage, width, batches, gap_s=2.0)

        assert at_least <= met / batches <= at_most

    tiny = {"latency": {"constant_s": 100.0}, "quota": {"concurrency": "article"}}
    on_stage(play, Settings.model_validate({**tiny, "seed": 3}))


def test_an_orphan_keeps_its_place() -> None:
    """A generation whose caller has gone still counts: who retries at once primes himself for a 429."""

    async def play(stage: Stage) -> None:
        for number in range(2):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(10):
                    await stage.post({**MINIMAL, "prompt": str(number)})

        answer = await stage.post(MINIMAL)

        assert (answer.status, answer.headers["retry-after"]) == (429, "2")

    on_stage(play, settings(concurrency=2))


def test_slow_down_and_overloaded() -> None:
    """A ramp that is too steep is `slow_down`; too much work at once is a 503."""

    async def steep(stage: Stage) -> None:
        answers = await burst(stage, 4)
        [refused] = [answer for answer in answers if answer.status == 429]
        assert (refused.error["type"], refused.error["code"]) == ("rate_limit_error", "slow_down")
        assert refused.headers["retry-after"] == "1"

    async def full(stage: Stage) -> None:
        answers = await burst(stage, 3)
        [refused] = [answer for answer in answers if answer.status == 503]
        assert refused.error["code"] == "server_is_overloaded"
        assert refused.error["type"] == "service_unavailable_error"

    on_stage(steep, settings(ramp={"burst": 3, "per_s": 2.0}))
    on_stage(full, settings(overloaded_at=2))


def test_quota_per_key() -> None:
    """Keys may have a quota each."""

    async def play(stage: Stage) -> None:
        answers = await asyncio.gather(
            *(stage.post(MINIMAL, Authorization=f"Bearer sk-{number}") for number in range(2))
        )

        assert [answer.status for answer in answers] == [200, 200]

    on_stage(play, settings(images_per_min=1, per="key"))
