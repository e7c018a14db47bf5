"""Numbers in words, the same everywhere: a count with its noun, a duration, a share."""

from __future__ import annotations

UNKNOWN = "–"  # a value that is not known, in a table or a figure


def plural(count: int, noun: str, many: str = "") -> str:
    """``1 attempt``, ``1,180 attempts``; `many` is the plural where an s alone does not make it."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"


def times(count: int) -> str:
    """``once``, ``twice``, ``three times``, ``7 times``."""
    return {1: "once", 2: "twice", 3: "three times"}.get(count, f"{count:,} times")


def format_duration(seconds: float | None) -> str:
    """The shortest usual way to write it: ``60 s``, ``15 min``, ``600 ms``; None is ``none``."""
    if seconds is None:
        return "none"
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 600:  # image times are spoken of in seconds: "195 s", not "3 min 15 s"
        return f"{seconds:.4g} s"
    minutes, rest = divmod(round(seconds, 1), 60)
    return f"{minutes:.0f} min" + (f" {rest:.3g} s" if rest else "")


def rounded_duration(seconds: float, digits: int = 1) -> str:
    """A measured duration, to a tenth of a second or finer: ``60.4 s``; ``0 s`` where it is shorter than that."""
    rounded = round(seconds, digits)
    return format_duration(rounded) if rounded else "0 s"


def in_seconds(seconds: float | None) -> str:
    """Seconds alone, for a column or an axis: ``405 s``, ``3.2 s``; a dash where it is not known."""
    if seconds is None:
        return UNKNOWN
    return f"{seconds:,.0f} s" if seconds >= 10 or not seconds else f"{seconds:.2g} s"


def percent(share: float | None, digits: int = 1) -> str:
    """A share as ``5.0%``; never 0% of some, never 100% of fewer than all, and a dash where it is not known."""
    if share is None:
        return UNKNOWN
    if share in {0.0, 1.0}:
        return f"{share:.0%}"
    least = 0.1**digits / 100
    if 0 < share < least / 2:
        return f"<{least:.{digits}%}"
    if 1 - least / 2 < share < 1:
        return f">{1 - least:.{digits}%}"
    return f"{share:.{digits}%}"
