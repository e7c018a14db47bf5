"""A real gateway's account, put together from the two taps beside it: it writes no span of its own.

The tap outside saw what the gateway's caller was given, the tap inside what it asked for and when it let go.
Which timer that was is not said. It is read off the time from the event that a timer counts from to the gateway's
leaving. It is also read off the way in which the gateway answered; where no timer fits, none is named.

Taps of a user's have a clock each. Then durations tell whether the gateway or its caller was first to go, and the
account says how sure that is.

One file, because which timer it was and how sure that is are read off the same two accounts.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, fields, replace
from http import HTTPStatus
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from whocut.chain.timers import Phase, Timer, TimerKind
from whocut.trace.records import (
    AttemptRecord,
    Cut,
    DeathRecord,
    DownstreamEnd,
    GenerationRecord,
    LayerRecord,
    Span,
    TapSide,
    UpstreamEnd,
)
from whocut.verdict.order import (
    NOTICED_WITHIN_S,
    Order,
    Sure,
    apart_s,
    came_at_once,
    clock_of,
    on_one_clock,
    one_good_answer,
    order_of,
    told_at_once,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from whocut.chain.layers import Layer, Topology

# A timer has fired when the gateway left within these shares of its limit, before and after. Before: a timer is set
# by a clock that a busy loop reads late. After: the gateway's loop may have been late to act, or a tap's to see it.
_EARLY: Final = 0.1
_LATE: Final = 0.5
# Where it answers with another status than this timer's by default, as a page of the house does, the time alone
# tells the timer, and has to tell more exactly.
_EARLY_ALONE: Final = 0.05
_LATE_ALONE: Final = 0.25
# Two timers may have been due. The nearer one has fired where the other is this many times as far off.
_NEARER: Final = 3.0
_LEAST_OFF: Final = 0.01
_ERROR: Final = 400
_CROSSED_S: Final = 1.0  # a response and a caller's leaving are not so long on their ways
_BESIDE: Final = (TapSide.OUTSIDE, TapSide.INSIDE)


@dataclass(slots=True, kw_only=True)
class GatewayRecord(LayerRecord):
    """A gateway's account; `sure` is how far the order of its two ends can be trusted.

    `inner_clock` is that of the tap inside: where it is a run's own door, nothing unknown is behind it. `unknown`
    is a place between two taps of which nothing is said.
    """

    sure: Sure = Sure.YES
    inner_clock: str | None = None
    unknown: bool = False


def inner_clock_of(witness: LayerRecord) -> str | None:
    """The clock of a witness's side towards the model; None is the run's."""
    return witness.inner_clock if isinstance(witness, GatewayRecord) else clock_of(witness)


def whole_layers(spans: Iterable[Span], topology: Topology) -> list[Span]:
    """The spans with one for each gateway, of its name and at its place, instead of those of its taps."""
    spans = list(spans)
    inside = {
        span.span_id: span for span in spans if isinstance(span, LayerRecord) and span.tap is TapSide.INSIDE
    }
    if not any(isinstance(span, LayerRecord) and span.tap in _BESIDE for span in spans):
        return spans
    deaths = {span.layer: span for span in reversed(spans) if isinstance(span, DeathRecord)}
    asked = _asked(spans, inside)
    at_once = _held_nowhere(spans)
    whole = []
    for span in spans:
        if span.span_id in inside:
            continue
        if span.parent_id in inside:
            span = replace(span, parent_id=inside[span.parent_id].parent_id)  # noqa: PLW2901  # the same span, moved
        if isinstance(span, LayerRecord) and span.tap is TapSide.OUTSIDE:
            tries = sorted(asked.get(span.span_id, ()), key=lambda one: one.start_s)
            layer, death = topology.layer(span.layer), deaths.get(span.layer)
            span = _account(span, tries, layer, death, at_once=span.trace_id in at_once)  # noqa: PLW2901
        whole.append(span)
    return whole


def _held_nowhere(spans: list[Span]) -> set[str]:
    """The traces whose work all began as soon as a client had asked for it: both tell it by the run's clock."""
    asked: dict[str, list[float]] = {}
    begun: dict[str, list[float]] = {}
    for span in spans:
        if isinstance(span, AttemptRecord):
            asked.setdefault(span.trace_id, []).append(span.start_s)
        elif isinstance(span, GenerationRecord):
            begun.setdefault(span.trace_id, []).append(span.start_s)
    return {
        trace
        for trace, starts_s in begun.items()
        if all(_asked_for(start_s, asked.get(trace, ())) for start_s in starts_s)
    }


