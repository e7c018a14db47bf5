"""How long an answer asks its client to wait: `retry-after-ms`, else seconds, else a date. The one reader of it.

Vocabulary of both arms: the client that waits, the layer that is emulated, and the audit that counts the wait.
"""

from __future__ import annotations

import math
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

# HTTP dates have whole seconds, and an answer travels: an answer that is read so soon after its `Date` was written
# by a clock that agrees with the reader's.
_AGREES_S: Final = 2.0


def asked_to_wait_s(headers: Mapping[str, str], now_unix_s: float | None = None) -> float | None:
    """Seconds from now; None where no wait was asked for, or none that can be read. Names are in lower case.

    `now_unix_s` is the reader's calendar. Without it a date counts only beside a `Date`, which is the clock that
    the date was written by.
    """
    for name, divisor in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            wait_s = float(headers[name]) / divisor
        except (KeyError, ValueError):
            continue
        return max(0.0, wait_s) if math.isfinite(wait_s) else None
    then_unix_s = _instant(headers.get("retry-after"))
    if then_unix_s is None:
        return None
    written_unix_s = _instant(headers.get("date"))
    if written_unix_s is None:
        from_unix_s = now_unix_s
    elif now_unix_s is not None and 0.0 <= now_unix_s - written_unix_s < _AGREES_S:
        from_unix_s = now_unix_s  # the same clock, read more finely
    else:
        from_unix_s = written_unix_s
    return None if from_unix_s is None else max(0.0, then_unix_s - from_unix_s)


def _instant(date: str | None) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() if date else None
    except (ValueError, OverflowError):
        return None
