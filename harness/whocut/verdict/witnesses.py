"""Who else saw a cut: the neighbours on both sides of the layer that says it cut.

Each link is seen twice. The neighbour towards the caller must have seen the end come from this layer, and
the neighbour towards the model must have seen it leave; only then is the cut proven. Where a neighbour says
otherwise, the contradiction is kept and printed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from whocut.chain.timers import TimerKind
from whocut.trace.records import DownstreamEnd, UpstreamEnd
from whocut.verdict import phrases
from whocut.verdict.order import Order, clock_of, left_of, on_one_clock, order_of
from whocut.verdict.verdict import Evidence, Grade

if TYPE_CHECKING:
    from whocut.chain.layers import Topology
    from whocut.trace.records import GenerationRecord, LayerRecord
    from whocut.verdict.evidence import AttemptEvidence


_LONG_S: Final = 1.0
_LONG_SHARE: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one side has to say about a cut. `missing` names the witness that did not report."""

    confirmed: bool = False
    facts: tuple[Evidence, ...] = ()
    contradictions: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


def own_word(cutter: LayerRecord) -> Evidence:
    """What the layer says of itself: testimony, however honest. Of a real gateway, what the taps saw of it."""
    assert cutter.cut is not None
    cut = cutter.cut
    if cutter.by_taps:
        fact = phrases.seen_by_taps(cut.directive, cut.timer, cut.phase, cut.limit_s)
        return Evidence(f"the taps beside {cutter.layer}", fact, Grade.PROVEN, cut.at_s)
    fact = phrases.own_word(cut.directive, cut.timer, cut.phase)
    return Evidence(cutter.layer, fact, Grade.TESTIFIED, cut.at_s)


def seen_from_above(evidence: AttemptEvidence, cutter: LayerRecord, topology: Topology) -> Seen:
    """Whether the neighbour towards the caller saw the end come from this layer; of a gateway, its tap did."""
    seen = _from_above(evidence, cutter, topology)
    return seen if not cutter.by_taps or seen.contradictions else replace(seen, confirmed=True, missing=())


def _from_above(evidence: AttemptEvidence, cutter: LayerRecord, topology: Topology) -> Seen:
    if cutter.position == 0:
        # The client's caller is the program itself, and the client's record is its account.
        return Seen(confirmed=True)
    neighbour = at_position(evidence, cutter.position - 1)
    if neighbour is None:
        return Seen(missing=(f"a span of {name_at(topology, cutter.position - 1)}",))
    if neighbour.upstream.by_us:
        # Their messages crossed: it left without having seen our end. That does not speak against the cut,
        # and it does not show it either.
        return Seen(facts=(_fact(neighbour, "had left by itself meanwhile", neighbour.upstream_s),))
    if cutter.downstream is DownstreamEnd.OWN_ANSWER and neighbour.upstream is UpstreamEnd.COMPLETE:
        return _answer_received(cutter, neighbour)
    ended = neighbour.upstream.by_them or neighbour.upstream is UpstreamEnd.COMPLETE
    if ended and cutter.downstream in {DownstreamEnd.TRUNCATED, DownstreamEnd.OWN_ANSWER}:
        looks = " (it looked complete)" if neighbour.upstream is UpstreamEnd.COMPLETE else ""
        fact = f"saw the response from it end: {neighbour.upstream}{looks}"
        return Seen(confirmed=True, facts=(_fact(neighbour, fact, neighbour.upstream_s),))
    return Seen(
        contradictions=(
            (
                f"{cutter.layer} says its caller's side ended as {cutter.downstream}, "
                f"{neighbour.layer} says {neighbour.upstream}"
            ),
        )
    )


def _answer_received(cutter: LayerRecord, neighbour: LayerRecord) -> Seen:
    if neighbour.status not in {None, cutter.status}:
        return Seen(
            contradictions=(
                (
                    f"{cutter.layer} says it answered {cutter.status}, "
                    f"{neighbour.layer} received {neighbour.status}"
                ),
            )
        )
    fact = f"received {cutter.status} from it as a whole response"
    return Seen(confirmed=True, facts=(_fact(neighbour, fact, neighbour.upstream_s),))


def seen_from_below(evidence: AttemptEvidence, cutter: LayerRecord, topology: Topology) -> Seen:
    """Whether the neighbour towards the model saw this layer leave; of a gateway, its tap did."""
    seen = _from_below(evidence, cutter, topology)
    return seen if not cutter.by_taps or seen.contradictions else replace(seen, confirmed=True, missing=())


def _from_below(evidence: AttemptEvidence, cutter: LayerRecord, topology: Topology) -> Seen:
    if cutter.cut and cutter.cut.timer is TimerKind.CONNECT:
        # Nobody behind it can testify to a connection that was never made; our hop is itself the edge here.
        fact = "no connection to its upstream was ever made"
        return Seen(confirmed=True, facts=(_fact(cutter, fact, cutter.cut.at_s),))
    if cutter.fell is not None and cutter.upstream in {UpstreamEnd.NONE, UpstreamEnd.COMPLETE}:
        return Seen(
            confirmed=True
        )  # behind it nobody was asked, or all had been said: only its caller could see
    if cutter.position < len(topology.hops):
        return _hop_below(evidence, cutter, topology)
    return _upstream_below(evidence, cutter, topology)


