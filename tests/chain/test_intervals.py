"""Intervals and power: held to scipy's, to Newcombe's own table, and to drawn data."""

from __future__ import annotations

import random

import pytest
from scipy import stats  # type: ignore[import-untyped]  # scipy ships no types

from whocut.chain.intervals import (
    Estimate,
    difference,
    needed_for,
    of_mean,
    of_median,
    power_of,
    student,
    wilson,
)


def of_share(hits: int, of: int, confidence: float = 0.95) -> Estimate:
    """A share with its interval."""
    ends = wilson(hits, of, confidence)
    assert ends is not None
    return Estimate(hits / of, *ends)


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [
        ((48, 80, 56, 70), 0.0524, 0.3339),  # the examples of Newcombe's Table II, method 10
        ((5, 56, 0, 29), -0.1926, 0.0381),
        ((3, 10, 9, 10), 0.1705, 0.8090),
    ],
)
def test_difference_of_shares_is_newcombes(
    counts: tuple[int, int, int, int], low: float, high: float
) -> None:
    """Square-and-add of Wilson's intervals, as scipy's own two samples would give by the same formula."""
    a, of_a, b, of_b = counts

    found = difference(of_share(a, of_a), of_share(b, of_b))

    assert (found.low, found.high) == pytest.approx((low, high), abs=2e-3)


@pytest.mark.parametrize("freedom", [5, 9, 30, 400])
@pytest.mark.parametrize(("confidence", "within"), [(0.95, 1e-3), (0.99, 2e-2)])
def test_quantile_is_students(freedom: int, confidence: float, within: float) -> None:
    """The series is near the true quantile from five degrees of freedom."""
    assert student(confidence, freedom) == pytest.approx(
        stats.t.ppf(0.5 + confidence / 2, freedom), abs=within
    )


def test_interval_of_a_mean_is_scipys() -> None:
    """Thirty drawn values."""
    drawn = random.Random(3)
    values = [drawn.gauss(5, 2) for _ in range(30)]
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.95)

    found = of_mean(values)

    assert found is not None
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=1e-3)


def test_interval_of_a_median_holds_it_in_95_of_100() -> None:
    """Drawn from a skewed distribution whose median is known; never less often than it says."""
    drawn = random.Random(11)
    held = 0
    for _ in range(400):
        found = of_median([drawn.lognormvariate(5.273, 0.22) for _ in range(40)])
        assert found is not None
        held += found.low <= 2.718281828**5.273 <= found.high

    assert held >= 0.93 * 400


def test_too_few_values_have_no_interval() -> None:
    """Five seconds of luck are no measurement."""
    assert of_mean([1.0] * 5) is None
    assert of_median([1.0] * 5) is None
    assert wilson(0, 0) is None


def test_power_and_size_are_two_sides_of_one_formula() -> None:
    """What `needed_for` asks for has the power it was asked for."""
    size = needed_for(0.8, 0.9)

    assert size is not None
    assert 190 <= size <= 205
    assert power_of(0.8, 0.9, size, size) == pytest.approx(0.8, abs=0.01)
    assert needed_for(0.5, 0.5) is None
