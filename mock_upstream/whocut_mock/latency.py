"""How long a generation takes, and when its partial images come.

Four kinds of request were measured by the article this project was born from; they are log-normal here, and
everything else follows from them by one rule, written down beside the table.
"""

import csv
import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from whocut_mock.dice import Dice
from whocut_mock.models import MODELS
from whocut_mock.parameters import Order
from whocut_mock.settings import Latency, LatencyRow

_Z95 = 1.6448536269514722  # the 95th percentile of the standard normal distribution

# The one measured spread: median 195 s, p95 280 s. Rows with a median alone borrow it.
SIGMA = math.log(280 / 195) / _Z95

# "Real generation times measured against gpt-image-2" (the article, section 1).
ARTICLE = (
    LatencyRow(
        name="article: 1024x1024 medium, two references",
        size="1024x1024", quality="medium", references=2, median_s=44,
    ),
    LatencyRow(
        name="article: 1536x1024 high, fidelity high, reference",
        size="1536x1024", quality="high", references=1, fidelity="high", median_s=130,
    ),
    LatencyRow(
        name="article: 1024x1024 medium",
        model="gpt-image-2", size="1024x1024", quality="medium", references=0, median_s=80,
    ),
    LatencyRow(
        name="article: 1024x1024 high",
        model="gpt-image-2", size="1024x1024", quality="high", references=0, median_s=195, p95_s=280,
    ),
)  # fmt: skip

# The rule for everything else. The median grows with image output tokens as a power law through the article's
# two points without references (1756 tokens: 80 s, 7024 tokens: 195 s); references shorten it by what the
# article's two points with references show.
_MEDIUM_TOKENS, _MEDIUM_S = 1756, 80.0
_HIGH_TOKENS, _HIGH_S = 7024, 195.0
_EXPONENT = math.log(_HIGH_S / _MEDIUM_S) / math.log(_HIGH_TOKENS / _MEDIUM_TOKENS)


def _by_tokens_s(tokens: int) -> float:
    return _HIGH_S * math.pow(tokens / _HIGH_TOKENS, _EXPONENT)


_WIDE_HIGH_TOKENS = MODELS["gpt-image-2"].output_tokens("high", 1536, 1024)
_WITH_REFERENCES = 44 / _MEDIUM_S
_WITH_FIDELITY = 130 / _by_tokens_s(_WIDE_HIGH_TOKENS)

# "JPEG output is faster to encode than PNG" (the article, section 1c); by how much is ours.
_FORMAT_PACE = {"png": 1.0}
_OTHER_FORMAT_PACE = 0.97

# Partial images of the one published observation: headers and first at 26 s, second at 32 s, final at 35 s.
# A third one was not observed; it is put half way to the end.
_OBSERVED = (26 / 35, 32 / 35, 33.5 / 35)

# A generation quicker than its first partial image's time shows it nevertheless: after this part of itself.
_FIRST_PARTIAL_AT_MOST = 0.5


class Plan(NamedTuple):
    """The times of one generation, counted from its start, and the profile that decided them."""

    duration_s: float
    partials_s: tuple[float, ...]
    profile: str


def plan(order: Order, settings: Latency, dice: Dice, *, running: int = 0) -> Plan:
    """Throw the dice for this order; `running` others are being worked on."""
    duration_s, profile = _duration_s(order, settings, dice)
    duration_s *= 1 + settings.slower_per_running * running
    return Plan(duration_s, _partials_s(order, settings, dice, duration_s), profile)


def _duration_s(order: Order, settings: Latency, dice: Dice) -> tuple[float, str]:
    if settings.constant_s is not None:
        return settings.constant_s, "constant"
    for row in (*settings.rows, *ARTICLE):
        if _matches(row, order):
            return _draw_s(row, order, dice), row.name or "configured"
    return _log_normal_s(interpolated_median_s(order), SIGMA, dice), "interpolated"


def _matches(row: LatencyRow, order: Order) -> bool:
    named = (
        (row.model, order.model.family),
        (row.size, order.size_text),
        (row.quality, order.quality),
        (row.references, order.references),
        (row.fidelity, order.fidelity),
    )
    return all(wanted is None or wanted == got for wanted, got in named)


def _draw_s(row: LatencyRow, order: Order, dice: Dice) -> float:
    if row.constant_s is not None:
        return row.constant_s
    if row.csv is not None:
        return _empirical_s(_timings_s(row.csv), dice.fraction("duration"))
    assert row.median_s is not None
    sigma = SIGMA if row.p95_s is None else math.log(row.p95_s / row.median_s) / _Z95
    return _log_normal_s(row.median_s * _format_pace(order), sigma, dice)


def _log_normal_s(median_s: float, sigma: float, dice: Dice) -> float:
    return median_s * math.exp(sigma * dice.normal("duration"))


def interpolated_median_s(order: Order) -> float:
    """The median by the rule above."""
    median_s = _by_tokens_s(order.model.output_tokens(order.quality, *order.size)) * order.model.pace
    if order.references:
        median_s *= _WITH_FIDELITY if order.fidelity == "high" else _WITH_REFERENCES
    return median_s * _format_pace(order)


def _format_pace(order: Order) -> float:
    return _FORMAT_PACE.get(order.output_format, _OTHER_FORMAT_PACE)


def _partials_s(order: Order, settings: Latency, dice: Dice, duration_s: float) -> tuple[float, ...]:
    count = order.partial_images if order.stream else 0
    if count == 0:
        return ()
    if dice.fraction("final pre-empts") < settings.final_preempts:
        count = math.floor(dice.between("partials before it", 0, count))
    if settings.partials == "observed-2026":
        return tuple(duration_s * part for part in _OBSERVED[:count])
    first_s = min(
        dice.between("first partial", *settings.first_partial_s), duration_s * _FIRST_PARTIAL_AT_MOST
    )
    return tuple(first_s + (duration_s - first_s) * index / count for index in range(count))


def check_timings(path: str) -> None:
    """Raise `ValueError`, one sentence, if there are no timings to be read in this file."""
    _timings_s(path)


@lru_cache(maxsize=32)
def _timings_s(path: str) -> Sequence[float]:
    """A user's own timings: a column of seconds, under a heading `duration_s` or under none."""
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.reader(file) if row]
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: this is not a table of text") from error
    if not rows:
        raise ValueError(f"{path}: no timings in this file")
    column = rows[0].index("duration_s") if "duration_s" in rows[0] else 0
    body = rows[1:] if "duration_s" in rows[0] else rows
    try:
        timings_s = sorted(float(row[column]) for row in body)
    except (ValueError, IndexError) as error:
        raise ValueError(f"{path}: every line needs a number of seconds in column {column + 1}") from error
    if not timings_s or timings_s[0] <= 0:
        raise ValueError(f"{path}: timings must be positive seconds")
    return tuple(timings_s)


def _empirical_s(timings_s: Sequence[float], fraction: float) -> float:
    """The quantile between the two nearest timings."""
    at = fraction * (len(timings_s) - 1)
    low = min(int(at), len(timings_s) - 2) if len(timings_s) > 1 else 0
    high = min(low + 1, len(timings_s) - 1)
    return timings_s[low] + (timings_s[high] - timings_s[low]) * (at - low)
