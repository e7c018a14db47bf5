"""What a line of a log says, in one form for all formats: a layer's account of how one request ended.

An account is testimony: it is what the layer says of itself, and it can be wrong. Nothing is guessed here; a line
that does not say who ended the request says so (`unsaid`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from whocut.chain.timers import Phase, TimerKind


# What is answered by a server that gave up on another one, or had none: handed on, it tells of a cut further in.
# Another 5xx that is handed on is an answer like any other.
GAVE_UP: Final = frozenset({502, 503, 504, *range(520, 531), 598, 599})


class EndedBy(StrEnum):
    """Who ended the request, by the layer's own account."""

    CLIENT = "client"  # its caller went first
    LAYER = "layer"  # it did, by a timer or a limit of its own
    UPSTREAM = "upstream"  # whatever is behind it did
    NONE = "none"  # neither: the response was handed on whole
    UNSAID = "unsaid"  # the line does not say


class Unreadable(ValueError):  # noqa: N818  # the name says what it is
    """A line is not of this format; the text says why."""


@dataclass(frozen=True, slots=True)
class Signal:
    """A row of a format's table: what one code of it means."""

    code: str
    ended_by: EndedBy
    phase: Phase | None = None
    timer: TimerKind | None = None
    directive: str | None = None
    says: str = ""
    verified: bool = True
    handed_on: bool = False  # an answer from behind; whether it tells of a cut there, its status says


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A layer's account of one request. Instants are Unix seconds; `keys` join the layer's own two logs.

    `signal` is what the line says in the format's own words, `caveat` how that can be wrong.
    """

    signal: str
    ended_by: EndedBy
    phase: Phase | None = None
    timer: TimerKind | None = None
    directive: str | None = None
    says: str = ""
    caveat: str = ""
    status: int | None = None
    bytes: int | None = None
    end_s: float | None = None
    duration_s: float | None = None
    coarse_s: float = 0.001  # how far off `end_s` may be: a log in whole seconds says so
    trace_id: str | None = None
    parent_id: str | None = None
    request_id: str | None = None
    path: str | None = None
    keys: tuple[str, ...] = ()
    remark: bool = False  # a line of an error log: it explains an access line, or is alone
    at_begin: bool = False  # `end_s` is when the request began, and how long it took is not said
    anonymous: bool = False  # a form that several products write: the line does not say whose it is
    product: str | None = None  # what is built on the format's product, where the line says so
    peer: str | None = None  # the upstream's address that this try went to
    asked: str | None = None  # the request line, as the log quotes it
    layer: str = ""
    place: str = ""

    @property
    def start_s(self) -> float | None:
        """When the layer took the request, by its own account."""
        if self.end_s is None:
            return None
        return self.end_s - (self.duration_s or 0.0)


LineReader: TypeAlias = "Callable[[str], Account | None]"
"""A line to an account; None for a line that is of the format and tells of no request.

Raises `Unreadable` for one that is not of the format.
"""

Glance: TypeAlias = "Callable[[bytes], tuple[Hashable, float] | None]"
"""A line's signature, and the seconds that its request took.

Lines of one signature mean the same to the format's reader, and all or none of them have a name and an instant.
None, a `ValueError`, a `TypeError` or a `LookupError`: only the reader can tell.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """One form of a format's lines for a columnar engine: SQL over `line`, or over `p`, its parts.

    A line that `fits` is read by these expressions to the same facts as by the format's reader. `decides` are what
    its meaning hangs on: lines in which they are equal mean the same. Texts may be empty for "absent".
    """

    form: str
    parts: str
    fits: str
    decides: tuple[str, ...]
    status: str
    end_s: str
    duration_s: str
    traceparent: str = "''"  # checked, and taken apart, where it is read
    trace_id: str = ""  # where the line has one in another form
    request_id: str = "''"
    path: str = "''"
    key: str = "''"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFormat:
    """One product's logs: how a line is read, what its codes mean, and what to set so that it says most."""

    name: str
    title: str
    read: LineReader
    signals: tuple[Signal, ...]
    code: str  # the table's first column
    recommended: str = ""
    remarks: tuple[str, ...] = ()
    captured: bool = True  # from the real thing; else written from its documentation
    signs: tuple[str, ...] = ()  # one of these is in each line that names the product
    hint: str = ""  # what to set, in half a sentence, where lines of it cannot be read
    columns: tuple[Columns, ...] = ()  # the forms that a columnar engine can read
    glance: Glance | None = None  # where lines need only be counted


def as_account(row: Signal, /, **facts: object) -> Account:
    """An account that means what a row of the table says; an answer of 500 that was handed on is no cut."""
    meaning: dict[str, object] = {
        "signal": row.code,
        "ended_by": row.ended_by,
        "phase": row.phase,
        "timer": row.timer,
        "directive": row.directive,
        "says": row.says,
    }
    meaning |= facts
    if row.handed_on and facts.get("status") not in GAVE_UP:
        meaning |= {"ended_by": EndedBy.NONE, "phase": None}
    return Account(**meaning)  # type: ignore[arg-type]  # the callers name Account's own fields
