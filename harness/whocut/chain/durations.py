"""Durations as people write them: ``60s``, ``2m30s``, ``600ms``, ``none``."""

from __future__ import annotations

import re

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_WHOLE = re.compile(rf"(?:{_PART.pattern}\s*)+")
_NONE = frozenset({"none", "off", "never", "infinite"})


def parse_duration(written: object) -> float | None:
    """Seconds, or None where it says there is no timer.

    Raises:
        ValueError: not a duration, zero, or negative; the message says what to write instead.
    """
    if written is None or (isinstance(written, str) and written.strip().lower() in _NONE):
        return None
    if isinstance(written, bool) or not isinstance(written, int | float | str):
        raise ValueError(f"{written!r} is not a duration; write it like 60s, 2m30s or 600ms")
    text = str(written).strip().lower()
    if isinstance(written, int | float) or re.fullmatch(r"-?\d+(\.\d+)?", text):
        number = float(text)
        if number == 0:
            raise ValueError("a limit of zero is refused; write none for no timer")
        raise ValueError(f"{text} has no unit; write {text.lstrip('-')}s for seconds")
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"'{written}' is not a duration; write it like 60s, 2m30s or 600ms")
    seconds = sum(float(number) * _UNITS_S[unit] for number, unit in _PART.findall(text))
    if seconds == 0:
        raise ValueError("a limit of zero is refused; write none for no timer")
    return seconds
