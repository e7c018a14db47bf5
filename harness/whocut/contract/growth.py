"""Whether a client's waits grow, and not by chance: pure, from the waits of many requests.

Of each request the last wait is held against the first one, as the logarithm of their ratio: zero where they are
equal, whatever the client's jitter. The mean of many has an interval that is wrong once in three thousand trials; a
check that is not clear is played three times at most, so that its ruling is wrong once in a thousand. Waits grow
where all of the interval is above a growth of a tenth, and do not where all of it is below. Where the interval has
that growth in it, it may be chance, and nothing is said.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from whocut.contract.judgement import KEPT, Judgement, broken, not_tried, unclear
from whocut.contract.trial import time_in_words

if TYPE_CHECKING:
    from collections.abc import Sequence

_GROWTH: Final = math.log(1.1)
_CAPPED_S: Final = 6.0  # a client that waits so long at once need not wait longer
_LEAST_S: Final = 0.001
_WRONG: Final = "once in 1,000"
_Z: Final = 3.587_914_586  # two-sided, once in three thousand
_FEW: Final = 5


def growth(requests_s: Sequence[Sequence[float]]) -> Judgement:
    """The ruling on the waits of several requests, in seconds, each in its order."""
    compared = [waits_s for waits_s in requests_s if len(waits_s) > 1]
    if not compared:
        return not_tried("no request was tried again twice, and one wait cannot grow")
    if sum(waits_s[0] for waits_s in compared) >= _CAPPED_S * len(compared):
        return KEPT
    ratios = [math.log(max(waits_s[-1], _LEAST_S) / max(waits_s[0], _LEAST_S)) for waits_s in compared]
    if len(ratios) < _FEW:
        return not_tried(f"{len(ratios)} requests were tried again twice: too few to tell growth from chance")
    mean = sum(ratios) / len(ratios)
    around = _margin(ratios, mean)
    if mean - around > _GROWTH:
        return KEPT
    first, last = (
        time_in_words(sum(waits_s[place] for waits_s in compared) / len(compared)) for place in (0, -1)
    )
    waits = f"it waited {first} at first and {last} at last (means of {len(compared)})"
    if mean + around < _GROWTH:
        return broken(f"{waits}: nothing grew, which is wrong {_WRONG}")
    return unclear(f"{waits}: growth and chance cannot be distinguished with an error of {_WRONG}")


def _margin(values: Sequence[float], mean: float) -> float:
    """Half the interval of a mean: Student's quantile (Cornish-Fisher's expansion of it) times its error."""
    free = len(values) - 1
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / free)
    quantile = _Z + (_Z**3 + _Z) / (4 * free) + (5 * _Z**5 + 16 * _Z**3 + 3 * _Z) / (96 * free**2)
    return quantile * spread / math.sqrt(len(values))
