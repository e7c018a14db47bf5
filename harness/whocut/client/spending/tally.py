"""What the lines of an account add up to, and whether one more attempt fits. Pure: no file, no clock, no process.

A reservation counts in full until it is settled. One that is never settled, because its process died, counts in
full for ever: the work may have been done, and billed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

REMEMBERED: Final = 100  # results kept for a breaker: more than any window


class Why(StrEnum):
    """Why an attempt does not go out."""

    BUDGET = "budget"
    ATTEMPTS = "attempts"
    FAILING = "failing"
    UNDERPRICED = "underpriced"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the user agreed to: for all that the account holds, not for one run. None is no limit."""

    budget_nano_usd: int
    max_attempts: int | None = None


@dataclass(slots=True)
class Tally:
    """The sum of an account. `results` are those of the run that asks: failed, or not."""

    run: str = ""
    settled_nano_usd: int = 0
    attempts: int = 0
    underpriced: int = 0
    open: dict[str, int] = field(default_factory=dict)
    results: deque[bool] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    @property
    def reserved_nano_usd(self) -> int:
        """What is in flight, or was when its process died."""
        return sum(self.open.values())

    @property
    def total_nano_usd(self) -> int:
        """The most that everything so far can have cost."""
        return self.settled_nano_usd + self.reserved_nano_usd

    def take(self, row: Mapping[str, Any]) -> None:
        """Add one line of the account.

        Raises:
            KeyError, TypeError, ValueError: the line is invalid.
        """
        if "reserved" in row:
            name, amount = str(row["reserved"]), _amount(row["nano_usd"])
            if name in self.open:
                raise ValueError(f"'{name}' is reserved twice")
            self.open[name] = amount
            self.attempts += 1
        elif "settled" in row:
            reserved = self.open.pop(str(row["settled"]), None)
            if reserved is None:
                raise ValueError(f"'{row['settled']}' is settled and was not reserved")
            cost = _amount(row["nano_usd"])
            self.settled_nano_usd += cost
            self.underpriced += cost > reserved
            if row.get("failed") is not None and row.get("run") == self.run:
                self.results.append(bool(row["failed"]))
        elif "account" not in row:
            raise ValueError("it is neither a reservation nor a settlement")


def objection(tally: Tally, nano_usd: int, limits: Limits) -> Why | None:
    """Why an attempt that costs at most so much may not go out; None where it may."""
    if tally.underpriced:
        return Why.UNDERPRICED
    if limits.max_attempts is not None and tally.attempts >= limits.max_attempts:
        return Why.ATTEMPTS
    if tally.total_nano_usd + nano_usd > limits.budget_nano_usd:
        return Why.BUDGET
    return None


def _amount(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is no amount of nano-dollars")
    return value
