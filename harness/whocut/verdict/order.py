"""Which of two ends of one exchange was first, where an outer and an inner witness each saw one. Pure.

On one clock the instants tell. Two clocks are never compared: then only durations count. An exchange cannot begin
further in before it began further out, so that an end that took longer further in came later. It came earlier for
certain only where both saw the first byte of one good answer, which passes the inner witness first. What lies
between is not known: between the two beginnings a layer may have held the request for any time.
"""

from __future__ import annotations

from enum import Enum, IntEnum, auto
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from whocut.trace.records import TapSide

if TYPE_CHECKING:
    from whocut.trace.records import LayerRecord

# How late a witness on a busy machine may notice an end, in seconds: durations that differ by less tell nothing.
NOTICED_WITHIN_S: Final = 0.5


class Order(Enum):
    """When the inner end was, as seen from the outer one."""

    AFTER = auto()
    BEFORE = auto()
    UNKNOWN = auto()


class Sure(IntEnum):
    """How far an order can be trusted: a verdict that rests on it is never better than this allows."""

    YES = 0
    BY_INSTANT = 1  # two clocks agree on it and no duration does, or a witness is silent: testified at most
    NO = 2  # both orders explain what was seen: inferred at most


def clock_of(witness: LayerRecord) -> str | None:
    """The clock that a record's instants are on; None is the run's, which all of its layers share."""
    if witness.clock is not None:
        return witness.clock or None
    return witness.layer if witness.tap is TapSide.ALONE else None


def on_one_clock(one: LayerRecord, other: LayerRecord) -> bool:
    """Whether the instants of two records may be compared."""
    return clock_of(one) == clock_of(other)


def noticed_within_s(one: LayerRecord, other: LayerRecord) -> float:
    """By how much two durations must differ to tell something: a machine is late in real seconds."""
    return NOTICED_WITHIN_S * max(1.0, one.stretched, other.stretched)


def left_of(witness: LayerRecord) -> float | None:
    """When a witness's caller left, on the witness's clock; None where it did not, or no instant is known."""
    if witness.caller_left_s is not None or not witness.caller_went_first:
        return witness.caller_left_s
    return witness.downstream_s


def order_of(outer: LayerRecord, outer_s: float, inner: LayerRecord, inner_s: float) -> Order:
    """When `inner_s` was, as the inner witness has it, held against `outer_s`, as the outer witness has it."""
    if on_one_clock(outer, inner):
        return Order.AFTER if inner_s >= outer_s else Order.BEFORE
    late_s = noticed_within_s(outer, inner)
    if inner_s - inner.start_s > outer_s - outer.start_s + late_s:
        return Order.AFTER
    if one_good_answer(outer, inner):
        assert outer.first_byte_s is not None
        assert inner.first_byte_s is not None
        if inner_s - inner.first_byte_s + late_s < outer_s - outer.first_byte_s:
            return Order.BEFORE
    return Order.UNKNOWN


def one_good_answer(outer: LayerRecord, inner: LayerRecord) -> bool:
    """Whether both saw the first byte of the same answer: an error may be a layer's own."""
    if outer.first_byte_s is None or inner.first_byte_s is None or inner.status is None:
        return False
    return outer.status == inner.status and inner.status < 400


def told_at_once(outer: LayerRecord, asked_s: float, ended_s: float, *, passed_at_once: bool) -> Sure:
    """How sure it is that the outer witness heard of an end at `ended_s` because of it, and not of another's.

    What is between may be two layers, and the inner one blind: the outer one may have let go before, and told it
    late; or it may have let go while the inner one held the request back, which then took as long further in.
    `asked_s` is when the inner witness was first asked; both are on the inner witness's clock, put onto the outer
    one's by `apart_s`. Where the outer witness heard no later than the end explains, and had a part of a good
    answer before, nothing else fits. Without such a part only clocks tell when the request came in.
    `passed_at_once`: the client and the ledger, on one clock, say that it was held nowhere.
    """
    error = outer.status is not None and outer.status >= HTTPStatus.BAD_REQUEST
    told_s = outer.first_byte_s if error and outer.first_byte_s is not None else outer.upstream_s
    if told_s is None or outer.upstream.by_us:  # it let go itself: `order_of` tells
        return Sure.YES
    if (told_s - outer.start_s) - (ended_s - asked_s) <= NOTICED_WITHIN_S:
        answered = outer.first_byte_s is not None and not error
        return Sure.YES if answered or passed_at_once else Sure.BY_INSTANT
    return Sure.BY_INSTANT if told_s - ended_s <= NOTICED_WITHIN_S else Sure.NO


def apart_s(outer: LayerRecord, inner: LayerRecord) -> float:
    """By how much the inner witness's instants have to be moved to be on the outer one's clock.

    Where the two clocks agree, nothing moves. Where what they say cannot be, the request is taken to have passed at
    once: no more is known.
    """
    if on_one_clock(outer, inner):
        return 0.0
    longest_s = outer.end_s - outer.start_s
    if one_good_answer(outer, inner):
        assert outer.first_byte_s is not None
        assert inner.first_byte_s is not None
        longest_s = (outer.first_byte_s - outer.start_s) - (inner.first_byte_s - inner.start_s)
    passed_s = inner.start_s - outer.start_s
    if 0.0 <= passed_s <= max(0.0, longest_s) + NOTICED_WITHIN_S:
        return 0.0
    return -passed_s


def came_at_once(asked_s: float, begun_s: float) -> bool:
    """Whether work that began at an instant was asked for at another, on the same clock, and held nowhere."""
    return begun_s - asked_s <= NOTICED_WITHIN_S
