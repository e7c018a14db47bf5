"""Which end came first: every way in which an attempt was ended, less those that only followed.

Four things can end an attempt: a layer's own timer, a layer's death, the client's caller, the upstream. Layers
that are blind to aborts let several of them happen to one attempt; only the first is the cause. What came first is
decided by order on one witness's clock and by durations, which skewed clocks do not change:

- a layer whose caller had left when its timer fired cut too late;
- a layer further out whose caller left before its own upstream side ended could not hand that end to any caller;
- an end that took longer than a layer further out was there to wait for it came too late;
- a layer further out that left long after it had ended in silence further in left because of that.

What is left crossed on the wire. Then only instants tell, and those within `TIE_S` are a tie. Instants of two
clocks prove nothing, and their durations have to differ by more than a busy machine needs to notice an end.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from itertools import pairwise
from typing import TYPE_CHECKING

from whocut.chain.timers import TimerKind
from whocut.trace.records import UpstreamEnd
from whocut.verdict.gateways import GatewayRecord, inner_clock_of
from whocut.verdict.order import (
    NOTICED_WITHIN_S,
    Order,
    Sure,
    apart_s,
    came_at_once,
    clock_of,
    left_of,
    noticed_within_s,
    on_one_clock,
    order_of,
    told_at_once,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whocut.chain.layers import Topology
    from whocut.trace.records import Cut, GenerationRecord, LayerRecord
    from whocut.verdict.evidence import AttemptEvidence

# Two cuts whose messages crossed on the wire can be ordered by their instants only down to this, in model
# seconds: below it the order in which two loops read their clocks decides, and that is no evidence.
TIE_S = 0.001
# A layer that let go, and whose caller left so much later, was first: nothing is that long on the wire.
LONG_S = 1.0
# Through what is not known at all, an end that was handed on at once takes a few milliseconds, on one clock.
_FOLLOWED_WITHIN_S = 0.1


class What(Enum):
    """What ended an attempt."""

    TIMER = auto()
    CALLER_LEFT = auto()
    UPSTREAM_ENDED = auto()
    GONE = auto()  # a layer died, or gave up, by no timer


@dataclass(frozen=True, slots=True)
class End:
    """One end of an attempt, as the layer that saw it from nearest tells it, on that layer's clock."""

    what: What
    edges: LayerRecord
    at_s: float

    @property
    def cut(self) -> Cut | None:
        """The timer, if it was one."""
        return self.edges.cut if self.what is What.TIMER else None


@dataclass(frozen=True, slots=True)
class First:
    """The ends that came first: one, or several, outermost first, that nothing can tell apart.

    `by_instant`: others had crossed with it on the wire, and only clocks say that they came later.
    """

    ends: tuple[End, ...]
    by_instant: bool = False

    @property
    def position(self) -> int:
        """Of the layer that saw the first end from nearest, counted from the client."""
        return self.ends[0].edges.position

    @property
    def sure(self) -> bool:
        """Whether the order does not rest on clocks."""
        return len(self.ends) == 1 and not self.by_instant


def first_ends(evidence: AttemptEvidence) -> First | None:
    """What ended the attempt first; None: no end of it was seen."""
    ends = [end for end in _ends(evidence) if not _followed(end, evidence)]
    if not ends:
        return None
    late = [end for end in ends if _left_late(end, ends)]
    ends = [end for end in ends if end not in late] or late
    earliest_s = min(end.at_s for end in ends)
    first = tuple(end for end in ends if end.at_s - earliest_s <= TIE_S)
    return First(first, by_instant=len(first) < len(ends) or any(end.at_s < earliest_s for end in late))


def _ends(evidence: AttemptEvidence) -> Iterator[End]:
    for edges in evidence.layers:
        if edges.cut is not None:
            yield End(What.TIMER, edges, edges.cut.at_s)
        elif edges.fell is not None:
            yield End(What.GONE, edges, _upstream_s(edges))
        elif edges.position == 0 and edges.upstream is UpstreamEnd.ABANDONED:
            yield End(What.CALLER_LEFT, edges, _upstream_s(edges))
    by_them = [edges for edges in evidence.layers if edges.upstream.by_them]
    if by_them:
        # Each layer further out saw the same end, passed on; the innermost is the nearest witness.
        yield End(What.UPSTREAM_ENDED, by_them[-1], _upstream_s(by_them[-1]))


