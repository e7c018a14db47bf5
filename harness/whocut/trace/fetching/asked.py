"""What is asked of a backend: a time, a service, what makes a span suspicious, and how much is fetched at most."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from whocut.chain.catalogue import catalogue, preset
from whocut.chain.timers import TimerKind
from whocut.trace import names

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence
    from contextlib import AbstractAsyncContextManager

    from whocut.chain.layers import Layer, Topology

STATUS_ATTRIBUTES: Final = (
    names.STATUS,
    "http.status_code",
)  # of today, and of semantic conventions before 1.20
SERVICE_ATTRIBUTE: Final = names.SERVICE_NAME
LOWEST_STATUS: Final = 400
# For a backend that finds a status only by its very number: those that a cut shows to the caller.
CUT_STATUSES: Final = (408, 499, 500, 502, 503, 504, 524)
DEFAULT_WINDOW_S: Final = 3_600.0
DEFAULT_LIMIT: Final = 200
MOST_TRACES: Final = 100_000

_ENDS_A_REQUEST: Final = (TimerKind.FIRST_BYTE, TimerKind.IDLE, TimerKind.TOTAL)
# Of all products, the limits that a generation of 25 to 600 s can meet.
_FROM_S, _TO_S = 25.0, 600.0
# A span ends a little after its layer's timer fires; clocks of two layers differ a little.
_BEFORE, _AFTER, _LATE_S = 0.99, 1.02, 1.0
_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Near:
    """Durations around a known limit, in seconds."""

    from_s: float
    to_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What to look for. `every` asks for all traces of the time, suspicious or not.

    `since_unix_s` and `until_unix_s` bound the starts of the spans that are searched; a trace comes whole.
    """

    since_unix_s: float
    until_unix_s: float
    service: str | None = None
    limit: int = DEFAULT_LIMIT
    near: tuple[Near, ...] = ()
    slower_than_s: float | None = None
    every: bool = False
    token: str | None = field(default=None, repr=False)

    @property
    def since_ns(self) -> int:
        """The beginning in calendar nanoseconds."""
        return round(self.since_unix_s * _NS)

    @property
    def until_ns(self) -> int:
        """The end in calendar nanoseconds, exclusive."""
        return round(self.until_unix_s * _NS)

    @property
    def durations(self) -> tuple[tuple[float, float | None], ...]:
        """The suspicious durations, from and to; None has no end."""
        found: list[tuple[float, float | None]] = [(one.from_s, one.to_s) for one in self.near]
        if self.slower_than_s is not None:
            found.append((self.slower_than_s, None))
        return tuple(found)

    def suspects(self, *, error: bool, status: int | None, duration_s: float) -> bool:
        """Whether a span is suspicious: for a backend that cannot search."""
        return (
            self.every
            or error
            or (status is not None and status >= LOWEST_STATUS)
            or any(low <= duration_s and (high is None or duration_s <= high) for low, high in self.durations)
        )


def near_limits(chain: Topology | None) -> tuple[Near, ...]:
    """The durations near the limits of this chain; without one, near those of all known products."""
    layers = chain.layers if chain else tuple(_products())
    limits = sorted(
        {
            timer.limit_s
            for layer in layers
            for kind in _ENDS_A_REQUEST
            if (timer := layer.timers.get(kind)) is not None and timer.limit_s is not None
            if chain or _FROM_S <= timer.limit_s <= _TO_S
        }
    )
    merged: list[Near] = []
    for limit_s in limits:
        one = Near(limit_s * _BEFORE, limit_s * _AFTER + _LATE_S)
        if merged and one.from_s <= merged[-1].to_s:
            one = Near(merged.pop().from_s, one.to_s)
        merged.append(one)
    return tuple(merged)


def _products() -> Iterable[Layer]:
    return (preset(name) for name in catalogue())


class Reader(Protocol):
    """One backend, opened.

    After a search `there` is how many traces the time has in all, and `matching` how many of them are suspicious,
    where the backend tells.
    """

    there: int | None
    matching: int | None

    def search(self) -> AsyncIterator[Sequence[str]]:
        """The ids of suspicious traces, page by page, the newest first; an id may come again."""

    def fetch(self, trace_ids: Sequence[str]) -> AsyncIterator[Any]:
        """These traces whole, as export requests of OTLP/JSON that are not looked at yet."""


@dataclass(frozen=True, slots=True)
class Backend:
    """One kind of backend: what its address is, what it is called, and how it is opened.

    `local` is a file: without a beginning all of it is read. `at_once` traces are fetched by one request.
    """

    address: str
    says: str
    opened: Callable[[str, Asked], AbstractAsyncContextManager[Reader]]
    local: bool = False
    at_once: int = 20


@dataclass(slots=True)
class Looked:
    """How a search went: traces found suspicious, fetched whole, and left out by the limit."""

    backend: str
    there: int | None = None
    found: int = 0
    fetched: int = 0
    left_out: int = 0
    more: bool = False  # the search ended at the limit: `left_out` is the least there is
    gone: int = 0  # found, and not there any more when they were fetched
    spans: int = 0
    every: bool = False

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "backend": self.backend,
            "traces": self.there,
            "found": self.found,
            "fetched": self.fetched,
            "left_out": self.left_out,
            "left_out_at_least": self.more,
            "gone": self.gone,
            "spans": self.spans,
            "only_suspicious": not self.every,
        }

    def as_words(self) -> str:
        """For people, in a line."""
        of = "" if self.there is None else f" of {self.there:,}"
        kind = "traces" if self.every else "suspicious traces"
        left = f"{'at least ' if self.more else ''}{self.left_out:,} left out"
        words = f"{self.backend}: {self.found:,}{of} {kind} found, {self.fetched:,} fetched whole, {left}"
        if self.left_out:
            words += " (a higher --limit, or a shorter time, leaves none out)"
        return words + (f", {self.gone:,} not there any more" if self.gone else "")
