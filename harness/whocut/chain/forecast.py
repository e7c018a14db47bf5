"""What a chain does to generations of these lengths, by formula: no socket, no loop, a million requests a second.

Layers and limits are constants, generation times are arrays, and each rule of the chain is one expression
over a whole array:

- each timer fires at one instant or never (`_watch`); the earliest instant cuts, and the outermost layer of
  those that share it;
- a layer that buffers lets its callers see nothing before the end;
- behind a cut every layer leaves at once, save those blind to it, which go by their own timer or their next
  byte (`_gone_s`);
- the client tries again by its own policy, and so does a layer that retries a POST.

Instants count from the start of an attempt. The loopback between the layers takes no time.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from whocut.chain.layers import Answer, Buffering, MidBody
from whocut.chain.models import is_known
from whocut.chain.modes import POLL_S, seen_in
from whocut.chain.percentiles import percentile
from whocut.chain.prices import usd
from whocut.chain.profiles import Floats
from whocut.chain.retry_after import asked_to_wait_s
from whocut.chain.timers import Phase, TimerKind

if TYPE_CHECKING:
    from whocut.chain.layers import Layer, Topology
    from whocut.chain.modes import Mode
    from whocut.chain.profiles import Profile

Whole = NDArray[np.int64]
Small = NDArray[np.int8]
Flags = NDArray[np.bool_]
Instants = Floats | float

NOBODY = -1
_WAITING, _STREAMING = 0, 1
_KINDS = (TimerKind.FIRST_BYTE, TimerKind.IDLE, TimerKind.TOTAL)
_CODE = {kind: code for code, kind in enumerate(_KINDS)}
_PHASES = (Phase.WAIT, Phase.STREAM)
# A hop fires a hundredth of a model millisecond early rather than late; so does this.
_TOLERANCE_S = 0.000_01
_BACK_OFF_S, _BACK_OFF_MOST_S, _JITTER, _RETRY_AFTER_MOST_S = 0.5, 8.0, 0.25, 120.0
_RETRIED = frozenset({408, 409, 429})


class Draw(Protocol):
    """Where generation times come from."""

    def __call__(self, requests: Whole, attempt: int, again: int) -> list[Floats]:
        """When bytes come of the generation behind this attempt; `again` counts a layer's own retries."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CutShare:
    """The requests that ended by one timer of one layer, as a share of all."""

    layer: str
    timer: str
    directive: str
    phase: str
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What happened to many requests. `delivered` and the shares of `cuts` add up to one."""

    requests: int
    delivered: float
    cuts: tuple[CutShare, ...]
    generations_per_request: float
    orphaned: float
    orphaned_s_per_request: float
    usd_per_delivered: float | None
    p50_s: float | None
    p95_s: float | None


@dataclass(slots=True)
class Fates:
    """What became of each request: parallel arrays, one place a request. `layer` -1 is delivered."""

    layer: Small
    timer: Small
    phase: Small
    took_s: Floats
    generations: Whole
    orphans: Whole
    orphaned_s: Floats

    @classmethod
    def of(cls, requests: int) -> Fates:
        """Nothing has happened yet."""
        return cls(
            layer=np.full(requests, NOBODY, np.int8),
            timer=np.zeros(requests, np.int8),
            phase=np.zeros(requests, np.int8),
            took_s=np.zeros(requests),
            generations=np.zeros(requests, np.int64),
            orphans=np.zeros(requests, np.int64),
            orphaned_s=np.zeros(requests),
        )

    @property
    def delivered(self) -> Flags:
        """Who got an image."""
        delivered: Flags = self.layer == NOBODY
        return delivered


@dataclass(frozen=True, slots=True)
class _Guard:
    """One layer as the formulas need it."""

    layer: Layer
    wait: tuple[float, int] | None  # limit and timer while waiting
    idle_s: float | None
    total_s: float | None
    holds: bool
    tries: int  # of its own, for a POST, after a timer

    @classmethod
    def of(cls, layer: Layer) -> _Guard:
        timer = layer.waiting
        retries = layer.retries
        return cls(
            layer=layer,
            wait=(timer.limit_s, _CODE[timer.kind]) if timer else None,
            idle_s=layer.limit_s(TimerKind.IDLE),
            total_s=layer.limit_s(TimerKind.TOTAL),
            holds=layer.buffering is Buffering.ALL,
            tries=retries.tries if retries.post and retries.on_timeout else 1,
        )

    @property
    def ends_whole(self) -> bool:
        """Whether a stream cut here looks complete to whoever stands before it."""
        return self.layer.mid_body is MidBody.TERMINATED and not self.holds

    def answer(self, event: str) -> Answer | None:
        """What the layer says when its timer fires or its upstream ends."""
        return self.layer.answers.get(event) or (
            None if event == "bad_gateway" else self.layer.answers.get("expiry")
        )


def forecast(
    topology: Topology, profile: Profile, mode: Mode, *, requests: int = 100_000, seed: int = 0
) -> Figures:
    """What this chain does to so many requests of this kind."""
    dice = np.random.default_rng(seed)

    def draw(requests: Whole, attempt: int, again: int) -> list[Floats]:
        del attempt, again
        return profile.emissions_s(dice, profile.durations_s(dice, len(requests)), mode.partials)

    fates = fates_of(topology, mode, draw, requests=requests, dice=dice)
    model = topology.upstream.model
    price = usd(model, profile.size, profile.quality, partials=mode.partials) if is_known(model) else None
    return figures(seen_in(mode, topology), fates, price_usd=price)


def fates_of(
    topology: Topology, mode: Mode, draw: Draw, *, requests: int, dice: np.random.Generator
) -> Fates:
    """Request by request, with generation times from `draw`; `dice` decide the back-off alone."""
    topology = seen_in(mode, topology)
    guards = tuple(_Guard.of(layer) for layer in topology.layers)
    heartbeat_s = topology.upstream.heartbeat_s if mode.stream else None
    tries = mode.tries or topology.client.retries.tries
    fates = Fates.of(requests)
    still: Whole = np.arange(requests)
    for attempt in range(1, tries + 1):
        walk = _Walk(guards, heartbeat_s, still, fates)
        walk.attempt(draw, attempt)
        retried, waits_s = walk.retried(mode)
        if attempt == tries or not retried.any():
            break
        still = still[retried]
        back_off_s = min(_BACK_OFF_S * 2 ** (attempt - 1), _BACK_OFF_MOST_S)
        waits_s = waits_s[retried]
        shorter = 1 - _JITTER * dice.random(len(still))
        fates.took_s[still] += np.where(waits_s > 0, waits_s, back_off_s * shorter)
    if mode.job:
        fates.took_s = np.ceil(fates.took_s / POLL_S) * POLL_S
    return fates


def figures(topology: Topology, fates: Fates, *, price_usd: float | None) -> Figures:
    """The sums of many fates; without the price of an image, dollars are unknown."""
    requests = len(fates.layer)
    layers = topology.layers
    code = (fates.layer.astype(np.int64) * 3 + fates.timer) * 2 + fates.phase
    cuts = []
    for value, count in zip(*np.unique(code[~fates.delivered], return_counts=True), strict=True):
        place, phase = divmod(int(value), 2)
        position, timer = divmod(place, 3)
        layer, kind = layers[position], _KINDS[timer]
        cuts.append(
            CutShare(
                layer=layer.name,
                timer=str(kind),
                directive=layer.timers[kind].named_in(_PHASES[phase]),
                phase=str(_PHASES[phase]),
                share=int(count) / requests,
            )
        )
    delivered = int(fates.delivered.sum())
    took_s = fates.took_s[fates.delivered]
    return Figures(
        requests=requests,
        delivered=delivered / requests,
        cuts=tuple(sorted(cuts, key=lambda cut: -cut.share)),
        generations_per_request=float(fates.generations.sum()) / requests,
        orphaned=float(fates.orphans.sum()) / requests,
        orphaned_s_per_request=float(fates.orphaned_s.sum()) / requests,
        usd_per_delivered=price_usd * float(fates.generations.sum()) / delivered
        if delivered and price_usd is not None
        else None,
        p50_s=percentile(took_s, 50),
        p95_s=percentile(took_s, 95),
    )


def kind_of(code: int) -> TimerKind:
    """The timer that a place in `Fates.timer` stands for."""
    return _KINDS[code]


def phase_of(code: int) -> Phase:
    """The phase that a place in `Fates.phase` stands for."""
    return _PHASES[code]


class _Walk:
    """One attempt of many requests at once, from the client inward."""

    def __init__(
        self, guards: tuple[_Guard, ...], heartbeat_s: float | None, requests: Whole, fates: Fates
    ) -> None:
        self.guards = guards
        self.heartbeat_s = heartbeat_s
        self.requests = requests
        self.fates = fates
        self.held = [any(guard.holds for guard in guards[place + 1 :]) for place in range(len(guards))]
        self.cut_s: Floats = np.empty(0)
        self.who: Small = np.empty(0, np.int8)
        self.what: Small = np.empty(0, np.int8)
        self.where: Small = np.empty(0, np.int8)

    def attempt(self, draw: Draw, attempt: int) -> None:
        """Send it; where a layer tries again by itself, send it again from there."""
        requests, again = self.requests, 0
        sent_s: list[Instants] = [0.0] * len(self.guards)
        accepted_s: list[Instants] = [0.0] * len(self.guards)
        start_s: Instants = 0.0
        tried: dict[int, Small] = {}
        while True:
            emissions_s = draw(requests, attempt, again)
            own_s = self._cuts(emissions_s, start_s, sent_s, accepted_s)
            repeats = self._repeats(tried)
            self._settle(requests, emissions_s, start_s, own_s, repeats)
            if repeats is None or not repeats.any():
                return
            again += 1
            requests = requests[repeats]
            cut_s, who = self.cut_s[repeats], self.who[repeats]
            start_s = cut_s
            for place in range(len(self.guards)):
                kept_sent = np.broadcast_to(sent_s[place], repeats.shape)[repeats]
                kept_accepted = np.broadcast_to(accepted_s[place], repeats.shape)[repeats]
                sent_s[place] = np.where(who <= place, cut_s, kept_sent)
                accepted_s[place] = np.where(who < place, cut_s, kept_accepted)
            for place, counts in tried.items():
                tried[place] = counts[repeats]

    def _cuts(
        self,
        emissions_s: list[Floats],
        start_s: Instants,
        sent_s: list[Instants],
        accepted_s: list[Instants],
    ) -> list[Floats | None]:
        """Who cuts first, by which timer; and when each layer would cut if nobody did before it."""
        count = len(emissions_s[-1])
        self.cut_s = np.full(count, np.inf)
        self.who = np.full(count, NOBODY, np.int8)
        self.what = np.zeros(count, np.int8)
        self.where = np.zeros(count, np.int8)
        whole_s = start_s + emissions_s[-1]
        open_s: list[Instants] = [start_s + at_s for at_s in emissions_s[:-1]]
        if self.heartbeat_s is not None:
            open_s.insert(0, start_s)
        open_s.append(whole_s)
        blind_from = next(
            (place for place, guard in enumerate(self.guards) if not guard.layer.notices_abort), 99
        )
        own: list[Floats | None] = []
        for place, guard in enumerate(self.guards):
            seen_s: list[Instants] = [whole_s] if self.held[place] else open_s
            mine_s = np.full(count, np.inf) if place >= blind_from else None
            if guard.wait is not None:
                limit_s, kind = guard.wait
                self._watch(place, kind, _WAITING, sent_s[place] + limit_s, seen_s[0], mine_s)
            if guard.idle_s is not None and not self.held[place]:
                self._watch_gaps(place, guard.idle_s, seen_s, mine_s)
            if guard.total_s is not None:
                at_s = accepted_s[place] + guard.total_s
                phase = np.asarray(at_s >= seen_s[0], np.int8) if len(seen_s) > 1 else _WAITING
                self._watch(place, _CODE[TimerKind.TOTAL], phase, at_s, whole_s, mine_s)
            own.append(mine_s)
        return own

    def _watch(
        self,
        place: int,
        kind: int,
        phase: int | Small,
        fires_s: Instants,
        unless_s: Instants,
        mine_s: Floats | None,
    ) -> None:
        """A timer that fires at one instant, unless what it waits for comes before."""
        fires = np.asarray(unless_s > fires_s + _TOLERANCE_S)
        if not fires.any():
            return
        fires = np.broadcast_to(fires, self.cut_s.shape)
        if mine_s is not None:
            np.minimum(mine_s, fires_s, out=mine_s, where=fires)
        first = fires & (fires_s < self.cut_s)
        np.copyto(self.cut_s, fires_s, where=first)
        np.copyto(self.who, np.int8(place), where=first)
        np.copyto(self.what, np.int8(kind), where=first)
        np.copyto(self.where, np.asarray(phase, np.int8), where=first)

    def _watch_gaps(self, place: int, idle_s: float, seen_s: list[Instants], mine_s: Floats | None) -> None:
        """`idle` between two bytes: the first gap that is too long; heartbeats leave none that is longer."""
        if self.heartbeat_s is not None and idle_s >= self.heartbeat_s:
            return
        for before_s, after_s in pairwise(seen_s):
            self._watch(place, _CODE[TimerKind.IDLE], _STREAMING, before_s + idle_s, after_s, mine_s)

    def _repeats(self, tried: dict[int, Small]) -> Flags | None:
        """Which of these a layer sends again by itself."""
        if all(guard.tries == 1 for guard in self.guards[1:]):
            return None
        repeats = np.zeros(len(self.who), np.bool_)
        for place, guard in enumerate(self.guards[1:], start=1):
            if guard.tries == 1:
                continue
            counts = tried.setdefault(place, np.ones(len(self.who), np.int8))
            mine = (self.who == place) & (self.where == _WAITING) & (self.what != _CODE[TimerKind.TOTAL])
            mine &= counts < guard.tries
            tried[place] = counts + mine.astype(np.int8)
            repeats |= mine
        return repeats

    def _settle(
        self,
        requests: Whole,
        emissions_s: list[Floats],
        start_s: Instants,
        own_s: list[Floats | None],
        repeats: Flags | None,
    ) -> None:
        """Enter what became of these generations, and of the attempts that ended with them."""
        fates = self.fates
        whole_s = start_s + emissions_s[-1]
        cut = self.who != NOBODY
        fates.generations[requests] += 1
        if cut.any():
            gone_s = self._gone_s(emissions_s, start_s, own_s)
            orphaned = cut & (gone_s < whole_s)
            fates.orphans[requests] += orphaned
            fates.orphaned_s[requests] += np.where(orphaned, whole_s - gone_s, 0.0)
        ended = requests if repeats is None else requests[~repeats]
        chosen = slice(None) if repeats is None else ~repeats
        fates.layer[ended] = self.who[chosen]
        fates.timer[ended] = self.what[chosen]
        fates.phase[ended] = self.where[chosen]
        fates.took_s[ended] += np.minimum(self.cut_s, whole_s)[chosen]

    def _gone_s(self, emissions_s: list[Floats], start_s: Instants, own_s: list[Floats | None]) -> Floats:
        """When the last layer that waits for the generation has left.

        Behind a blind layer nobody knows of the cut: it, and all inside it, go on until one of them cuts by
        itself, or until the next byte finds nobody to take it.
        """
        gone_s, reached = self.cut_s, self.who.astype(np.int64)
        for place, guard in enumerate(self.guards):
            inside = [mine_s for mine_s in own_s[place:] if mine_s is not None]
            held_on = (reached < place) & (self.who != NOBODY)
            if guard.layer.notices_abort or not inside or not held_on.any():
                continue
            cuts_s = np.stack(inside)
            first = cuts_s.argmin(axis=0)
            cut_s = cuts_s.min(axis=0)
            holds = guard.holds or self.held[place]
            next_s = start_s + emissions_s[-1] if holds else self._next_byte_s(emissions_s, start_s, gone_s)
            gone_s = np.where(held_on, np.maximum(gone_s, np.minimum(cut_s, next_s)), gone_s)
            reached = np.where(held_on, np.where(cut_s <= next_s, place + first, place), reached)
        return gone_s

    def _next_byte_s(self, emissions_s: list[Floats], start_s: Instants, after_s: Floats) -> Floats:
        """The first byte of the upstream after an instant, heartbeats among them."""
        next_s = start_s + emissions_s[-1]
        last_s: Instants = start_s
        for at_s in reversed(emissions_s[:-1]):
            next_s = np.where(start_s + at_s > after_s, start_s + at_s, next_s)
        if self.heartbeat_s is not None:
            for at_s in emissions_s[:-1]:
                last_s = np.where(start_s + at_s <= after_s, start_s + at_s, last_s)
            beats = np.floor((after_s - last_s) / self.heartbeat_s) + 1
            next_s = np.minimum(next_s, last_s + beats * self.heartbeat_s)
        return next_s

    def retried(self, mode: Mode) -> tuple[Flags, Floats]:
        """Which of the requests the client tries again, and how long the answer asks it to wait first."""
        fates, requests = self.fates, self.requests
        who, what = fates.layer[requests], fates.timer[requests]
        retried = who != NOBODY
        waits_s = np.zeros(len(requests))
        for place in range(1, len(self.guards)):
            for code, kind in enumerate(_KINDS):
                for where in (_WAITING, _STREAMING):
                    mine = (who == place) & (what == code) & (fates.phase[requests] == where)
                    if not mine.any():
                        continue
                    answer = self._answer(place, str(kind), where)
                    retried &= ~mine | _is_retried(answer)
                    waits_s[mine] = _retry_after_s(answer)
        if mode.stream and not self.held[0]:
            # A stream whose head has reached the client is never asked for again.
            retried &= fates.phase[requests] == _WAITING
        elif mode.stream:
            # Nor is one that its cutter ended as if it were whole: a layer that held it lets it pass.
            whole = [place for place, guard in enumerate(self.guards) if guard.ends_whole]
            retried &= (fates.phase[requests] == _WAITING) | ~np.isin(who, whole)
        return retried, waits_s

    def _answer(self, place: int, event: str, where: int) -> Answer | None:
        """What the client is told: by the layer that cut, or by one that held a stream which broke off."""
        holding = [outer for outer in self.guards[1:place] if outer.holds]
        if where == _STREAMING and holding and not self.guards[place].holds:
            return holding[-1].answer("bad_gateway")
        return self.guards[place].answer(event)


def _is_retried(answer: Answer | None) -> bool:
    """Whether the official SDK tries again after this answer; a connection that just ends is retried too."""
    return answer is None or answer.status in _RETRIED or answer.status >= 500


def _retry_after_s(answer: Answer | None) -> float:
    """What the answer asks for, where the official SDK heeds it."""
    headers = {name.lower(): value for name, value in answer.headers} if answer else {}
    asked_s = asked_to_wait_s(headers)
    return asked_s if asked_s is not None and asked_s <= _RETRY_AFTER_MOST_S else 0.0