def _asked_for(begun_s: float, asked_s: Iterable[float]) -> bool:
    return any(at_s <= begun_s and came_at_once(at_s, begun_s) for at_s in asked_s)


def _asked(spans: list[Span], inside: dict[str, LayerRecord]) -> dict[str, list[LayerRecord]]:
    """The tries of each gateway, by the span of the tap outside of it.

    Where a tap between them wrote nothing, the parent is not known: then it is the only such tap of its trace.
    """
    by_place: dict[tuple[str, str], list[str]] = {}
    for span in spans:
        if isinstance(span, LayerRecord) and span.tap is TapSide.OUTSIDE:
            by_place.setdefault((span.trace_id, span.layer), []).append(span.span_id)
    asked: dict[str, list[LayerRecord]] = {}
    for tap in inside.values():
        outer = by_place.get((tap.trace_id, tap.layer), [])
        parent = tap.parent_id if tap.parent_id in outer or len(outer) != 1 else outer[0]
        asked.setdefault(parent or "", []).append(tap)
    return asked


def fired_early(spans: Iterable[Span]) -> dict[str, float]:
    """The gateways whose timers cut live streams before their limits: by how much at most, in seconds."""
    early: dict[str, float] = {}
    for span in spans:
        if not isinstance(span, LayerRecord) or not span.by_taps or span.cut is None:
            continue
        cut = span.cut
        if cut.phase is Phase.STREAM and span.last_byte_s is not None:
            left_s = cut.limit_s - (cut.at_s - span.last_byte_s)
            if left_s > _EARLY * cut.limit_s:
                early[span.layer] = max(left_s, early.get(span.layer, 0.0))
    return early


@dataclass(frozen=True, slots=True)
class _Fired:
    """A timer that fits."""

    timer: Timer
    phase: Phase


@dataclass(frozen=True, slots=True)
class _End:
    """How the gateway's side towards the model ended, by what the taps saw of it."""

    how: UpstreamEnd
    at_s: float | None
    fired: _Fired | None = None
    gone: str | None = None
    sure: Sure = Sure.YES


def _account(
    outside: LayerRecord,
    tries: list[LayerRecord],
    layer: Layer | None,
    death: DeathRecord | None,
    *,
    at_once: bool,
) -> GatewayRecord:
    first, last = (tries[0], tries[-1]) if tries else (None, None)
    # The first try tells how far the two clocks are apart: a later one began late.
    by_s = apart_s(outside, first) if first else 0.0
    inside = last if last is None or not by_s else _moved(last, by_s)
    sides = _Sides(
        outside,
        inside,
        layer,
        death,
        order=_order(outside, last),
        clocks_agree=first is None or _clocks_agree(outside, first),
        asked_s=first.start_s + by_s if first else outside.start_s,
        asked_again_s=_asked_again_s(tries, by_s),
        at_once=at_once,
    )
    end = _ended(sides)
    cut = _cut_of(end)
    told = {one.name: getattr(outside, one.name) for one in fields(LayerRecord)} | {
        "end_s": max(outside.end_s, inside.end_s if inside else outside.end_s),
        "error": cut.words if cut else end.gone or outside.error,
        "gateway": (layer.gateway if layer else "") or outside.layer,
        "tap": None,
        "tap_lazy_s": None,
        "clock": clock_of(outside),
        "upstream": end.how,
        "upstream_s": end.at_s,
        "downstream": _downstream(outside, inside, end),
        "downstream_s": outside.upstream_s,
        "request_sent_s": (inside or outside).request_sent_s,
        "first_byte_s": (inside or outside).first_byte_s,
        "last_byte_s": (inside or outside).last_byte_s,
        "largest_gap_s": (inside or outside).largest_gap_s,
        "cut": cut,
        "gone": end.gone,
        "resent": len(tries) - 1 if len(tries) > 1 else None,
    }
    unknown = layer is None or not layer.timers
    return GatewayRecord(**told, sure=end.sure, inner_clock=clock_of(last or outside), unknown=unknown)


def _clocks_agree(outside: LayerRecord, first: LayerRecord) -> bool:
    """Whether the request came to the tap inside when the tap outside had it, or had passed it on."""
    if on_one_clock(outside, first):
        return True
    passed_on = (outside.start_s, outside.request_sent_s)
    return any(at_s is not None and abs(first.start_s - at_s) <= NOTICED_WITHIN_S for at_s in passed_on)


