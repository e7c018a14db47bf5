"""What is compared: the account of a run, a check or a sweep, as samples by group and measure. Pure.

A group is what is compared with its like: a mode of a run, a case of a check, a level of a sweep. A measure says
which way is better. A sample is what was seen of it, and knows its own interval.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from statistics import fmean
from typing import TYPE_CHECKING, Final, Protocol

from whocut.chain.intervals import Estimate, of_mean, of_median, wilson
from whocut.chain.money import format_dollars
from whocut.chain.percentiles import percentile
from whocut.words import in_seconds, percent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Sample(Protocol):
    """What was seen of one measure in one group."""

    @property
    def value(self) -> float | None:
        """The measure itself; None where nothing was seen."""

    @property
    def size(self) -> int:
        """How many requests it rests on."""

    def between(self, confidence: float) -> Estimate | None:
        """The value with its interval; None where the sample cannot have one."""


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many requests."""

    hits: int
    of: int

    @property
    def value(self) -> float | None:
        """The share."""
        return self.hits / self.of if self.of else None

    @property
    def size(self) -> int:
        """How many requests it rests on."""
        return self.of

    def between(self, confidence: float) -> Estimate | None:
        """Wilson's interval."""
        ends = wilson(self.hits, self.of, confidence)
        return Estimate(self.hits / self.of, *ends) if ends else None


@dataclass(frozen=True, slots=True)
class Mean:
    """One value a request, compared by their mean."""

    values: tuple[float, ...]

    @property
    def value(self) -> float | None:
        """The mean."""
        return fmean(self.values) if self.values else None

    @property
    def size(self) -> int:
        """How many requests it rests on."""
        return len(self.values)

    def between(self, confidence: float) -> Estimate | None:
        """Student's interval."""
        return of_mean(self.values, confidence)


@dataclass(frozen=True, slots=True)
class Median:
    """One value a request, compared by their median."""

    values: tuple[float, ...]

    @property
    def value(self) -> float | None:
        """The median."""
        return percentile(self.values, 50)

    @property
    def size(self) -> int:
        """How many requests it rests on."""
        return len(self.values)

    def between(self, confidence: float) -> Estimate | None:
        """The interval between two of the values."""
        return of_median(self.values, confidence)


@dataclass(frozen=True, slots=True)
class Figure:
    """A value whose single requests are not known: it has no interval, and decides nothing."""

    value: float | None
    size: int = 0

    def between(self, confidence: float) -> Estimate | None:
        """None: nothing says how sure it is."""
        del confidence
        return None  # of the protocol's two answers this one


class Good(StrEnum):
    """Which way a measure is better."""

    MORE = "more"
    LESS = "less"


class Weight(StrEnum):
    """Whether a measure can give the answer, or is only shown."""

    DECIDES = "decides"
    SHOWN = "shown"


@dataclass(frozen=True, slots=True)
class Measure:
    """What is compared: its name for machines and for people, which way is better, and whether it decides."""

    name: str
    says: str
    good: Good
    weight: Weight
    written: Callable[[float | None], str]

    @property
    def decides(self) -> bool:
        """Whether a sure change of it gives an answer."""
        return self.weight is Weight.DECIDES


def _rate(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


# In the order of their weight: the first one that surely differs gives the answer.
MEASURES: Final = {
    measure.name: measure
    for measure in (
        Measure("delivered", "delivered", Good.MORE, Weight.DECIDES, percent),
        Measure("usd_per_request", "dollars a request", Good.LESS, Weight.DECIDES, format_dollars),
        Measure("share_429", "met a 429", Good.LESS, Weight.DECIDES, percent),
        Measure("time_to_image_s", "time to image, median", Good.LESS, Weight.DECIDES, in_seconds),
        Measure("first_byte_s", "time to first byte, median", Good.LESS, Weight.SHOWN, in_seconds),
        Measure("generations_per_request", "generations a request", Good.LESS, Weight.SHOWN, _rate),
        Measure("orphaned_s_per_request", "orphaned seconds a request", Good.LESS, Weight.SHOWN, in_seconds),
        Measure("usd_per_delivered", "dollars a delivered image", Good.LESS, Weight.SHOWN, format_dollars),
        Measure("delivered_per_min", "images a minute", Good.MORE, Weight.SHOWN, _rate),
        Measure("max_in_flight", "at most in flight", Good.MORE, Weight.SHOWN, _rate),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What is compared with its like; `cuts` counts attempts by the way in which they were cut, in one phrase."""

    samples: Mapping[str, Sample]
    cuts: Mapping[str, int] = field(default_factory=dict)
    attempts: int = 0


class Kind(StrEnum):
    """What was read; only like is compared with like."""

    RUN = "run"
    CHECK = "check"
    SWEEP = "sweep"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One side of a comparison. `doubts` say why its figures cannot be trusted; `settings` what was asked of it."""

    kind: Kind
    name: str
    groups: Mapping[str, Group]
    settings: Mapping[str, str] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()
