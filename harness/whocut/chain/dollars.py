"""Dollars as people read them, the same in a terminal, on a page and in a verdict's phrase."""

from __future__ import annotations


def format_dollars(usd: float | None) -> str:
    """``$37.98``, ``$0.0042``: cents, and finer where cents would hide it; None is a dash."""
    if usd is None:
        return "–"
    return f"${usd:,.2f}" if usd >= 0.1 or usd == 0 else f"${usd:.2g}"
