"""One request through a chain, by rule: which timer cuts it, who asks again, and what runs on behind the cut.

- A generation is the instants of its bytes. Of each sort of timer only the earliest can be first, so three alarms
  are enough for a whole chain (`_Alarms`); of those that fire together the outermost cuts.
- A layer that buffers lets its callers see nothing before the end.
- Behind a cut every layer leaves at once, save those blind to it: they go by their own timer or their next byte.
- The client asks again by its own policy, and so does a layer that retries a POST.

Instants count from the start of an attempt. The loopback between the layers takes no time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol

from whocut.chain.layers import Buffering, MidBody
from whocut.chain.modes import seen_in
from whocut.chain.retry_after import asked_to_wait_s
from whocut.chain.timers import Phase, TimerKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from whocut.chain.layers import Answer, Layer, Topology
    from whocut.chain.modes import Mode

# A hop fires a hundredth of a model millisecond early rather than late; so does this.
_TOLERANCE_S: Final = 0.000_01
_RETRY_AFTER_MOST_S: Final = 120.0
_RETRIED: Final = frozenset({408, 409, 429})

Instants = tuple[float, ...]


class Draw(Protocol):
    """Where generation times come from."""

    def __call__(self, requests: Sequence[int], attempt: int, again: int) -> Iterable[Instants]:
        """The generation behind this attempt of each request: when each partial image comes, and when it ends.

        Seconds from the generation's start; `again` counts a layer's own retries.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """One way to end early: a timer of the layer at this place, in this phase. A walk has one object of each.

    `tries` is how often the layer asks in all, where it asks again by itself after this cut. `asked_s` is what the
    client waits before it asks again: zero is its own back-off, and None that it gives up.
    """

    place: int
    kind: TimerKind
    phase: Phase
    tries: int
    asked_s: float | None


@dataclass(slots=True)
class Fate:
    """What became of one request; without a `cut` it is delivered."""

    cut: Cut | None = None
    took_s: float = 0.0
    generations: int = 0
    orphans: int = 0
    orphaned_s: float = 0.0


class Walk:
    """A chain, asked in one mode, as the rules need it."""

    def __init__(self, topology: Topology, mode: Mode) -> None:
        seen = seen_in(mode, topology)
        self.tries = mode.tries or seen.client.retries.tries
        self._heartbeat_s = seen.upstream.heartbeat_s if mode.stream else None
        guards = tuple(_guards(seen.layers, self._heartbeat_s, stream=mode.stream))
        self._blind = tuple(guard for guard in guards if guard.blind)
        since_s = (0.0,) * len(guards)
        self._first = _Round(guards, 0.0, sent_s=since_s, accepted_s=since_s, tries=(1,) * len(guards))

    def attempt(self, fates: Sequence[Fate], requests: Iterable[int], draw: Draw, number: int) -> None:
        """Send these requests; where a layer asks again by itself, send them again from there."""
        going = [(request, self._first) for request in requests]
        again, one = 0, self._one
        while going:
            drawn = draw([request for request, _ in going], number, again)
            repeated = []
            for (request, round_), emissions_s in zip(going, drawn, strict=True):
                later = one(fates[request], round_, emissions_s)
                if later is not None:
                    repeated.append((request, later))
            going = repeated
            again += 1

    def _one(self, fate: Fate, round_: _Round, emissions_s: Instants) -> _Round | None:
        """Enter one generation into the request's fate; the round after it where a layer asks again."""
        fate.generations += 1
        seen_s = emissions_s
        if round_.start_s:
            seen_s = tuple(round_.start_s + at_s for at_s in emissions_s)
        if self._heartbeat_s is not None:
            seen_s = (round_.start_s, *seen_s)
        fired = round_.alarms.first(seen_s)
        if fired is None:
            fate.cut = None
            fate.took_s += seen_s[-1]
            return None
        at_s, cut = fired
        orphaned_s = seen_s[-1] - (self._gone_s(round_, seen_s, at_s, cut.place) if self._blind else at_s)
        if orphaned_s > 0:
            fate.orphans += 1
            fate.orphaned_s += orphaned_s
        later = round_.after(at_s, cut) if cut.tries > 1 else None
        if later is None:
            fate.cut = cut
            fate.took_s += at_s
        return later

    def _gone_s(self, round_: _Round, seen_s: Instants, at_s: float, place: int) -> float:
        """When the last layer that waits for the generation has left; the layer at `place` has cut at `at_s`.

        A blind layer does not notice the cut: it, and all layers inside it, wait until one of them cuts by itself,
        or until the next byte finds the connection closed.
        """
        gone_s = at_s
        for blind in self._blind:
            if blind.place <= place:
                continue
            next_s = seen_s[-1] if blind.sees_whole else self._next_byte_s(round_.start_s, seen_s, gone_s)
            fired = round_.inside(blind.place).first(seen_s)
            if fired is not None and fired[0] <= next_s:
                gone_s, place = max(gone_s, fired[0]), fired[1].place
            else:
                gone_s, place = max(gone_s, next_s), blind.place
        return gone_s

    def _next_byte_s(self, start_s: float, seen_s: Instants, after_s: float) -> float:
        """The first byte of the upstream after an instant, heartbeats among them."""
        next_s = next((at_s for at_s in seen_s if at_s > after_s), seen_s[-1])
        if self._heartbeat_s is None:
            return next_s
        last_s = max((at_s for at_s in seen_s[:-1] if at_s <= after_s), default=start_s)
        beats = math.floor((after_s - last_s) / self._heartbeat_s) + 1
        return min(next_s, last_s + beats * self._heartbeat_s)


