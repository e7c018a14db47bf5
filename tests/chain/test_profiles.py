"""The harness and the upstream know the same figures; nobody imports them from the other."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

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

    ours = profile.emissions_s(np.random.default_rng(1), np.array([drawn.duration_s]), partials)

    first_s = float(ours[0][0])
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
    assert [float(at[0]) for at in ours] == pytest.approx([*spread, drawn.duration_s])


def test_quick_generations_show_their_first_partial_half_way() -> None:
    """Parity: a generation of 4 s has its first partial image at 2 s in both."""
    assert profiles.FIRST_PARTIAL_AT_MOST == latency._FIRST_PARTIAL_AT_MOST
    assert Latency().first_partial_s == profiles.FIRST_PARTIAL_S

    ours = ARTICLE["1024-high"].emissions_s(np.random.default_rng(1), np.array([4.0]), 1)

    assert [float(at[0]) for at in ours] == [2.0, 4.0]


def test_draws_have_the_median_and_the_p95_they_are_given() -> None:
    """Log-normal through both points."""
    drawn = ARTICLE["1024-high"].durations_s(np.random.default_rng(1), 200_000)

    assert np.median(drawn) == pytest.approx(195, rel=0.005)
    assert np.quantile(drawn, 0.95) == pytest.approx(280, rel=0.005)


def test_own_timings_are_drawn_between_the_nearest(tmp_path: Path) -> None:
    """A column of seconds under its heading, as the upstream reads it."""
    file = tmp_path / "timings.csv"
    file.write_text("name,duration_s\na,30\nb,10\nc,20\n")

    profile = parse_profile(f"csv:{file}", Upstream())
    drawn = profile.durations_s(np.random.default_rng(1), 10_000)

    assert list(profile.timings_s) == list(latency._timings_s(str(file))) == [10, 20, 30]
    assert 10 <= float(drawn.min()) < float(drawn.max()) <= 30
    assert np.median(drawn) == pytest.approx(20, abs=0.5)


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
