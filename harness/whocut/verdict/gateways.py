"""A real gateway's account, put together from the two taps beside it: it writes no span of its own.

The tap outside saw what the gateway's caller was given, the tap inside what it asked for and when it let go.
Which timer that was is not said. It is read off the time from the event that a timer counts from to the gateway's
leaving, and off the way in which the gateway answered; where no timer fits, none is named.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from whocut.chain.timers import Phase, Timer, TimerKind
from whocut.trace.records import Cut, DeathRecord, DownstreamEnd, LayerRecord, Span, TapSide, UpstreamEnd

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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
_BESIDE: Final = (TapSide.OUTSIDE, TapSide.INSIDE)


def whole_layers(spans: Iterable[Span], topology: Topology) -> list[Span]:
    """The spans with one for each gateway, of its name and at its place, instead of those of its taps."""
    spans = list(spans)
    inside = {
        span.span_id: span for span in spans if isinstance(span, LayerRecord) and span.tap is TapSide.INSIDE
    }
    if not any(isinstance(span, LayerRecord) and span.tap in _BESIDE for span in spans):
        return spans
    deaths = {span.layer: span for span in reversed(spans) if isinstance(span, DeathRecord)}
    asked: dict[str | None, list[LayerRecord]] = {}
    for tap in inside.values():
        asked.setdefault(tap.parent_id, []).append(tap)
    whole = []
    for span in spans:
        if span.span_id in inside:
            continue
        if span.parent_id in inside:
            span = replace(span, parent_id=inside[span.parent_id].parent_id)  # noqa: PLW2901  # the same span, moved
        if isinstance(span, LayerRecord) and span.tap is TapSide.OUTSIDE:
            tries = sorted(asked.get(span.span_id, ()), key=lambda one: one.start_s)
            span = _account(span, tries, topology.layer(span.layer), deaths.get(span.layer))  # noqa: PLW2901
        whole.append(span)
    return whole


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


def _account(
    outside: LayerRecord, tries: list[LayerRecord], layer: Layer | None, death: DeathRecord | None
) -> LayerRecord:
    inside = tries[-1] if tries else None
    end = _ended(_Sides(outside, inside, layer, death))
    cut = _cut_of(end)
    return replace(
        outside,
        end_s=max(outside.end_s, inside.end_s if inside else outside.end_s),
        error=cut.words if cut else end.gone or outside.error,
        gateway=(layer.gateway if layer else "") or outside.layer,
        tap=None,
        tap_lazy_s=None,
        upstream=end.how,
        upstream_s=end.at_s,
        downstream=_downstream(outside, inside, end),
        downstream_s=outside.upstream_s,
        request_sent_s=(inside or outside).request_sent_s,
        first_byte_s=(inside or outside).first_byte_s,
        last_byte_s=(inside or outside).last_byte_s,
        largest_gap_s=(inside or outside).largest_gap_s,
        cut=cut,
        gone=end.gone,
        resent=len(tries) - 1 if len(tries) > 1 else None,
    )


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
    """What the two taps saw of one request."""

    outside: LayerRecord
    inside: LayerRecord | None
    layer: Layer | None
    death: DeathRecord | None

    @property
    def caller(self) -> UpstreamEnd:
        """How the side towards the caller ended, as the tap there saw it."""
        return self.outside.upstream

    @property
    def asked_s(self) -> float:
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
        return _End(UpstreamEnd.COMPLETE, inside.downstream_s, gone=gone)
    return _End(inside.upstream, inside.upstream_s)


def _never_asked(sides: _Sides) -> _End:
    """The request came no further than the gateway."""
    at_s = sides.outside.upstream_s
    gone = None
    if sides.caller.by_them:
        gone = sides.died_by(at_s) or f"it took no request: {sides.caller}"
    elif sides.caller is UpstreamEnd.COMPLETE:
        gone = f"it answered {sides.outside.status} and asked nobody"
    return _End(UpstreamEnd.NONE, at_s, gone=gone)


def _left(sides: _Sides, inside: LayerRecord, at_s: float) -> _End:
    """The gateway let go before the response was whole: after its caller, by a timer, or by neither."""
    layer, caller_left_s = sides.layer, sides.outside.caller_left_s
    followed = sides.caller.by_us and caller_left_s is not None and caller_left_s <= at_s
    fired = _fired(sides, inside, at_s)
    if followed and (fired is None or layer is None or layer.notices_abort):
        return _End(UpstreamEnd.ABANDONED, at_s)
    why = sides.died_by(at_s)
    if fired is not None and why is None:
        return _End(UpstreamEnd.CUT, at_s, fired=fired)
    if why is None:
        known = layer is not None and layer.timers
        which = "which fits none of its timers" if known else "and its limits are not known"
        why = f"it gave up after {max(0.0, at_s - inside.start_s):.1f} s, {which}"
    return _End(UpstreamEnd.GONE, at_s, gone=why)


def _fired(sides: _Sides, inside: LayerRecord, at_s: float) -> _Fired | None:
    """The timer that was due when the gateway left; where two were, the one that was clearly nearer."""
    known = sides.layer.timers if sides.layer else {}
    due = sorted(
        (
            (off, running.phase, timer)
            for running in _running(sides, inside)
            if (timer := known.get(running.kind)) is not None
            and (off := _off(sides, running, timer, at_s)) is not None
        ),
        key=itemgetter(0),
    )
    if not due:
        return None
    off, phase, timer = due[0]
    if len(due) > 1 and due[1][2].directive != timer.directive and due[1][0] < max(off, _LEAST_OFF) * _NEARER:
        return None
    return _Fired(timer, phase)


class _Running(NamedTuple):
    """A timer that may have run when the gateway let go, and the instants between which it had been set."""

    kind: TimerKind
    phase: Phase
    from_s: float
    to_s: float


def _running(sides: _Sides, inside: LayerRecord) -> Iterator[_Running]:
    if inside.request_sent_s is None:
        yield _Running(TimerKind.IDLE, Phase.SEND, sides.asked_s, inside.start_s)
        phase = Phase.SEND
    elif inside.first_byte_s is None:
        # It was set after the gateway had the request, and before the tap inside saw it come: on a busy machine the
        # tap sees it late.
        phase = Phase.WAIT
        yield _Running(TimerKind.FIRST_BYTE, phase, sides.asked_s, inside.request_sent_s)
        yield _Running(TimerKind.IDLE, phase, sides.asked_s, inside.request_sent_s)
    else:
        phase = Phase.STREAM
        last_s = inside.first_byte_s if inside.last_byte_s is None else inside.last_byte_s
        yield _Running(TimerKind.IDLE, phase, last_s - (inside.tap_lazy_s or 0.0), last_s)
    yield _Running(TimerKind.TOTAL, phase, sides.outside.start_s, inside.request_sent_s or inside.start_s)


def _off(sides: _Sides, running: _Running, timer: Timer, at_s: float) -> float | None:
    """By which share of its limit the gateway left off the timer's instant; None where that timer was not due."""
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
    return max(0.0, 1 - longest, shortest - 1)


def _downstream(outside: LayerRecord, inside: LayerRecord | None, end: _End) -> DownstreamEnd:
    caller = outside.upstream
    if caller.by_us:
        return DownstreamEnd.LEFT
    if caller.by_them:
        return DownstreamEnd.TRUNCATED
    if caller is UpstreamEnd.NONE:
        return DownstreamEnd.NONE
    if end.how is UpstreamEnd.COMPLETE:
        return DownstreamEnd.ANSWERED
    streamed = inside is not None and inside.first_byte_s is not None
    return DownstreamEnd.TRUNCATED if streamed else DownstreamEnd.OWN_ANSWER
