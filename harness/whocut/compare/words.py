"""A comparison in sentences: the answer, what gave it, and how many more requests would tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from whocut.compare.account import Figure, Kind, Share
from whocut.compare.decide import PROMISED, TEN_POINTS, Change, Comparison, Row
from whocut.words import UNKNOWN, percent, plural

if TYPE_CHECKING:
    from collections.abc import Iterator


def answer_words(seen: Comparison) -> str:
    """The plain answer in one sentence."""
    if seen.doubts:
        return f"Cannot tell: {seen.doubts[0][0]} is not valid."
    row = seen.decided_by
    if seen.answer is Change.CANNOT_TELL or row is None:
        return f"Cannot tell: nothing that decides surely differs between {seen.before} and {seen.after}."
    return f"{str(seen.answer).capitalize()}: {row_words(row)}."


def more_words(seen: Comparison) -> list[str]:
    """What else surely differs, or how many more requests would tell."""
    said = [f"Also: {row_words(row)}." for row in seen.sure if row is not seen.decided_by and not seen.doubts]
    if seen.answer is Change.CANNOT_TELL and not seen.doubts:
        said += _to_tell(seen)
    said += dict.fromkeys(f"{name} is not valid: {doubt}" for name, doubt in seen.doubts)
    said += [f"Only in {name}: {group}." for name, group in seen.only]
    return said


def _to_tell(seen: Comparison) -> Iterator[str]:
    asked = [row for row in seen.rows if row.change is Change.CANNOT_TELL]
    near = [row for row in asked if row.more]
    if near:
        row = min(near, key=lambda one: one.more or 0)
        yield (
            f"The nearest is {row_words(row)}: if that is real, {plural(row.more or 0, 'more request')} a side "
            "would most likely tell (80 of 100 times)."
        )
    for row in asked:
        if row.power is not None and isinstance(row.before, Share):
            yield (
                f"{_in(row)}with {row.before.size:,} and {row.after.size:,} requests, a change of "
                f"{TEN_POINTS * 100:.0f} points in “{row.measure.says}” is found in "
                f"{percent(row.power, 0)} of comparisons."
            )
            return


def row_words(row: Row) -> str:
    """``plain: delivered 0% → 95.0% (+95.0 points, 90.1 to 98.3)``."""
    return f"{_in(row)}{row.measure.says} {both(row)}{_apart(row)}"


def _in(row: Row) -> str:
    return f"{row.group}: " if row.group else ""


def both(row: Row) -> str:
    """``0% → 95.0%``."""
    return f"{row.measure.written(row.before.value)} → {row.measure.written(row.after.value)}"


def _apart(row: Row) -> str:
    return "" if row.apart is None else f" ({interval(row)})"


def interval(row: Row) -> str:
    """The change between its ends, in points for shares; a dash where it is unknown."""
    apart = row.apart
    if apart is None:
        return UNKNOWN
    if isinstance(row.before, Share):
        return f"{apart.value * 100:+.1f} points, {apart.low * 100:+.1f} to {apart.high * 100:+.1f}"
    return f"{apart.value:+.4g}, {apart.low:+.4g} to {apart.high:+.4g}"


def change_word(row: Row) -> str:
    """The last column: what the row comes to."""
    if row.change is not Change.SHOWN:
        return str(row.change)
    if isinstance(row.before, Figure) or isinstance(row.after, Figure) or row.apart is None:
        return "no interval"
    return "differs" if row.differs else "cannot tell"


def rule_words(seen: Comparison) -> str:
    """How it was decided, for the last line."""
    return (
        f"Intervals of {percent(seen.each)} each, so that all that decide hold together in "
        f"{percent(PROMISED, 0)} of comparisons. Two runs of the same thing say “cannot tell” at least as often."
    )


def as_json(seen: Comparison) -> dict[str, Any]:
    """The whole, for machines."""
    return {
        "kind": str(seen.kind),
        "before": seen.before,
        "after": seen.after,
        "answer": str(seen.answer),
        "sentence": answer_words(seen),
        "more": more_words(seen),
        "confidence": seen.confidence,
        "confidence_each": seen.each,
        "rows": [_row_as_json(row) for row in seen.rows],
        "cuts": [
            {
                "group": cut.group,
                "cut": cut.phrase,
                "before": cut.before,
                "of_before": cut.of_before,
                "after": cut.after,
                "of_after": cut.of_after,
            }
            for cut in seen.cuts
        ],
        "settings": [
            {"name": name, "before": before, "after": after} for name, before, after in seen.settings
        ],
        "only": [{"in": name, "group": group} for name, group in seen.only],
        "doubts": [{"of": name, "doubt": doubt} for name, doubt in seen.doubts],
    }


def _row_as_json(row: Row) -> dict[str, Any]:
    apart = row.apart
    return {
        "group": row.group,
        "measure": row.measure.name,
        "decides": row.measure.decides,
        "before": row.before.value,
        "n_before": row.before.size,
        "after": row.after.value,
        "n_after": row.after.size,
        "difference": None if apart is None else apart.value,
        "interval": None if apart is None else [apart.low, apart.high],
        "change": str(row.change),
        "power_of_10_points": row.power,
        "more_requests_a_side": row.more,
    }


def attempts_word(kind: Kind) -> str:
    """What the cuts are counted in."""
    return "requests" if kind is Kind.CHECK else "attempts"
