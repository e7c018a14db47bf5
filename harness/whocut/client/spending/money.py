"""Money as it is written: whole nano-dollars inside, dollars for people."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal

from whocut.errors import BadInput

_NANO = 1_000_000_000
_MOST_USD = (
    1_000_000  # what is more is a slip of the finger, and sums of it would not fit a line of the account
)


def dollars(nano_usd: int) -> str:
    """An amount for people: cents, and finer where cents would hide it."""
    if nano_usd % (_NANO // 100) == 0:
        return f"${nano_usd / _NANO:,.2f}"
    return f"${nano_usd / _NANO:,.4f}"


def nano_usd(written: float, flag: str = "--budget-usd") -> int:
    """Dollars in whole nano-dollars, never more than was written.

    Raises:
        BadInput: it is no amount above zero.
    """
    amount = Decimal(str(written))
    if not amount.is_finite() or amount <= 0:
        raise BadInput(f"{flag}: {written:g} is no budget; write an amount in dollars above zero, like 2.50")
    if amount > _MOST_USD:
        raise BadInput(f"{flag}: {written:g} is more than {_MOST_USD:,} dollars; write an amount like 2.50")
    nano = int((amount * _NANO).to_integral_value(rounding=ROUND_FLOOR))
    if not nano:
        raise BadInput(f"{flag}: {written:g} is less than anything costs; write an amount like 2.50")
    return nano
