"""What may be in a record, by type and range: a span that passes these readers can be judged.

A sum of instants that are within the range is finite, so that no judge has to ask again.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final, TypeVar

Member = TypeVar("Member", bound=str)

_HEX: Final = re.compile(r"[0-9A-Fa-f]+")
_TRACE_DIGITS, _SPAN_DIGITS = 32, 16
_MOST_POSITIONS: Final = 1_000
_MOST_COUNT: Final = 2**63
_MOST_S: Final = 1e12  # some thirty thousand years; on a scaled clock a good run has far less
_MOST_NS: Final = 2**64


def trace_id(value: Any) -> str:
    """A trace id: 32 hex digits.

    Raises:
        ValueError: it is anything else; so do all readers here.
    """
    return _hex(value, _TRACE_DIGITS)


def span_id(value: Any) -> str:
    """A span's id: 16 hex digits."""
    return _hex(value, _SPAN_DIGITS)


def _hex(value: Any, digits: int) -> str:
    if type(value) is not str or len(value) != digits or not _HEX.fullmatch(value):
        raise ValueError(f"an id is {digits} hex digits, and not {_shown(value)}")
    return value


def nanos(value: Any) -> int:
    """An instant in calendar nanoseconds: a whole number, or its digits in a string, as JSON has it."""
    if type(value) is str and len(value) <= 20:  # the digits of 2**64
        value = int(value)
    if type(value) is not int or not 0 <= value < _MOST_NS:
        raise ValueError(f"an instant is nanoseconds of the calendar, and not {_shown(value)}")
    return value


def integer(value: Any) -> int:
    """A whole number of 64 bits, or its digits in a string, as JSON has it."""
    digits = type(value) is str and len(value) <= 20  # those of 2**63, and a sign
    if digits or (type(value) is float and value.is_integer()):
        value = int(value)
    if type(value) is not int or not -_MOST_COUNT <= value < _MOST_COUNT:
        raise ValueError(f"a whole number of 64 bits is expected, and not {_shown(value)}")
    return value


def text(value: Any) -> str:
    """Text."""
    if type(value) is not str:
        raise ValueError(f"text is expected, and not {_shown(value)}")
    return value


def seconds(value: Any) -> float:
    """An instant or a duration in seconds, finite."""
    if type(value) not in {float, int} or not -_MOST_S <= value <= _MOST_S:
        raise ValueError(f"seconds are expected, and not {_shown(value)}")
    return float(value)


def limit_s(value: Any) -> float:
    """The seconds of a timer; infinity is a timer that never fires."""
    return math.inf if value == math.inf else seconds(value)


def number(value: Any) -> int:
    """A whole number of bytes, of attempts, a status: 0 or more."""
    if type(value) is not int or not 0 <= value < _MOST_COUNT:
        raise ValueError(f"a whole number is expected, and not {_shown(value)}")
    return value


def position(value: Any) -> int:
    """A layer's place: 0 is the client."""
    if type(value) is not int or not 0 <= value < _MOST_POSITIONS:
        raise ValueError(f"a position from 0 to {_MOST_POSITIONS - 1} is expected, and not {_shown(value)}")
    return value


def flag(value: Any) -> bool:
    """Yes or no."""
    if type(value) is not bool:
        raise ValueError(f"true or false is expected, and not {_shown(value)}")
    return value


def instants(value: Any) -> tuple[float, ...]:
    """Several instants in seconds."""
    if type(value) is not list:
        raise ValueError(f"a list of seconds is expected, and not {_shown(value)}")
    return tuple(map(seconds, value))


def finite_or_word(value: float) -> float | str:
    """A number as JSON can have it: of those that are not finite the protobuf mapping writes the word."""
    return value if math.isfinite(value) else _NOT_FINITE[str(value)]


_NOT_FINITE: Final = {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}


def _shown(value: Any) -> str:
    """A value of another kind, short enough for a sentence."""
    written = repr(value[:40] if isinstance(value, str) else value) if type(value) in _PLAIN else "that kind"
    return written if len(written) <= 60 else f"{written[:60]}…"  # a line of words


_PLAIN: Final = {str, bool, float, type(None)}