def _asked_again_s(tries: Sequence[LayerRecord], by_s: float) -> float | None:
    """When the gateway may have begun its last try at the earliest: when the one before it had ended."""
    if len(tries) < 2:
        return None
    before, last = tries[-2:]
    return min(before.end_s, last.start_s) + by_s


def _moved(inside: LayerRecord, by_s: float) -> LayerRecord:
    """The same on the outer tap's clock."""
    moved = copy.deepcopy(inside)
    moved.move(by_s)
    moved.move_own(by_s)
    return moved


def _order(outside: LayerRecord, inside: LayerRecord | None) -> Order:
    """Whether the gateway's inner side ended before or after its caller left; told on the witnesses' own clocks."""
    caller_left_s = outside.caller_left_s
    if inside is None or caller_left_s is None:
        return Order.UNKNOWN
    ended_s = inside.downstream_s if inside.downstream is DownstreamEnd.LEFT else inside.upstream_s
    return Order.UNKNOWN if ended_s is None else order_of(outside, caller_left_s, inside, ended_s)


def _cut_of(end: _End) -> Cut | None:
    if end.fired is None or end.at_s is None:
        return None
    timer, phase = end.fired.timer, end.fired.phase
    return Cut(
        timer=timer.kind,
        directive=timer.named_in(phase),
        phase=phase,
        limit_s=timer.limit_s,
        at_s=end.at_s,
    )


@dataclass(frozen=True, slots=True)
class _Sides:
    """What the two taps saw of one request, on the clock of the one outside.

    `order` is when the gateway let go, and `asked_s` when its first try began. `at_once`: by the client's and the
    ledger's instants, which are on one clock, the request was held nowhere on its way.
    """

    outside: LayerRecord
    inside: LayerRecord | None
    layer: Layer | None
    death: DeathRecord | None
    order: Order
    clocks_agree: bool
    asked_s: float
    asked_again_s: float | None = None
    at_once: bool = False

    @property
    def held_less(self) -> bool:
        """Whether the tap inside was held for a shorter time than the tap outside, each on its own clock."""
        caller_left_s, inside = self.outside.caller_left_s, self.inside
        if inside is None or caller_left_s is None:
            return False
        inner_s, outer_s = inside.end_s - inside.start_s, caller_left_s - self.outside.start_s
        return outer_s - inner_s > NOTICED_WITHIN_S

    @property
    def caller(self) -> UpstreamEnd:
        """How the side towards the caller ended, as the tap there saw it."""
        return self.outside.upstream

    @property
    def had_s(self) -> float:
        """When the gateway had the request."""
        sent_s = self.outside.request_sent_s
        return self.outside.start_s if sent_s is None else sent_s

    def let_go_s(self, inside_s: float) -> float:
        """When the gateway let go: by the first of its two sides to show it, since it tells both at once."""
        caller_s, first_s = self.outside.upstream_s, self.outside.first_byte_s
        if self.caller.by_us or caller_s is None:
            return inside_s
        streamed = self.inside is not None and self.inside.first_byte_s is not None
        return min(inside_s, caller_s if streamed or first_s is None else first_s)

    def may_have_held_s(self, inside: LayerRecord) -> float:
        """For how long the gateway may have held the request before it asked, where two clocks do not tell."""
        if self.clocks_agree:
            return 0.0
        if one_good_answer(self.outside, inside):  # its first byte came to both at one instant
            assert self.outside.first_byte_s is not None
            assert inside.first_byte_s is not None
            waited_s = self.outside.first_byte_s - self.outside.start_s
            return max(0.0, waited_s - (inside.first_byte_s - inside.start_s))
        caller_s = self.outside.upstream_s
        outer_s = 0.0 if caller_s is None else caller_s - self.outside.start_s
        return max(0.0, outer_s - (inside.end_s - inside.start_s))

    def kept_for_s(self, inside: LayerRecord) -> float:
        """For how long the gateway had a whole response when its caller left."""
        caller_left_s, had_s = self.outside.caller_left_s, inside.downstream_s
        return 0.0 if caller_left_s is None or had_s is None else caller_left_s - had_s

    def died_by(self, at_s: float | None) -> str | None:
        """Why the gateway was no more at an instant, if it was not."""
        if self.death is None or at_s is None or at_s < self.death.start_s:
            return None
        return self.death.why


