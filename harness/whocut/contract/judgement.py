"""What a judge says of a trial: kept, broken, or not tried, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Ruling(StrEnum):
    """The three words. What was not watched long enough, or may be chance, is not tried."""

    KEPT = "kept"
    BROKEN = "broken"
    NOT_TRIED = "not_tried"


@dataclass(frozen=True, slots=True)
class Judgement:
    """One ruling. `at_least`: the watch was over before the client was: its attempts are so many, or more.

    `unclear`: nothing can be said because chance or this machine's delays hide it; another play may show it.
    """

    ruling: Ruling
    why: str = ""
    at_least: int | None = None
    unclear: bool = False


KEPT = Judgement(Ruling.KEPT)


def kept(why: str = "") -> Judgement:
    """The rule holds."""
    return Judgement(Ruling.KEPT, why)


def broken(why: str, at_least: int | None = None) -> Judgement:
    """The rule does not hold; a floor stays a floor."""
    return Judgement(Ruling.BROKEN, why, at_least)


def not_tried(why: str) -> Judgement:
    """Nothing can be said, for this reason."""
    return Judgement(Ruling.NOT_TRIED, why)


def unclear(why: str) -> Judgement:
    """Nothing can be said after this play, for this reason; another one may decide."""
    return Judgement(Ruling.NOT_TRIED, why, unclear=True)
