"""The percentile is a value that was seen, by one rule for lists and arrays."""

from __future__ import annotations

import numpy as np
import pytest

from whocut.chain.percentiles import percentile


@pytest.mark.parametrize(
    ("share", "value"), [(1, 1.0), (50, 2.0), (51, 3.0), (75, 3.0), (95, 4.0), (100, 4.0)]
)
def test_a_percentile_is_the_nearest_rank(share: float, value: float) -> None:
    """Of four values in any order, and the same of an array, which stays as it was."""
    values = [4.0, 1.0, 3.0, 2.0]
    array = np.array(values)

    assert percentile(values, share) == percentile(array, share) == value
    assert array.tolist() == values


def test_nothing_has_no_percentile() -> None:
    """No value, no figure."""
    assert percentile([], 50) is None