def _ended(sides: _Sides) -> _End:
    inside = sides.inside
    if inside is None:
        return _never_asked(sides)
    if inside.downstream is DownstreamEnd.LEFT and inside.downstream_s is not None:
        return _left(sides, inside, sides.let_go_s(inside.downstream_s))
    if inside.downstream is DownstreamEnd.ANSWERED:
        gone = None
        if sides.caller.by_them:
            gone = (
                sides.died_by(sides.outside.upstream_s)
                or f"it had the response whole, and its caller saw {sides.caller}"
            )
        elif inside.status is not None and inside.status < _ERROR <= (sides.outside.status or 0):
            gone = f"it had the response whole, and answered {sides.outside.status}"
        sure = Sure.YES
        if sides.caller.by_us and sides.outside.first_byte_s is None:
            # It gave its caller nothing of it: that was first, unless the two crossed.
            if not on_one_clock(sides.outside, inside):
                sure = Sure.BY_INSTANT
            elif sides.kept_for_s(inside) > _CROSSED_S:
                gone = "it had the response whole, and its caller got none of it"
        return _End(UpstreamEnd.COMPLETE, inside.downstream_s, gone=gone, sure=sure)
    at_s = inside.upstream_s
    sure = Sure.YES if at_s is None else _followed(sides, at_s, due=False)[1]
    if inside.upstream.by_them and at_s is not None:
        if _answered_a_timeout(sides):
            sure = Sure.NO  # its own timer and the upstream's end crossed
        elif sides.layer is None or not sides.layer.timers:
            one_clock = on_one_clock(sides.outside, inside)
            asked_s = sides.outside.start_s if one_clock else sides.asked_s
            sure = max(sure, told_at_once(sides.outside, asked_s, at_s, passed_at_once=sides.at_once))
    return _End(inside.upstream, at_s, sure=sure)


def _answered_a_timeout(sides: _Sides) -> bool:
    """Whether the gateway told its caller that it had waited for too long, and not that its upstream had ended."""
    ended = sides.layer.answers.get("bad_gateway") if sides.layer else None
    told = sides.outside.status if sides.caller is UpstreamEnd.COMPLETE else None
    return told == HTTPStatus.GATEWAY_TIMEOUT and (ended is None or ended.status != told)


def _never_asked(sides: _Sides) -> _End:
    """The request came no further than the gateway, as far as the tap inside tells: a user's may have fallen."""
    at_s = sides.outside.upstream_s
    gone = None
    if sides.caller.by_them:
        gone = sides.died_by(at_s) or f"it took no request: {sides.caller}"
    elif sides.caller is UpstreamEnd.COMPLETE:
        gone = f"it answered {sides.outside.status} and asked no upstream"
    sure = Sure.YES if clock_of(sides.outside) is None else Sure.BY_INSTANT
    return _End(UpstreamEnd.NONE, at_s, gone=gone, sure=sure)


def _left(sides: _Sides, inside: LayerRecord, at_s: float) -> _End:
    """The gateway let go before the response was whole: after its caller, by a timer, or by neither."""
    layer = sides.layer
    due = _due(sides, inside, at_s)
    fired = due[0] if len(due) == 1 else None
    followed, sure = _followed(sides, at_s, due=fired is not None)
    if followed and (fired is None or layer is None or layer.notices_abort):
        return _End(UpstreamEnd.ABANDONED, at_s, sure=sure)
    why = sides.died_by(at_s)
    if fired is not None and why is None:
        return _End(UpstreamEnd.CUT, at_s, fired=fired, sure=sure)
    if why is None:
        which = "and its limits are not known"
        if layer is not None and layer.timers:
            which = f"which fits {_both(due)} alike" if due else "which fits none of its timers"
        why = f"it gave up after {max(0.0, at_s - inside.start_s):.1f} s, {which}"
    return _End(UpstreamEnd.GONE, at_s, gone=why, sure=sure)


def _followed(sides: _Sides, at_s: float, *, due: bool) -> tuple[bool, Sure]:
    """Whether the gateway let go after its caller, and how sure that is; `due`: a timer of its own was due then."""
    caller_left_s = sides.outside.caller_left_s
    if not sides.caller.by_us or caller_left_s is None:
        return False, Sure.YES
    if sides.order is not Order.UNKNOWN:
        return sides.order is Order.AFTER, Sure.YES
    if not sides.held_less:
        return True, Sure.NO if due else Sure.BY_INSTANT
    return caller_left_s - at_s <= NOTICED_WITHIN_S, Sure.BY_INSTANT if sides.clocks_agree else Sure.NO


