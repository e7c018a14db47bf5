"""The policy of a comparison: which rows surely differ, and what that comes to in one word. Pure.

Two runs of the same thing must say "cannot tell" in 95 of 100 comparisons, however many rows there are. So the
chances of a false answer are shared among the rows that can decide (Bonferroni). A row in which both sides saw one
thing without exception cannot differ, and takes no share (Tarone).

The measures have an order of weight: the first one that surely differs in some group gives the answer. Of two
groups that disagree, the worse one does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

from whocut.chain.intervals import POWER, Estimate, difference, needed_for, power_of, two_sided
from whocut.compare.account import MEASURES, Good, Share
from whocut.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from whocut.compare.account import Account, Group, Kind, Measure, Sample

PROMISED: Final = 0.95
"""Of 100 comparisons of a thing with itself, so many say "cannot tell"."""
CONFIDENCE: Final = 0.96
"""What is asked of the intervals for that: counts come in steps, and some pairs of them would tell too often."""
TEN_POINTS: Final = 0.1


class Change(StrEnum):
    """What a row, or the whole, comes to."""

    BETTER = "better"
    WORSE = "worse"
    CANNOT_TELL = "cannot tell"
    SHOWN = "shown"  # a row that has no interval, or decides nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measure of one group on both sides; `apart` is after less before, None where there is no interval.

    `power` says how often samples of these sizes find a change of ten points. `more` is how many further requests a
    side would tell a change as large as the one that was seen; None where nothing was seen to change.
    """

    group: str
    measure: Measure
    before: Sample
    after: Sample
    apart: Estimate | None
    change: Change
    power: float | None = None
    more: int | None = None

    @property
    def differs(self) -> bool:
        """Whether the interval leaves no room for "the same"."""
        return self.apart is not None and (self.apart.low > 0 or self.apart.high < 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class CutChange:
    """How many attempts were cut in one way, before and after."""

    group: str
    phrase: str
    before: int
    of_before: int
    after: int
    of_after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two accounts compared. `confidence` is that of all deciding rows together, `each` that of one of them."""

    kind: Kind
    before: str
    after: str
    answer: Change
    rows: tuple[Row, ...]
    cuts: tuple[CutChange, ...]
    settings: tuple[tuple[str, str, str], ...]
    only: tuple[tuple[str, str], ...]
    doubts: tuple[tuple[str, str], ...]
    confidence: float
    each: float

    @property
    def decided_by(self) -> Row | None:
        """The row that gave the answer; None where none did."""
        return next((row for row in self.rows if row.change is self.answer and row.measure.decides), None)

    @property
    def sure(self) -> tuple[Row, ...]:
        """The rows that surely differ, those that decide first."""
        return tuple(
            sorted((row for row in self.rows if row.differs), key=lambda row: not row.measure.decides)
        )


def compare(before: Account, after: Account, confidence: float = CONFIDENCE) -> Comparison:
    """Hold one account against another.

    Raises:
        BadInput: they are of different kinds, or have no group in common.
    """
    if before.kind is not after.kind:
        raise BadInput(
            f"{before.name} is a {before.kind}, {after.name} a {after.kind}. Compare two of one kind."
        )
    common = [name for name in before.groups if name in after.groups]
    if not common:
        raise BadInput(
            f"nothing in {before.name} has its like in {after.name}: {_names(before)} against {_names(after)}. "
            "Compare runs that ask in the same modes."
        )
    pairs = [
        (group, MEASURES[name], before.groups[group].samples[name], after.groups[group].samples[name])
        for name in MEASURES
        for group in common
        if name in before.groups[group].samples and name in after.groups[group].samples
    ]
    deciding = sum(measure.decides and _can_differ(one, other) for _, measure, one, other in pairs)
    each = 1 - (1 - confidence) / max(1, deciding)
    rows = tuple(_row(*pair, each) for pair in pairs)
    doubts = tuple((side.name, doubt) for side in (before, after) for doubt in side.doubts)
    return Comparison(
        kind=before.kind,
        before=before.name,
        after=after.name,
        answer=Change.CANNOT_TELL if doubts else answer_of(rows),
        rows=rows,
        cuts=tuple(_cuts(common, before, after)),
        settings=tuple(_settings(before, after)),
        only=tuple(_only(before, after)),
        doubts=doubts,
        confidence=confidence,
        each=each,
    )


def answer_of(rows: Sequence[Row]) -> Change:
    """The word for the whole: by the weightiest measure that surely differs, and the worse of its groups."""
    for measure in MEASURES.values():
        mine = {row.change for row in rows if row.measure is measure and measure.decides}
        for change in (Change.WORSE, Change.BETTER):
            if change in mine:
                return change
    return Change.CANNOT_TELL


def _can_differ(before: Sample, after: Sample) -> bool:
    """Whether any interval could leave "the same" out: not where all that both sides saw is one value."""
    one, other = before.between(CONFIDENCE), after.between(CONFIDENCE)
    if one is None or other is None:
        return False
    if isinstance(before, Share) and isinstance(after, Share):
        return 0 < before.hits + after.hits < before.of + after.of
    return not (one == other and one.low == one.high)


def _row(group: str, measure: Measure, before: Sample, after: Sample, each: float) -> Row:
    one, other = before.between(each), after.between(each)
    apart = difference(one, other) if one and other else None
    shares = isinstance(before, Share) and isinstance(after, Share)
    row = Row(
        group=group,
        measure=measure,
        before=before,
        after=after,
        apart=apart,
        change=Change.SHOWN,
        power=_power(before, after, each) if shares and measure.decides else None,
        more=_more(before, after, apart, each) if measure.decides else None,
    )
    if not measure.decides or apart is None:
        return row
    change = Change.CANNOT_TELL
    if row.differs:
        change = Change.BETTER if (apart.value > 0) is (measure.good is Good.MORE) else Change.WORSE
    return replace(row, change=change)


def _power(before: Sample, after: Sample, each: float) -> float | None:
    """How often these sizes find that the share moved by ten points, towards the half, where it is hardest."""
    start = before.value
    if start is None:
        return None
    moved = start - TEN_POINTS if start > 0.5 else start + TEN_POINTS
    return power_of(start, moved, before.size, after.size, each)


def _more(before: Sample, after: Sample, apart: Estimate | None, each: float) -> int | None:
    """How many further requests a side tell the change that was seen; 0 where the sample shows it already."""
    if apart is None or not apart.value:
        return None
    if apart.low > 0 or apart.high < 0:
        return 0
    fewer = min(before.size, after.size)
    if isinstance(before, Share) and isinstance(after, Share):
        # Half a request is added to each side, so that a share of none or all has room to be wrong.
        first, second = ((one.hits + 0.5) / (one.of + 1) for one in (before, after))
        needed = needed_for(first, second, each)
    else:
        # On four times as many an interval is half as wide; a change just as large is told by half of the tries.
        wide = 1 + NormalDist().inv_cdf(POWER) / two_sided(each)
        reach = max(apart.high - apart.value, apart.value - apart.low)
        needed = round(fewer * (wide * reach / abs(apart.value)) ** 2)
    return None if needed is None else max(1, needed - fewer)


def _names(account: Account) -> str:
    return ", ".join(account.groups) or "nothing"


def _cuts(common: Sequence[str], before: Account, after: Account) -> Iterator[CutChange]:
    for name in common:
        one, other = before.groups[name], after.groups[name]
        for phrase in dict.fromkeys([*one.cuts, *other.cuts]):
            yield _cut(name, phrase, one, other)


def _cut(name: str, phrase: str, one: Group, other: Group) -> CutChange:
    return CutChange(
        group=name,
        phrase=phrase,
        before=one.cuts.get(phrase, 0),
        of_before=one.attempts,
        after=other.cuts.get(phrase, 0),
        of_after=other.attempts,
    )


def _settings(before: Account, after: Account) -> Iterator[tuple[str, str, str]]:
    """What was asked differently: the name, before, and after."""
    for name in dict.fromkeys([*before.settings, *after.settings]):
        one, other = before.settings.get(name, "–"), after.settings.get(name, "–")
        if one != other:
            yield name, one, other


def _only(before: Account, after: Account) -> Iterator[tuple[str, str]]:
    """Groups that one side alone has: the side, and the group."""
    for side, other in ((before, after), (after, before)):
        yield from ((side.name, name) for name in side.groups if name not in other.groups)
