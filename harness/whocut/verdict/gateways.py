"""A real gateway's account, put together from the two taps beside it: it writes no span of its own.

The tap outside saw what the gateway's caller was given, the tap inside what it asked for and when it let go.
Which timer that was, nobody says. It is read off the time from the event that a timer counts from to the gateway's
leaving, and off the way in which the gateway answered; where no timer fits, none is named.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from whocut.chain.timers import Phase, Timer, TimerKind
from whocut.trace import names
from whocut.trace.records import DownstreamEnd, Event, Span, SpanKind, TapSide, UpstreamEnd

if TYPE_CHECKING:
    from collections.abc import Iterable

    from whocut.chain.layers import Layer, Topology

# A timer has fired when the gateway left within these shares of its limit, before and after. Before: a timer is set
# by a clock that a busy loop reads late. After: the gateway's loop may have been late to act, or a tap's to see it.
_EARLY: Final = 0.1
_LATE: Final = 0.5


def whole_layers(spans: Iterable[Span], topology: Topology) -> list[Span]:
    """The spans with one for each gateway, of its name and at its place, instead of those of its taps."""
    spans = list(spans)
    if not any(names.TAP in span.attributes for span in spans):
        return spans
    deaths = {span.layer: span for span in reversed(spans) if span.kind is SpanKind.DEATH}
    inside = {span.span_id: span for span in spans if span.attributes.get(names.TAP) == TapSide.INSIDE}
    asked: dict[str | None, list[Span]] = {}
    for span in inside.values():
        asked.setdefault(span.parent_id, []).append(span)
    whole = []
    for span in spans:
        if span.span_id in inside:
            continue
        if span.parent_id in inside:
            span = replace(span, parent_id=inside[span.parent_id].parent_id)  # noqa: PLW2901  # the same span, moved
        if names.TAP in span.attributes:
            tries = sorted(asked.get(span.span_id, ()), key=lambda one: one.start_s)
            span = _account(span, tries, topology.layer(span.layer), deaths.get(span.layer))  # noqa: PLW2901
        whole.append(span)
    return whole


def fired_early(spans: Iterable[Span]) -> dict[str, float]:
    """The gateways whose timers cut live streams before their limits: by how much at most, in seconds."""
    early: dict[str, float] = {}
    for span in spans:
        has = span.attributes
        if names.GATEWAY in has and has.get(names.CUT_PHASE) == Phase.STREAM and names.LAST_BYTE_S in has:
            left_s = float(has[names.CUT_LIMIT_S]) - (
                float(has[names.CUT_AT_S]) - float(has[names.LAST_BYTE_S])
            )
            if left_s > _EARLY * float(has[names.CUT_LIMIT_S]):
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


def _account(outside: Span, tries: list[Span], layer: Layer | None, death: Span | None) -> Span:
    inside = tries[-1] if tries else None
    end = _ended(_Sides(outside, inside, layer, death))
    has: dict[str, Any] = {
        key: value
        for key, value in outside.attributes.items()
        if key not in {names.TAP, names.TAP_LAZY_S, names.RESEND_COUNT}
    }
    has |= {
        names.GATEWAY: (layer.gateway if layer else "") or outside.layer,
        names.UPSTREAM_END: str(end.how),
        names.UPSTREAM_END_S: end.at_s,
        names.DOWNSTREAM_END: str(_downstream(outside, inside, end)),
        names.DOWNSTREAM_END_S: outside.attributes.get(names.UPSTREAM_END_S),
        names.GONE: end.gone,
    }
    if inside is not None:
        for seen in (names.REQUEST_SENT_S, names.FIRST_BYTE_S, names.LAST_BYTE_S, names.LARGEST_GAP_S):
            has[seen] = inside.attributes.get(seen)
    if len(tries) > 1:
        has[names.RESEND_COUNT] = len(tries) - 1
    error, events = end.gone, list(outside.events)
    if end.fired is not None and end.at_s is not None:
        timer, phase = end.fired.timer, end.fired.phase
        cut = {
            names.CUT_TIMER: timer.kind.value,
            names.CUT_DIRECTIVE: timer.named_in(phase),
            names.CUT_PHASE: phase.value,
            names.CUT_LIMIT_S: timer.limit_s,
            names.CUT_AT_S: end.at_s,
        }
        has |= cut
        events.append(Event("cut", end.at_s, dict(cut)))
        error = f"cut by {timer.named_in(phase)}, {phase.while_}"
    return replace(
        outside,
        end_s=max(outside.end_s, inside.end_s if inside else outside.end_s),
        attributes={key: value for key, value in has.items() if value is not None},
        events=events,
        error=error or outside.error,
    )


class _Sides:
    """What the two taps saw of one request."""

    def __init__(self, outside: Span, inside: Span | None, layer: Layer | None, death: Span | None) -> None:
        self.caller = UpstreamEnd(outside.attributes.get(names.UPSTREAM_END, UpstreamEnd.NONE))
        self.caller_s: float | None = outside.attributes.get(names.UPSTREAM_END_S)
        self.caller_first_s: float | None = outside.attributes.get(names.FIRST_BYTE_S)
        self.status: int | None = outside.attributes.get(names.STATUS)
        self.left_s = next((event.at_s for event in outside.events if event.name == "downstream.left"), None)
        self.asked_s: float = outside.attributes.get(names.REQUEST_SENT_S, outside.start_s)
        self.inside = inside
        self.layer = layer
        self.death = death

    def let_go_s(self, inside_s: float) -> float:
        """When the gateway let go: by the first of its two sides to show it, since it tells both at once."""
        if self.caller.by_us or self.caller_s is None:
            return inside_s
        streamed = self.inside is not None and names.FIRST_BYTE_S in self.inside.attributes
        answered_s = self.caller_s if streamed or self.caller_first_s is None else self.caller_first_s
        return min(inside_s, answered_s)

    def died_by(self, at_s: float | None) -> str | None:
        """Why the gateway was no more at an instant, if it was not."""
        if self.death is None or at_s is None or at_s < self.death.start_s:
            return None
        return str(self.death.attributes.get(names.GONE, "it died"))


def _ended(sides: _Sides) -> _End:
    if sides.inside is None:
        return _never_asked(sides)
    has = sides.inside.attributes
    ended = DownstreamEnd(has.get(names.DOWNSTREAM_END, DownstreamEnd.NONE))
    at_s: float | None = has.get(names.DOWNSTREAM_END_S)
    if ended is DownstreamEnd.LEFT and at_s is not None:
        return _left(sides, sides.inside, sides.let_go_s(at_s))
    if ended is DownstreamEnd.ANSWERED:
        gone = None
        if sides.caller.by_them:
            gone = (
                sides.died_by(sides.caller_s)
                or f"it had the response whole, and its caller saw {sides.caller}"
            )
        return _End(UpstreamEnd.COMPLETE, at_s, gone=gone)
    return _End(UpstreamEnd(has.get(names.UPSTREAM_END, UpstreamEnd.NONE)), has.get(names.UPSTREAM_END_S))


def _never_asked(sides: _Sides) -> _End:
    """The request came no further than the gateway."""
    gone = None
    if sides.caller.by_them:
        gone = sides.died_by(sides.caller_s) or f"it took no request: {sides.caller}"
    elif sides.caller is UpstreamEnd.COMPLETE:
        gone = f"it answered {sides.status} and asked nobody"
    return _End(UpstreamEnd.NONE, sides.caller_s, gone=gone)


def _left(sides: _Sides, inside: Span, at_s: float) -> _End:
    """The gateway let go before the response was whole: after its caller, by a timer, or by neither."""
    layer, caller_left_s = sides.layer, sides.left_s
    followed = sides.caller.by_us and caller_left_s is not None and caller_left_s <= at_s
    fired = _fired(sides, inside, at_s)
    if followed and (fired is None or layer is None or layer.notices_abort):
        return _End(UpstreamEnd.ABANDONED, at_s)
    why = sides.died_by(at_s)
    if fired is not None and why is None:
        return _End(UpstreamEnd.CUT, at_s, fired=fired)
    if why is None:
        known = layer is not None and layer.timers
        which = "which is none of its timers" if known else "and its limits are not known"
        why = f"it gave up after {at_s - inside.start_s:.1f} s, {which}"
    return _End(UpstreamEnd.GONE, at_s, gone=why)


def _fired(sides: _Sides, inside: Span, at_s: float) -> _Fired | None:
    """The timer that was due when the gateway left, if it answered as that timer makes it answer."""
    running = _running(sides, inside)
    timer = sides.layer.timers.get(running.kind) if sides.layer else None
    if timer is None or not _answered_so(sides, running.kind, running.phase):
        return None
    longest_s, shortest_s = at_s - running.from_s, at_s - running.to_s
    due = longest_s >= timer.limit_s * (1 - _EARLY) and shortest_s <= timer.limit_s * (1 + _LATE)
    return _Fired(timer, running.phase) if due else None


class _Running(NamedTuple):
    """The timer that ran when the gateway let go, and the instants between which it had been set."""

    kind: TimerKind
    phase: Phase
    from_s: float
    to_s: float


def _running(sides: _Sides, inside: Span) -> _Running:
    has = inside.attributes
    sent_s, first_s = has.get(names.REQUEST_SENT_S), has.get(names.FIRST_BYTE_S)
    if sent_s is None:
        return _Running(TimerKind.IDLE, Phase.SEND, sides.asked_s, inside.start_s)
    if first_s is None:
        # It was set after the gateway had the request, and before the tap inside saw it come: on a busy machine the
        # tap sees it late.
        return _Running(TimerKind.FIRST_BYTE, Phase.WAIT, sides.asked_s, float(sent_s))
    last_s = float(has.get(names.LAST_BYTE_S, first_s))
    return _Running(TimerKind.IDLE, Phase.STREAM, last_s - float(has.get(names.TAP_LAZY_S, 0.0)), last_s)


def _answered_so(sides: _Sides, kind: TimerKind, phase: Phase) -> bool:
    """Before the response a timer is told by its answer: a process that died gives none."""
    if phase is Phase.STREAM or sides.caller.by_us:
        return True
    assert sides.layer is not None
    answers = sides.layer.answers
    answer = answers.get(kind) or answers.get("expiry")
    return sides.caller is UpstreamEnd.COMPLETE and (answer is None or sides.status == answer.status)


def _downstream(outside: Span, inside: Span | None, end: _End) -> DownstreamEnd:
    caller = UpstreamEnd(outside.attributes.get(names.UPSTREAM_END, UpstreamEnd.NONE))
    if caller.by_us:
        return DownstreamEnd.LEFT
    if caller.by_them:
        return DownstreamEnd.TRUNCATED
    if caller is UpstreamEnd.NONE:
        return DownstreamEnd.NONE
    if end.how is UpstreamEnd.COMPLETE:
        return DownstreamEnd.ANSWERED
    streamed = inside is not None and names.FIRST_BYTE_S in inside.attributes
    return DownstreamEnd.TRUNCATED if streamed else DownstreamEnd.OWN_ANSWER