# --- timers that are set --------------------------------------------------------------------------


class _Alarm(NamedTuple):
    """A timer that is set. Alarms sort by which is first: the earlier, then the outer, then the layer's own order.

    `at_s` is an instant, and for a silence its length.
    """

    at_s: float
    place: int
    order: int
    waiting: Cut
    streaming: Cut


class _Alarms(NamedTuple):
    """The first alarm of each sort: stilled by the first byte, by the last one alone, by each for a while."""

    head: _Alarm | None
    whole: _Alarm | None
    silence: _Alarm | None

    def first(self, seen_s: Instants) -> tuple[float, Cut] | None:
        """When the chain cuts an answer whose bytes come at these instants, and how; None where it comes whole."""
        head, whole, silence = self
        first = None
        if head is not None and seen_s[0] > head.at_s + _TOLERANCE_S:
            first = head
        if whole is not None and seen_s[-1] > whole.at_s + _TOLERANCE_S and (first is None or whole < first):
            first = whole
        if silence is not None:
            broken = _broken(silence, seen_s)
            if broken is not None and (first is None or broken < first):
                first = broken
        if first is None:
            return None
        return first.at_s, first.streaming if first.at_s >= seen_s[0] else first.waiting


def _broken(silence: _Alarm, seen_s: Instants) -> _Alarm | None:
    """The end of the first gap between two bytes that is longer than this silence."""
    limit_s = silence.at_s
    for before_s, after_s in pairwise(seen_s):
        if after_s > before_s + limit_s + _TOLERANCE_S:
            return silence._replace(at_s=before_s + limit_s)
    return None


class _Round:
    """The layers as a generation starts: since when each waits, and how often each has asked.

    A layer asks again when the timer of its wait fires: at one instant, so the next round is one for all requests.
    """

    def __init__(
        self,
        guards: tuple[_Guard, ...],
        start_s: float,
        *,
        sent_s: Instants,
        accepted_s: Instants,
        tries: tuple[int, ...],
    ) -> None:
        self.start_s = start_s
        self._guards = guards
        self._since_s = {"sent": sent_s, "accepted": accepted_s, "byte": (0.0,) * len(guards)}
        self._tries = tries
        self._inside: dict[int, _Alarms] = {}
        self._after: dict[int, _Round] = {}
        self.alarms = self.inside(0)

    def inside(self, place: int) -> _Alarms:
        """The alarms of the layer at this place and of all further in."""
        if place not in self._inside:
            alarms = [
                (timer.sort, self._set(timer)) for guard in self._guards[place:] for timer in guard.timers
            ]
            self._inside[place] = _Alarms(
                *(
                    min((alarm for mine, alarm in alarms if mine == sort), default=None)
                    for sort in _Alarms._fields
                )
            )
        return self._inside[place]

    def _set(self, timer: _Timer) -> _Alarm:
        place = timer.waiting.place
        at_s = self._since_s[timer.since][place] + timer.limit_s
        return _Alarm(at_s, place, timer.order, timer.waiting, timer.streaming)

    def after(self, at_s: float, cut: Cut) -> _Round | None:
        """The round after this cut, if the layer that cut asks again by itself."""
        place = cut.place
        if self._tries[place] >= cut.tries:
            return None
        if place not in self._after:
            inner = len(self._guards) - place - 1
            self._after[place] = _Round(
                self._guards,
                at_s,
                sent_s=(*self._since_s["sent"][:place], at_s, *(at_s,) * inner),
                accepted_s=(*self._since_s["accepted"][: place + 1], *(at_s,) * inner),
                tries=(*self._tries[:place], self._tries[place] + 1, *self._tries[place + 1 :]),
            )
        return self._after[place]


# --- layers as the rules need them ----------------------------------------------------------------


class _Timer(NamedTuple):
    """One timer of one layer: which sort of alarm it makes, from which event it runs, and the cuts it can be."""

    sort: Literal["head", "whole", "silence"]
    since: Literal["sent", "accepted", "byte"]
    limit_s: float
    order: int
    waiting: Cut
    streaming: Cut


