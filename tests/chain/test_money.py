"""Money in words: one format for every amount."""

from __future__ import annotations

import pytest

from whocut.chain.money import dollars, format_dollars


@pytest.mark.parametrize(
    ("usd", "written"),
    [(None, "–"), (0.0, "$0.00"), (0.0042, "$0.0042"), (0.211, "$0.21"), (1234.5, "$1,234.50")],
)
def test_an_amount_is_cents_and_finer_where_cents_would_hide_it(usd: float | None, written: str) -> None:
    """Dollars and nano-dollars are written alike."""
    assert format_dollars(usd) == written
    assert usd is None or dollars(round(usd * 1_000_000_000)) == written
