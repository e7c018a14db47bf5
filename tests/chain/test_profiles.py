"""The harness and the upstream know the same figures; nobody imports them from the other."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

from whocut.chain import profiles
from whocut.chain.layers import Upstream
from whocut.chain.prices import usd
from whocut.chain.profiles import ARTICLE, OBSERVED, SIGMA, parse_profile, profile_of
from whocut.errors import BadFile, BadInput
from whocut_mock import latency, usage
from whocut_mock.dice import Dice
from whocut_mock.models import MODELS
from whocut_mock.parameters import GENERATIONS, Order
from whocut_mock.settings import Latency

if TYPE_CHECKING:
    from pathlib import Path

PUBLISHED = [
    (model, size, quality)
    for model, known in MODELS.items()
    for size in ("1024x1024", "1536x1024", "1024x1536")
    for quality in known.qualities
]


def order(
    model: str = "gpt-image-2", size: str = "1024x1024", quality: str = "high", partials: int = 0
) -> Order:
    """An order as the upstream resolves it."""
    width, height = (int(edge) for edge in size.split("x"))
    return Order(
        endpoint=GENERATIONS,
        model=MODELS[model],
        model_name=model,
        prompt="x" * 40,
        size=(width, height),
        quality=quality,
        stream=bool(partials),
        partial_images=partials,
    )


@pytest.mark.parametrize(("model", "size", "quality"), PUBLISHED)
@pytest.mark.parametrize("partials", [0, 3])
def test_prices_are_the_upstream_s(model: str, size: str, quality: str, partials: int) -> None:
    """Parity: the bill of one image, to the nano-dollar."""
    width, height = (int(edge) for edge in size.split("x"))
    billed = usage.usage_of(
        MODELS[model],
        prompt="x" * 40,
        quality=quality,
        size=(width, height),
        n=1,
        partial_images=partials,
    )

    assert usd(model, size, quality, partials=partials) == pytest.approx(billed.usd, abs=2e-9)


@pytest.mark.parametrize(("model", "size", "quality"), PUBLISHED)
def test_medians_are_the_upstream_s(model: str, size: str, quality: str) -> None:
    """Parity: the article's figures where there are any, and the same rule through them elsewhere."""
    wanted = order(model, size, quality)
    dice = Dice(b"parity")
    drawn = latency.plan(wanted, Latency(), dice)

    profile = profile_of(Upstream(model=model, size=size, quality=quality))

    expected_s = profile.median_s * math.exp(profile.sigma * dice.normal("duration"))
    assert drawn.duration_s == pytest.approx(expected_s, rel=1e-6)


def test_the_article_s_rows_are_the_upstream_s() -> None:
    """Parity: four medians, one p95, one borrowed spread."""
    theirs = {(row.median_s, row.p95_s, row.size, row.quality) for row in latency.ARTICLE}

    ours = {(profile.median_s, profile.p95_s, profile.size, profile.quality) for profile in ARTICLE.values()}

    assert ours == theirs
    assert SIGMA == latency.SIGMA


@pytest.mark.parametrize("partials", [0, 1, 2, 3])
@pytest.mark.parametrize("law", ["article", "observed-2026"])
def test_partial_images_come_when_the_upstream_s_do(partials: int, law: str) -> None:
    """Parity: fractions where observed; else the first between 5 and 15 s and the others evenly after it."""
    written = "1024-high@observed-2026" if law == "observed-2026" else "1024-high"
    profile = parse_profile(written, Upstream())
    drawn = latency.plan(order(partials=partials), Latency.model_validate({"partials": law}), Dice(b"parity"))

    (ours,) = profile.emissions_s([drawn.duration_s], partials, [0.3])

    first_s = ours[0]
    spread = [first_s + (drawn.duration_s - first_s) * i / partials for i in range(partials)]
    if law == "observed-2026":
        spread = [drawn.duration_s * part for part in OBSERVED[:partials]]
        assert list(drawn.partials_s) == pytest.approx(spread)
    elif partials:
        assert 5 <= first_s <= 15
        assert 5 <= drawn.partials_s[0] <= 15
        assert np.diff([*drawn.partials_s, drawn.duration_s]) == pytest.approx(
            [(drawn.duration_s - drawn.partials_s[0]) / partials] * partials
        )
    assert list(ours) == pytest.approx([*spread, drawn.duration_s])


def test_quick_generations_show_their_first_partial_half_way() -> None:
    """Parity: a generation of 4 s has its first partial image at 2 s in both."""
    assert profiles.FIRST_PARTIAL_AT_MOST == latency._FIRST_PARTIAL_AT_MOST
    assert Latency().first_partial_s == profiles.FIRST_PARTIAL_S

    ours = ARTICLE["1024-high"].emissions_s([4.0], 1, [0.3])

    assert ours == [(2.0, 4.0)]


