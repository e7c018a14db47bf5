"""Durations as the products write them, each in its own units; every reader of one takes text and gives seconds.

None is "no timer", where the product has a word or a number for that. A ValueError says what cannot be read.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_DAY_S: Final = 86_400.0
_LONGEST_S: Final = 1e9  # thirty years: more than this is a slip, or a number of another unit
_NUMBER = r"\d+(?:\.\d+)?"


def _parts(units: Mapping[str, float]) -> re.Pattern[str]:
    names = "|".join(sorted(map(re.escape, units), key=len, reverse=True))
    return re.compile(rf"({_NUMBER})\s*({names})")


def _reader(units: Mapping[str, float], bare_s: float | None) -> Callable[[str], float]:
    """A reader of ``1h30m``: numbers with these units, and alone where a bare number has a unit of its own."""
    part = _parts(units)
    whole = re.compile(rf"(?:{part.pattern}\s*)+")

    @lru_cache(maxsize=1_000)  # ten thousand routes have the same few limits
    def read(text: str) -> float:
        text = text.strip()
        if bare_s is not None and re.fullmatch(_NUMBER, text):
            seconds = float(text) * bare_s
        elif whole.fullmatch(text):
            seconds = sum(float(number) * units[unit] for number, unit in part.findall(text))
        else:
            raise ValueError(f"'{text}' is not a duration")
        if seconds > _LONGEST_S:
            raise ValueError(f"'{text}' is longer than a lifetime")
        return seconds

    return read


_GO: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}

# nginx: a bare number is seconds; `M` is a month and `m` a minute.
nginx = _reader(
    {
        "ms": 0.001,
        "s": 1.0,
        "m": 60.0,
        "h": 3600.0,
        "d": _DAY_S,
        "w": 7 * _DAY_S,
        "M": 30 * _DAY_S,
        "y": 365 * _DAY_S,
    },
    1.0,
)
# HAProxy: a bare number is milliseconds.
haproxy = _reader({"us": 1e-6, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": _DAY_S}, 0.001)
# Go's time.Duration: no bare number but zero. Caddy takes days too, Traefik bare seconds.
go = _reader(_GO, None)
caddy = _reader({**_GO, "d": _DAY_S}, None)
traefik = _reader(_GO, 1.0)
seconds = _reader({"s": 1.0}, 1.0)
milliseconds = _reader({"ms": 0.001}, 0.001)
# Apache httpd: a bare number is seconds; mi is a minute.
apache = _reader({"ms": 0.001, "s": 1.0, "mi": 60.0, "h": 3600.0}, 1.0)
# Varnish: a unit is needed in VCL.
varnish = _reader({"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": _DAY_S, "w": 7 * _DAY_S}, None)


def or_none(read: Callable[[str], float], text: str) -> float | None:
    """A duration of a product for which zero means "no timer"."""
    return None if re.fullmatch(r"0+(?:\.0+)?\s*[a-zA-Zµ]*", text.strip()) else read(text)
