"""Pieces of SQL with which a format says how a columnar engine reads its lines. Texts only: nothing runs here."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

_NUMBER: Final = r"(?:0|[1-9]\d{0,14})(?:\.\d{1,9})?"
_WHOLE: Final = r"(?:0|[1-9]\d{0,14})"
_KINDS: Final = {"number": _NUMBER, "whole": _WHOLE, "signed": f"-?{_WHOLE}", "null": "null"}
DAY_AND_TIME: Final = "%d/%b/%Y:%H:%M:%S"


@dataclass(slots=True)
class JsonLine:
    """A line that is one JSON object with these keys in this order; `"` takes it apart into `p`.

    Each key is written `name` (text), or `name:KIND` with a kind of `_KINDS`. A text with a backslash does not fit.
    """

    keys: tuple[str, ...]
    _at: dict[str, int] = field(default_factory=dict)
    _names: list[str] = field(default_factory=list)
    _between: list[int] = field(default_factory=list)
    _shape: str = ""
    _parts: int = 0

    def __post_init__(self) -> None:
        """Find the part in which each value is."""
        place = 2
        for number, written in enumerate(self.keys):
            name, _, kind = written.partition(":")
            end = r" ?\}" if number == len(self.keys) - 1 else ", ?"
            self._names.append(f"p[{place}] = '{name}'")
            self._at[name] = place + 1 if kind else place + 2
            self._between.append(place + 1)
            if kind:
                self._shape += f": ?{_KINDS[kind]}{end}"
                place += 2
            else:
                self._shape += f": ?{end}"
                self._between.append(place + 3)
                place += 4
        self._parts = place - 1

    @property
    def parts(self) -> str:
        """The parts of a line."""
        return "string_split(line, '\"')"

    @property
    def fits(self) -> str:
        """Whether a line has this shape."""
        between = ", ".join(f"p[{place}]" for place in self._between)
        return (
            f"len(p) = {self._parts} and p[1] = '{{' and {' and '.join(self._names)} "
            f"and not contains(line, '\\') and regexp_full_match(concat({between}), '{self._shape}')"
        )

    def text(self, name: str) -> str:
        """The text of a key."""
        return f"p[{self._at[name]}]"

    def number(self, name: str) -> str:
        """The number of a key, as a double."""
        return f"try_cast(trim(p[{self._at[name]}], ':,}} ') as double)"

    def whole(self, name: str) -> str:
        """The whole number of a key."""
        return f"try_cast(trim(p[{self._at[name]}], ':,}} ') as integer)"


def groups(pattern: str) -> str:
    """The named groups of a pattern of ours, as a struct: all empty where a line does not match."""
    plain = pattern.replace("'", "''")
    told: list[str] = []
    for name in re.compile(pattern).groupindex:  # names that differ in case alone are one to the engine
        told.append(name if name.lower() not in map(str.lower, told) else f"{name}_again")
    names = ", ".join(f"'{name}'" for name in told)
    numbered = re.sub(r"\?P<\w+>", "", plain)
    return f"regexp_extract(line, '{numbered}', [{names}])"


IS_ASCII: Final = "strlen(line) = length(line)"


def is_number(value: str) -> str:
    """Whether a text is a plain number that is not negative."""
    return f"regexp_full_match({value}, '{_NUMBER}')"


def is_whole(value: str) -> str:
    """Whether a text is a whole number that is not negative."""
    return f"regexp_full_match({value}, '{_WHOLE}')"


def present(value: str) -> str:
    """A text, or NULL where a log writes a sign for nothing: as `fields.present`."""
    return f"case when {value} in ('', '-', 'None', 'null') then null else {value} end"


def clf_instant(value: str) -> str:
    """``22/Nov/2026:11:05:00 +0000`` in Unix seconds."""
    return f"epoch(try_strptime({value}, '{DAY_AND_TIME} %z'))"


def iso_instant(value: str) -> str:
    """``2026-11-22T12:05:18.182Z`` in Unix seconds; NULL for any other form of RFC 3339."""
    return f"epoch_us(try_strptime({value}, '%Y-%m-%dT%H:%M:%S.%fZ')) / 1000000.0"
