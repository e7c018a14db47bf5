"""Money: whole nano-dollars inside, and dollars for people, in one way everywhere."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal
from typing import Final

from whocut.errors import BadInput
from whocut.words import UNKNOWN

_NANO: Final = 1_000_000_000
# More than this is a slip of the finger, and sums of it would not fit a line of the account.
_MOST_USD: Final = 1_000_000


def format_dollars(usd: float | None) -> str:
    """``$37.98``, ``$0.21``, ``$0.0042``: cents, and finer where cents would hide it; None is a dash."""
    if usd is None:
        return UNKNOWN
    return f"${usd:,.2f}" if usd >= 0.1 or usd == 0 else f"${usd:.2g}"


def dollars(nano_usd: int) -> str:
    """An amount of nano-dollars for people."""
    return format_dollars(nano_usd / _NANO)


def nano_usd(written: float) -> int:
    """A budget in dollars as whole nano-dollars, never more than was written.

    Raises:
        BadInput: it is not an amount above zero, or not one that can be meant.
    """
    amount = Decimal(str(written))
    wrong = ""
    if not amount.is_finite() or amount <= 0:
        wrong = f"{written:g} is not a budget; write an amount in dollars above zero, like 2.50"
    elif amount > _MOST_USD:
        wrong = f"{written:g} is more than {_MOST_USD:,} dollars; write an amount like 2.50"
    nano = 0 if wrong else int((amount * _NANO).to_integral_value(rounding=ROUND_FLOOR))
    if not wrong and not nano:
        wrong = f"{written:g} is less than anything costs; write an amount like 2.50"
    if wrong:
        raise BadInput(wrong, field="budget_usd")
    return nano
