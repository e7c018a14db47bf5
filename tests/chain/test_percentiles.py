"""The percentile is a value that was seen, by one rule."""

from __future__ import annotations

import pytest

from whocut.chain.percentiles import percentile


@pytest.mark.parametrize(
    ("share", "value"), [(1, 1.0), (50, 2.0), (51, 3.0), (75, 3.0), (95, 4.0), (100, 4.0)]
)
def test_a_percentile_is_the_nearest_rank(share: float, value: float) -> None:
    """Of four values in any order, which stay in it."""
    values = [4.0, 1.0, 3.0, 2.0]

    assert percentile(values, share) == value
    assert values == [4.0, 1.0, 3.0, 2.0]


def test_nothing_has_no_percentile() -> None:
    """No value, no figure."""
    assert percentile([], 50) is None