def _followed(end: End, evidence: AttemptEvidence) -> bool:
    """Whether something else had ended the attempt before."""
    edges = end.edges
    if end.what is What.CALLER_LEFT:
        # The client is the outermost layer: only one that is not known could have let go before.
        return _let_go_between(end, evidence)
    explained = end.what is What.UPSTREAM_ENDED and _explained_by_a_cut_further_in(end, evidence)
    if explained or _let_go_between(end, evidence) or _its_caller_had_gone(edges, end.at_s):
        return True
    took_s = end.at_s - edges.start_s
    for outer in evidence.layers:
        if outer.position >= edges.position:
            break
        if outer.caller_left_s is not None and outer.caller_left_s < _upstream_s(outer):
            return True
        slack_s = TIE_S if on_one_clock(outer, edges) else noticed_within_s(outer, edges)
        if _upstream_s(outer) - outer.start_s + slack_s < took_s:
            return True
    return False


def _let_go_between(end: End, evidence: AttemptEvidence) -> bool:
    """Whether a witness further in, on another clock, saw its caller leave for certain before this end."""
    return any(
        inner.position > end.edges.position
        and not on_one_clock(end.edges, inner)
        and (left_s := left_of(inner)) is not None
        and order_of(end.edges, end.at_s, inner, left_s) is Order.BEFORE
        for inner in evidence.layers
    )


def _its_caller_had_gone(edges: LayerRecord, at_s: float) -> bool:
    """Whether a layer's caller had left at an instant, both on the layer's own clock."""
    left_s = left_of(edges)
    return edges.caller_went_first if left_s is None else left_s <= at_s


def _left_late(end: End, ends: list[End]) -> bool:
    """Whether it had ended further in, in silence, and the caller of that layer left only long afterwards."""
    return any(
        inner.edges.position > end.edges.position
        and inner.what is not What.CALLER_LEFT
        and inner.edges.caller_left_s is not None
        and inner.edges.caller_left_s - inner.at_s > LONG_S
        for inner in ends
    )


def _explained_by_a_cut_further_in(end: End, evidence: AttemptEvidence) -> bool:
    """A layer's cut in mid-body looks, from the next layer out, like an upstream that ended."""
    return any(
        inner.cut is not None or inner.fell is not None
        for inner in evidence.layers
        if inner.position > end.edges.position
    )


def _upstream_s(edges: LayerRecord) -> float:
    return edges.upstream_s if edges.upstream_s is not None else edges.end_s


# --- how far the order can be trusted -----------------------------------------------------------------------


def order_is_sure(evidence: AttemptEvidence, end: End) -> Sure:
    """The least sure of the orders, read off two clocks, by which this end was first: a verdict is no better."""
    inward = [edges for edges in evidence.layers if edges.position >= end.edges.position]
    read_off = [edges.sure for edges in inward if isinstance(edges, GatewayRecord)]
    seen = [_sure_between(outer, inner) for outer, inner in pairwise(inward)]
    silent = [_sure_of_silent(end, inner) for inner in inward[1:]]
    told = _sure_told(end, evidence)
    within = [_sure_within(edges) for edges in inward]
    return max((*read_off, *seen, *silent, *within, told, _sure_behind(inward[-1], evidence.generation)))


def _sure_told(end: End, evidence: AttemptEvidence) -> Sure:
    """How sure it is that each witness further out heard of the upstream's end because of it."""
    if end.what is not What.UPSTREAM_ENDED:
        return Sure.YES
    outward = [edges for edges in evidence.layers if edges.position <= end.edges.position]
    outermost, work = outward[0], evidence.generation
    at_once = (
        work is not None and clock_of(outermost) is None and came_at_once(outermost.start_s, work.start_s)
    )
    sure = Sure.YES
    for outer, inner in pairwise(outward):
        if inner_clock_of(outer) != clock_of(inner):  # on the run's clock nothing unknown is between two
            by_s, told_s = apart_s(outer, inner), inner.downstream_s or inner.end_s
            sure = max(sure, told_at_once(outer, inner.start_s + by_s, told_s + by_s, passed_at_once=at_once))
    return sure