def _due(sides: _Sides, inside: LayerRecord, at_s: float) -> tuple[_Fired, ...]:
    """The timers that were due when the gateway left: one, where that one was clearly nearer than each other."""
    known = sides.layer.timers if sides.layer else {}
    due = sorted(
        (
            (*off, running.phase, timer, running.from_s + timer.limit_s)
            for running in _running(sides, inside)
            if (timer := known.get(running.kind)) is not None
            and (off := _off(sides, running, timer, at_s)) is not None
        ),
        key=itemgetter(0),
    )
    if not due:
        return ()
    # A timer that may have been set at any instant of a long time is no nearer than another.
    any_near = any(vague for _, vague, _, _, _ in due)
    nearest_off = math.inf if any_near else max(due[0][0], _LEAST_OFF) * _NEARER
    # Nor is the nearest one alone where another was due before it: of two, the later one never fires.
    nearest_s = due[0][4]
    fits = {
        timer.directive: _Fired(timer, phase)
        for off, _, phase, timer, due_s in reversed(due)
        if off < nearest_off or due_s < nearest_s
    }
    return tuple(fits.values()) or (_Fired(due[0][3], due[0][2]),)


def _both(due: Sequence[_Fired]) -> str:
    """The knobs of timers that were due at one instant."""
    return " and ".join(sorted(one.timer.named_in(one.phase) for one in due))


class _Running(NamedTuple):
    """A timer that may have run when the gateway let go, and the instants between which it had been set."""

    kind: TimerKind
    phase: Phase
    from_s: float
    to_s: float


def _running(sides: _Sides, inside: LayerRecord) -> Iterator[_Running]:
    held_s = sides.may_have_held_s(inside)
    # A timer of one try was set no sooner than that try.
    sent_s = sides.had_s - held_s if sides.asked_again_s is None else sides.asked_again_s
    if inside.request_sent_s is None:
        yield _Running(TimerKind.IDLE, Phase.SEND, sent_s, inside.start_s)
        phase = Phase.SEND
    elif inside.first_byte_s is None:
        # It was set after the gateway had the request, and before the tap inside saw it come: on a busy machine the
        # tap sees it late.
        phase = Phase.WAIT
        yield _Running(TimerKind.FIRST_BYTE, phase, sent_s, inside.request_sent_s)
        if sides.layer is None or sides.layer.idle_waits:
            yield _Running(TimerKind.IDLE, phase, sent_s, inside.request_sent_s)
    else:
        phase = Phase.STREAM
        last_s = inside.first_byte_s if inside.last_byte_s is None else inside.last_byte_s
        yield _Running(TimerKind.IDLE, phase, last_s - (inside.tap_lazy_s or 0.0), last_s)
    since_s = sides.outside.start_s - held_s
    yield _Running(TimerKind.TOTAL, phase, since_s, inside.request_sent_s or inside.start_s)


def _off(sides: _Sides, running: _Running, timer: Timer, at_s: float) -> tuple[float, bool] | None:
    """By which share of its limit the gateway left off the timer's instant; None where that timer was not due.

    And whether that is vague: the time in which the timer may have been set is long.
    """
    early, late = _EARLY, _LATE
    if not (running.phase is Phase.STREAM or sides.caller.by_us):
        if sides.caller is not UpstreamEnd.COMPLETE:
            return None  # a timer is known by its answer: a process that died gives none
        assert sides.layer is not None
        answers = sides.layer.answers
        answer = answers.get(running.kind) or answers.get("expiry")
        if answer is not None and sides.outside.status != answer.status:
            early, late = _EARLY_ALONE, _LATE_ALONE
    longest, shortest = (at_s - running.from_s) / timer.limit_s, (at_s - running.to_s) / timer.limit_s
    if longest < 1 - early or shortest > 1 + late:
        return None
    off = max(0.0, 1 - longest, shortest - 1)
    return off, off == 0 and longest - shortest > _EARLY


def _downstream(outside: LayerRecord, inside: LayerRecord | None, end: _End) -> DownstreamEnd:
    caller = outside.upstream
    if caller.by_us:
        return DownstreamEnd.LEFT
    if caller.by_them:
        return DownstreamEnd.TRUNCATED
    if caller is UpstreamEnd.NONE:
        return DownstreamEnd.NONE
    if end.how is UpstreamEnd.COMPLETE:
        own = inside is not None and inside.status not in {None, outside.status}
        return DownstreamEnd.OWN_ANSWER if own else DownstreamEnd.ANSWERED
    streamed = inside is not None and inside.first_byte_s is not None
    return DownstreamEnd.TRUNCATED if streamed else DownstreamEnd.OWN_ANSWER
