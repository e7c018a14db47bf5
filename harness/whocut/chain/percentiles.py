"""The percentile, by one rule everywhere: the nearest rank, so that it is a value that was seen."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whocut.chain.profiles import Floats


def percentile(values: Sequence[float] | Floats, share: float) -> float | None:
    """The smallest value that `share` percent of the values do not exceed, to a thousandth; None of none.

    The values may stand in any order.
    """
    if not len(values):
        return None
    rank = max(1, math.ceil(len(values) * share / 100)) - 1
    array: Any = values
    if hasattr(array, "partition"):  # a hundred thousand values are not sorted for one of them
        array = array.copy()
        array.partition(rank)
        return round(float(array[rank]), 3)
    return round(float(sorted(values)[rank]), 3)
