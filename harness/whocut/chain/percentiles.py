"""The percentile, by one rule everywhere: the nearest rank, so that it is a value that was seen."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that `share` percent of the values do not exceed, to a thousandth; None of none.

    The values may have any order.
    """
    if not values:
        return None
    rank = max(1, math.ceil(len(values) * share / 100)) - 1
    return round(float(sorted(values)[rank]), 3)