def _upstream_below(evidence: AttemptEvidence, cutter: LayerRecord, topology: Topology) -> Seen:
    name, generation = topology.upstream.name, evidence.generation
    if generation is None:
        return Seen(missing=(f"the ledger of {name}",))
    if generation.caller_gone_s is None:
        return Seen(contradictions=(f"{cutter.layer} says it left, {name} never saw its caller go",))
    if _gone_long_before(cutter, generation):
        return Seen(contradictions=(f"{cutter.layer} says it left, {name} saw its caller go long before",))
    left = Evidence(name, "saw it leave", Grade.PROVEN, generation.caller_gone_s)
    return Seen(confirmed=True, facts=(left,))


def _gone_long_before(cutter: LayerRecord, generation: GenerationRecord) -> bool:
    """Whether the upstream saw another layer leave: by durations, and by instants too where there is one clock.

    A request may be held on its way, and on a scaled clock every turn of a loop is long.
    """
    ended_s = cutter.cut.at_s if cutter.cut else cutter.upstream_s
    if generation.caller_gone_s is None or ended_s is None:
        return False
    waited_s = ended_s - cutter.start_s
    long_s = max(_LONG_S, _LONG_SHARE * waited_s)
    held_s = generation.caller_gone_s - generation.start_s
    apart_s = ended_s - generation.caller_gone_s
    return waited_s - held_s > long_s and (clock_of(cutter) is not None or apart_s > long_s)


def _hop_below(evidence: AttemptEvidence, cutter: LayerRecord, topology: Topology) -> Seen:
    neighbour = at_position(evidence, cutter.position + 1)
    if neighbour is None:
        return Seen(missing=(f"a span of {name_at(topology, cutter.position + 1)}",))
    left_s = left_of(neighbour)
    if left_s is None and not neighbour.caller_went_first:
        return _says_otherwise(cutter, neighbour)
    left = _fact(neighbour, "saw it leave", left_s)
    if on_one_clock(cutter, neighbour) or left_s is None:
        return Seen(confirmed=True, facts=(left,))
    # A layer that nobody knows may stand before a tap of a user's, and may have let go in silence before this one.
    ended_s = cutter.cut.at_s if cutter.cut else cutter.upstream_s
    order = Order.UNKNOWN if ended_s is None else order_of(cutter, ended_s, neighbour, left_s)
    if order is Order.BEFORE:
        return Seen(
            contradictions=(
                f"{cutter.layer} says it left, {neighbour.layer} saw its caller leave long before",
            )
        )
    return Seen(confirmed=order is Order.AFTER, facts=(left,))


def _says_otherwise(cutter: LayerRecord, neighbour: LayerRecord) -> Seen:
    return Seen(
        contradictions=(
            (
                f"{cutter.layer} says it left, {neighbour.layer} says its caller's side ended as "
                f"{neighbour.downstream}"
            ),
        )
    )


def watched(edges: LayerRecord) -> str:
    """What a layer that did not cut saw, in half a sentence."""
    if edges.caller_went_first:
        return "its caller left first"
    if edges.upstream is UpstreamEnd.COMPLETE:
        return f"passed on {edges.status or 'an answer'} from behind it, whole"
    return f"saw its upstream end: {edges.upstream}"


def ended_between(evidence: AttemptEvidence) -> str:
    """Where it was ended, if two witnesses are around the place: one was answered, the one further in left."""
    for outer, inner in pairwise(evidence.layers):
        left_s, ended_s = left_of(inner), outer.upstream_s
        in_silence = (
            None not in {left_s, ended_s}
            and not on_one_clock(outer, inner)
            and order_of(outer, ended_s or 0.0, inner, left_s or 0.0) is Order.BEFORE
        )
        if in_silence or (inner.caller_went_first and not (outer.upstream.by_us or outer.caller_went_first)):
            return (
                f"it was ended between {outer.layer} ({watched(outer)}) and {inner.layer} (its caller left)"
            )
    return ""


def name_at(topology: Topology, position: int) -> str:
    """The name of the layer at `position` (0 is the client); behind the last hop it is the upstream's."""
    layers = topology.layers
    return layers[position].name if position < len(layers) else topology.upstream.name


def at_position(evidence: AttemptEvidence, position: int) -> LayerRecord | None:
    """The account of the layer at `position` (0 is the client), or None where it did not report."""
    return next((edges for edges in evidence.layers if edges.position == position), None)


def _fact(witness: LayerRecord, fact: str, at_s: float | None) -> Evidence:
    return Evidence(witness.layer, fact, Grade.PROVEN, at_s)