@dataclass(frozen=True, slots=True)
class _Guard:
    """One layer; one that `sees_whole` sees no byte before the last."""

    place: int
    timers: tuple[_Timer, ...]
    blind: bool
    sees_whole: bool


def _guards(layers: Sequence[Layer], heartbeat_s: float | None, *, stream: bool) -> Iterator[_Guard]:
    for place, layer in enumerate(layers):
        yield _Guard(
            place=place,
            timers=tuple(_timers(layers, place, heartbeat_s, stream=stream)),
            blind=not layer.notices_abort,
            sees_whole=_holds(layer) or _is_hidden(layers, place),
        )


def _timers(
    layers: Sequence[Layer], place: int, heartbeat_s: float | None, *, stream: bool
) -> Iterator[_Timer]:
    """The timers of one layer, in the order in which it settles a tie between them."""
    layer, hidden = layers[place], _is_hidden(layers, place)

    def cut(kind: TimerKind, phase: Phase) -> Cut:
        asked_s = _asked_s(layers, place, kind, phase, stream=stream)
        return Cut(place, kind, phase, _tries(layer, kind, phase) if place else 1, asked_s)

    if layer.waiting is not None:
        waiting = cut(layer.waiting.kind, Phase.WAIT)
        yield _Timer("whole" if hidden else "head", "sent", layer.waiting.limit_s, 0, waiting, waiting)
    idle_s = layer.limit_s(TimerKind.IDLE)
    beaten = heartbeat_s is not None and idle_s is not None and idle_s >= heartbeat_s
    if idle_s is not None and stream and not hidden and not beaten:
        streaming = cut(TimerKind.IDLE, Phase.STREAM)
        yield _Timer("silence", "byte", idle_s, 1, streaming, streaming)
    total_s = layer.limit_s(TimerKind.TOTAL)
    if total_s is not None:
        waiting = cut(TimerKind.TOTAL, Phase.WAIT)
        streaming = waiting if hidden else cut(TimerKind.TOTAL, Phase.STREAM)
        yield _Timer("whole", "accepted", total_s, 2, waiting, streaming)


def _tries(layer: Layer, kind: TimerKind, phase: Phase) -> int:
    """How often a layer sends a POST in all, where this timer fires in this phase."""
    again = layer.retries.post and layer.retries.on_timeout and kind is not TimerKind.TOTAL
    return layer.retries.tries if again and (phase is Phase.WAIT or _holds(layer)) else 1


def _holds(layer: Layer) -> bool:
    return layer.buffering is Buffering.ALL


def _is_hidden(layers: Sequence[Layer], place: int) -> bool:
    """Whether a layer further in holds the answer back until its end."""
    return any(_holds(inner) for inner in layers[place + 1 :])


# --- the client's policy --------------------------------------------------------------------------


def _asked_s(
    layers: Sequence[Layer], place: int, kind: TimerKind, phase: Phase, *, stream: bool
) -> float | None:
    """What the client waits after this cut before it asks again; zero is its own back-off, None no more tries."""
    if stream and phase is Phase.STREAM and not _breaks_unseen(layers, place):
        return None
    if place == 0:
        return 0.0
    answer = _answer(layers, place, kind, phase)
    return _retry_after_s(answer) if _is_retried(answer) else None


def _breaks_unseen(layers: Sequence[Layer], place: int) -> bool:
    """Whether a stream that this layer cuts is an error to the client, who has seen nothing of it.

    A stream whose head has reached the client is never asked for again. Nor is one that its cutter ended as if
    it were whole: a layer that held it lets it pass.
    """
    cutter = layers[place]
    ends_whole = cutter.mid_body is MidBody.TERMINATED and not _holds(cutter)
    return _is_hidden(layers, 0) and not ends_whole


def _answer(layers: Sequence[Layer], place: int, kind: TimerKind, phase: Phase) -> Answer | None:
    """The answer that reaches the client: of the layer that cut, or of one that held a stream which broke off."""
    holding = [outer for outer in layers[1:place] if _holds(outer)]
    if phase is Phase.STREAM and holding and not _holds(layers[place]):
        return holding[-1].answers.get("bad_gateway")
    answers = layers[place].answers
    return answers.get(kind) or answers.get("expiry")


def _is_retried(answer: Answer | None) -> bool:
    """Whether the official SDK tries again after this answer; a connection that just ends is retried too."""
    return answer is None or answer.status in _RETRIED or answer.status >= 500


def _retry_after_s(answer: Answer | None) -> float:
    """What the answer asks for, where the official SDK heeds it."""
    headers = {name.lower(): value for name, value in answer.headers} if answer else {}
    asked_s = asked_to_wait_s(headers)
    return asked_s if asked_s is not None and asked_s <= _RETRY_AFTER_MOST_S else 0.0