def _sure_of_silent(end: End, inner: LayerRecord) -> Sure:
    """How sure it is that a layer further in, which let go and told its caller late, did so after this end."""
    ended_s, left_s = inner.upstream_s, left_of(inner)
    told_s = inner.downstream_s if left_s is None else left_s
    let_go = inner.cut is not None or inner.fell is not None
    if not let_go or ended_s is None or told_s is None or told_s - ended_s <= LONG_S:
        return Sure.YES
    return Sure.YES if order_of(end.edges, end.at_s, inner, ended_s) is Order.AFTER else Sure.NO


def _sure_between(outer: LayerRecord, inner: LayerRecord) -> Sure:
    """How sure it is that no layer between two witnesses let go in silence: not at all where one waited longer.

    Where the inner one was held on to, a layer between is blind to its caller; what is further out than that may
    have let go at any time, and have told it late.
    """
    left_s, ended_s = left_of(inner), outer.upstream_s
    if left_s is None or ended_s is None or not outer.upstream.by_us or on_one_clock(outer, inner):
        return Sure.YES
    order = order_of(outer, ended_s, inner, left_s)
    if order is not Order.UNKNOWN:
        return Sure.BY_INSTANT if order is Order.AFTER else Sure.YES
    longer_s = (ended_s - outer.start_s) - (left_s - inner.start_s)
    return Sure.NO if longer_s > NOTICED_WITHIN_S else Sure.BY_INSTANT


def _sure_within(edges: LayerRecord) -> Sure:
    """The same of a place between two taps of which nothing is known: it may be two layers."""
    left_s, ended_s = left_of(edges), edges.upstream_s
    unknown = isinstance(edges, GatewayRecord) and edges.unknown
    held_on = left_s is not None and ended_s is not None and ended_s - left_s > LONG_S
    return Sure.BY_INSTANT if unknown and held_on else Sure.YES


def _sure_behind(innermost: LayerRecord, generation: GenerationRecord | None) -> Sure:
    """The same of whatever is between the innermost witness and the upstream, which saw its caller go."""
    if generation is None or generation.caller_gone_s is None or not innermost.upstream.by_us:
        return Sure.YES
    held_s = generation.caller_gone_s - generation.start_s
    longer_s = _upstream_s(innermost) - innermost.start_s - held_s
    return Sure.NO if inner_clock_of(innermost) is not None and longer_s > NOTICED_WITHIN_S else Sure.YES


def held_on_behind(evidence: AttemptEvidence, end: End, topology: Topology) -> bool:
    """Whether no silent layer further in can have let go before, and let its caller wait.

    Where each layer further in reports, one that did so is seen. Else the upstream must have been held for as long
    as the layer waited: what took longer further in came later, whatever the clocks say. Where nothing is known of
    the way, and it was held on to for longer, a layer is blind, or its own timer fired a moment later; where it was
    asked twice, a layer between has let go once. Then one further out may have let go at any time.
    """
    edges = end.edges
    connecting = end.cut is not None and end.cut.timer is TimerKind.CONNECT
    if end.what is What.UPSTREAM_ENDED or connecting or edges.upstream is UpstreamEnd.NONE:
        return True
    silent = set(range(edges.position + 1, len(topology.hops) + 1)) - evidence.reported
    anything = not topology.whole and not topology.hops
    if not silent and not anything:
        return True
    generation = evidence.generation
    if generation is None:
        return False
    gone_s = generation.caller_gone_s if generation.caller_gone_s is not None else generation.end_s
    longer_s = (gone_s - generation.start_s) - (end.at_s - edges.start_s)
    if anything:
        return not evidence.earlier and abs(longer_s) <= _FOLLOWED_WITHIN_S
    return longer_s >= -TIE_S
