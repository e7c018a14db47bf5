"""How long an answer asks its reader to stay away: `retry-after-ms`, else seconds, else a date."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def asked_to_wait_s(headers: Mapping[str, str], now_unix_s: float) -> float | None:
    """Seconds from now; None where nothing, or nothing readable, was asked. Names are in lower case."""
    for name, divisor in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            return max(0.0, float(headers[name]) / divisor)
        except (KeyError, ValueError):
            continue
    then_unix_s = _instant(headers.get("retry-after"))
    if then_unix_s is None:
        return None
    # A date is one on the clock of whoever wrote it, and `Date` says what that clock showed.
    written_unix_s = _instant(headers.get("date"))
    return max(0.0, then_unix_s - (now_unix_s if written_unix_s is None else written_unix_s))


def _instant(date: str | None) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() if date else None
    except ValueError:
        return None
