"""The small pieces that lines of logs are made of: numbers, instants, trace ids, quoted fields."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import Any, Final

import orjson

from whocut.trace.logs.records import Unreadable

MONTHS: Final = {
    name: number
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), start=1
    )
}
_ABSENT: Final = frozenset({"", "-", "None", "null"})
_AMAZON: Final = re.compile(r"Root=1-([0-9a-f]{8})-([0-9a-f]{24})")
_CLF: Final = re.compile(r"(\d{2})/(\w{3})/(\d{4}):(\d{2}):(\d{2}):(\d{2})(\.\d+)?(?: ([+-])(\d{2})(\d{2}))?")


# What only one product writes behind the columns that many share (`combined`).
_BEHIND: Final = {
    "traefik": re.compile(r' \d+ "[^"]*" "[^"]*" \d+ms$'),
    "apache": re.compile(r' [X+-] \d+ \d+ "[^"]*" "[^"]*"$'),
}


def refuse_columns_of_another(line: str, own: str) -> None:
    """Refuse a line in the shared columns whose last ones are another product's.

    Raises:
        Unreadable: they are; names the format to give the file as.
    """
    for name, columns in _BEHIND.items():
        if name != own and columns.search(line.rstrip()):
            raise Unreadable(f"its last columns are those of {name}; give it as {name}=FILE")


def number(value: object) -> float | None:
    """A finite number, or None for what is absent or none."""
    try:
        found = float(value)  # type: ignore[arg-type]  # whatever it is, it is a number or it is not
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def whole(value: object) -> int | None:
    """A count or a status: a whole number, or None; a negative one means "none"."""
    found = number(value)
    return None if found is None or found < 0 else int(found)


def present(value: object) -> str | None:
    """The text, or None where a log writes a sign for nothing."""
    text = str(value) if value is not None else ""
    return None if text in _ABSENT else text


def scaled(value: object, factor: float) -> float | None:
    """A number of other units in seconds; a negative one means "never", and gives None."""
    found = number(value)
    return None if found is None or found < 0 else found * factor


def trace_of(header: object) -> tuple[str | None, str | None]:
    """Trace id and parent's span id from a `traceparent`, or from Amazon's header."""
    text = present(header)
    if text is None:
        return None, None
    if amazon := _AMAZON.search(text):
        return amazon[1] + amazon[2], None
    from whocut.trace.records import parse_traceparent  # noqa: PLC0415  # few lines have one; the records cost more

    return parse_traceparent(text) or (None, None)


def json_object(line: str) -> dict[str, Any]:
    """The object a line holds.

    Raises:
        Unreadable: it holds none.
    """
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise Unreadable("it is not a JSON object") from None
    if not isinstance(value, dict):
        raise Unreadable("it is not a JSON object")
    return value


def plain_text(line: bytes) -> str:
    """A line as readers are given it.

    Raises:
        UnicodeDecodeError: it is not UTF-8.
    """
    return line.decode().strip("\r\n \ufeff")


def is_named(request: object, header: object) -> bool:
    """Whether a line has a request's id, or a trace's."""
    if type(request) is str and request not in _ABSENT:
        return True
    return present(request) is not None or trace_of(header)[0] is not None


def inner(value: object) -> dict[str, Any]:
    """An object inside an object; an empty one where it is something else."""
    return value if isinstance(value, dict) else {}


def clf_instant(text: str) -> float | None:
    """``22/Nov/2026:11:05:00 +0000`` in Unix seconds; a log without a zone is taken to speak UTC."""
    match = _CLF.search(text)
    if match is None:
        return None
    day, month, year, hour, minute, second, fraction, sign, zone_h, zone_m = match.groups()
    minutes = (int(zone_h) * 60 + int(zone_m)) * (-1 if sign == "-" else 1) if sign else 0
    at_s = _unix(int(year), MONTHS.get(month, 0), int(day), minutes)
    if at_s is None:
        return None
    return at_s + int(hour) * 3600 + int(minute) * 60 + int(second) + float(fraction or 0)


@lru_cache(maxsize=4096)
def is_minute(minute: str, zone: str = "") -> bool:
    """Whether ``22/Nov/2026:11:05``, with seconds and a zone behind it, is an instant to `clf_instant`."""
    return _CLF.match(f"{minute}:00") is not None and clf_instant(f"{minute}:00{zone}") is not None


def iso_instant(value: object) -> float | None:
    """RFC 3339 text, or a Unix time in s, ms, µs or ns, in Unix seconds."""
    if type(value) is str and value[10:11] == "T":  # no number has a T, and no sign for nothing
        text = value
    else:
        if isinstance(value, int | float):
            return _unix_number(float(value))
        present_text = present(value)
        if present_text is None:
            return None
        text = present_text
        if (found := number(text)) is not None:
            return _unix_number(found)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    try:
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _unix_number(value: float) -> float | None:
    for factor in (1, 1e3, 1e6, 1e9):
        if 0 < value / factor < 1e11:
            return value / factor
    return None


@lru_cache(maxsize=64)
def _unix(year: int, month: int, day: int, minutes_east: int) -> float | None:
    """Midnight of a day in a zone; a log has few days."""
    try:
        zone = timezone(timedelta(minutes=minutes_east))
        return datetime(year, month, day, tzinfo=zone).timestamp()
    except (ValueError, OverflowError):
        return None
