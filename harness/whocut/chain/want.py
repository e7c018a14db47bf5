"""What is wanted of a run, a check or a sweep, as one expression: ``delivered>=0.99``, ``p95_s<300``.

This is the only place in the project that reads such an expression.
"""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from whocut.errors import BadInput, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

NAMES = {
    "delivered": "share of requests that end with an image",
    "orphaned": "orphaned generations a request",
    "orphaned_s_per_request": "seconds of orphaned work, a request",
    "generations_per_request": "generations started, a request",
    "p50_s": "median time to an image, of the requests that have one",
    "p95_s": "95th percentile of the same",
    "first_byte_p50_s": "median time to the first byte, of the same",
    "usd_per_delivered": "dollars billed for each image that came",
    "share_429": "share of attempts answered 429",
    "unattributed": "requests whose cut has no known layer",
    "max_in_flight": "requests at once that a sweep recommends",
    "delivered_per_min": "images a minute at what a sweep recommends",
}
# What only an upstream that keeps books can say.
LEDGER_ONLY = frozenset({"orphaned", "orphaned_s_per_request", "generations_per_request"})
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
_EXPRESSION = re.compile(r"\s*([A-Za-z_]\w*)\s*(>=|<=|==|!=|>|<)\s*([0-9.eE+-]+)(%?)\s*")


@dataclass(frozen=True, slots=True)
class Want:
    """One threshold."""

    name: str
    compare: str
    number: float

    def __str__(self) -> str:
        return f"{self.name}{self.compare}{self.number:g}"

    def holds(self, figures: Mapping[str, float | None]) -> bool:
        """Whether these figures keep it; a figure that could not be had keeps nothing.

        Raises:
            BadInput: this figure is not measured here at all.
        """
        if self.name not in figures:
            raise BadInput(
                f"{self.name} is not measured here; there are {', '.join(sorted(figures))}", field="want"
            )
        value = figures[self.name]
        return value is not None and _COMPARE[self.compare](value, self.number)


def parse_want(written: str) -> Want:
    """Read one expression.

    Raises:
        BadInput: the expression is invalid, or its figure is unknown; the message names the nearest one.
    """
    match = _EXPRESSION.fullmatch(written)
    if match is None:
        raise BadInput(
            f"'{written}' is not a threshold; write a figure, a comparison and a number, like "
            "delivered>=0.99",
            field="want",
        )
    name, compare, digits, percent = match.groups()
    if name not in NAMES:
        raise BadInput(
            f"there is no figure '{name}'{nearest(name, NAMES)}; there are {', '.join(NAMES)}", field="want"
        )
    try:
        number = round(float(digits) / 100, 15) if percent else float(digits)
    except ValueError:
        raise BadInput(f"'{digits}' is not a number", field="want") from None
    return Want(name, compare, number)


def parse_wants(written: Iterable[str]) -> tuple[Want, ...]:
    """Read several.

    Raises:
        BadInput: one of them is invalid.
    """
    return tuple(parse_want(expression) for expression in written)


def in_words(measured: float | None) -> str:
    """What a threshold was held against; where no image came, there is no time and no price."""
    return "nothing was measured" if measured is None else f"measured: {measured:g}"
