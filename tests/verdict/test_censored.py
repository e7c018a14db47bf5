"""Durations of which some were never seen to their end: the estimate agrees with scipy's, sample by sample."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import CensoredData, ecdf  # type: ignore[import-untyped]  # scipy ships no types

from whocut.verdict.censored import Sample, sentence_of

# Few distinct values, so that equal instants of both kinds are drawn often.
_DURATIONS = st.lists(st.integers(min_value=1, max_value=12).map(float), max_size=40)


@given(seen_s=_DURATIONS.filter(len), censored_s=_DURATIONS)
def test_the_curve_is_kaplan_and_meiers_as_scipy_has_it(seen_s: list[float], censored_s: list[float]) -> None:
    """At every duration that was seen to its end, the share done by then is scipy's."""
    theirs = ecdf(CensoredData(uncensored=seen_s, right=censored_s)).cdf

    durations_s, done = Sample(tuple(seen_s), tuple(censored_s)).curve()

    assert durations_s == sorted(set(seen_s))
    np.testing.assert_allclose(done, theirs.evaluate(durations_s), atol=1e-12)


@pytest.mark.parametrize(
    ("censored_s", "p50_s"),
    [((), 20.0), ((10.0,), 20.0), ((5.0, 5.0, 5.0), 20.0), ((60.0, 60.0, 60.0), 30.0), ((60.0,) * 4, None)],
)
def test_a_cut_moves_the_median_only_as_far_as_it_lasted(
    censored_s: tuple[float, ...], p50_s: float | None
) -> None:
    """A cut before the median says nothing of it; long ones raise it, and enough of them leave it unknown."""
    assert Sample((10.0, 20.0, 30.0), censored_s).quantile(0.5) == p50_s


@pytest.mark.parametrize(
    ("censored_s", "streamed", "said"),
    [
        ((5.0,), False, "would take 20 s"),
        ((5.0,), True, "would take at least 20 s"),
        ((60.0,) * 4, False, "would take more than 60 s"),
        ((60.0,) * 4, True, "would take at least 60 s"),
    ],
)
def test_an_estimate_behind_cut_streams_is_a_lower_bound_in_one_wording(
    censored_s: tuple[float, ...],
    streamed: bool,  # noqa: FBT001 - drawn by name, from the table above
    said: str,
) -> None:
    """Whether half of the attempts were seen to their end changes the figure and not the sentence."""
    times = Sample((10.0, 20.0, 30.0), censored_s)

    sentence = sentence_of(times, times.quantile(0.5), streamed=streamed)

    assert said in sentence