@pytest.mark.parametrize("written", ["1024-high", "1024-medium", "lognormal:100s,150s"])
@pytest.mark.parametrize("count", [100, 5_000])
def test_generations_have_every_quantile_of_their_law(written: str, count: int) -> None:
    """Log-normal, as scipy has it: no quantile is further off than half a generation."""
    profile = parse_profile(written, Upstream())

    drawn = sorted(took_s for (took_s,) in profile.generations_s(count, 0, random.Random(1)))

    law = stats.lognorm(s=profile.sigma, scale=profile.median_s)
    np.testing.assert_allclose(law.cdf(drawn), (np.arange(count) + 0.5) / count, atol=1e-9)


def test_the_order_of_generations_is_chance() -> None:
    """The same seed has the same order, and another one another; neighbours do not resemble each other."""
    profile = ARTICLE["1024-high"]

    one, same, other = (profile.generations_s(2_000, 2, random.Random(seed)) for seed in (1, 1, 2))

    assert one == same != other
    ended_s = [generation[-1] for generation in one]
    assert abs(np.corrcoef(ended_s[:-1], ended_s[1:])[0, 1]) < 0.1


def test_first_partial_images_fill_their_window_whatever_the_generation_takes() -> None:
    """Evenly from 5 to 15 s, among quick and among slow generations alike."""
    drawn = sorted(ARTICLE["1024-high"].generations_s(2_000, 1, random.Random(1)), key=lambda at: at[-1])

    for tenth in range(10):
        first_s = [at_s for at_s, _ in drawn[200 * tenth : 200 * (tenth + 1)]]
        assert stats.kstest(first_s, "uniform", (5, 10)).statistic < 0.02


def test_own_timings_are_drawn_between_the_nearest(tmp_path: Path) -> None:
    """A column of seconds under its heading, as the upstream reads it."""
    file = tmp_path / "timings.csv"
    file.write_text("name,duration_s\na,30\nb,10\nc,20\n")

    profile = parse_profile(f"csv:{file}", Upstream())
    drawn = [took_s for (took_s,) in profile.generations_s(1_000, 0, random.Random(1))]

    assert list(profile.timings_s) == list(latency._timings_s(str(file))) == [10, 20, 30]
    assert sorted(drawn) == pytest.approx(np.quantile([10, 20, 30], (np.arange(1_000) + 0.5) / 1_000))
    assert profile.at(0.3) == pytest.approx(np.quantile([10, 20, 30], 0.3))


@pytest.mark.parametrize(
    ("written", "median_s", "p95_s"),
    [
        ("constant:195s", 195, None),
        ("lognormal:2m,4m", 120, 240),
        ("chain", 195, 280),
        ("1024-medium", 80, None),
    ],
)
def test_profiles_are_written_as_people_say_them(written: str, median_s: float, p95_s: float | None) -> None:
    """By name, as a constant, as median and p95, or as the chain's own upstream."""
    profile = parse_profile(written, Upstream())

    assert (profile.median_s, profile.p95_s) == (median_s, p95_s)


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("1024-hihg", "did you mean '1024-high'"),
        ("lognormal:195s,100s", "median and a p95 above it"),
        ("constant:195", "195 has no unit"),
        ("1024-high@seen", "there are no partial images 'seen'"),
    ],
)
def test_a_profile_that_is_none_names_the_way_out(written: str, says: str) -> None:
    """Bad input is one sentence."""
    with pytest.raises(BadInput, match=says):
        parse_profile(written, Upstream())


def test_timings_that_are_none_are_named_with_their_line(tmp_path: Path) -> None:
    """A file's mistake has its place."""
    file = tmp_path / "timings.csv"
    file.write_text("10\nten\n")

    with pytest.raises(BadFile, match=r"timings\.csv:2: column 1 needs a positive number"):
        parse_profile(f"csv:{file}", Upstream())


@pytest.mark.parametrize("written", ["1024-high", "1024-medium", "lognormal:100s,150s"])
def test_shares_and_quantiles_are_each_other_s_inverse(written: str) -> None:
    """Half take longer than the median, one in twenty longer than the p95."""
    profile = parse_profile(written, Upstream())

    assert profile.longer_than(profile.median_s) == pytest.approx(0.5)
    assert profile.longer_than(profile.upper_s) == pytest.approx(0.05)
    assert profile.longer_than(profile.at(0.999)) == pytest.approx(0.001)


def test_a_constant_takes_longer_or_it_does_not() -> None:
    """195 s are longer than 194 s, and no longer than 195."""
    profile = parse_profile("constant:195s", Upstream())

    assert (profile.longer_than(194), profile.longer_than(195)) == (1, 0)
