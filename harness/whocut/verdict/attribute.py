"""From the evidence of one attempt to the layer that cut it.

The first cut is the cause; everything after it is cascade. "First" is causal, not temporal: the cutter is the
layer whose upstream side was ended by itself before the response was complete, while its downstream neighbour
had not left first. That holds with skewed clocks; instants only break ties, and a tie is reported as a tie.

The rules are a table, read from the top; the first that applies decides.
One file, because a rule holds only where those above it did not: they are read together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from whocut.trace.records import Outcome, UpstreamEnd
from whocut.verdict import phrases
from whocut.verdict.answered import answer_grade, not_seen_behind, refused_by_the_api, went_through_unread
from whocut.verdict.cascade import cascade_of
from whocut.verdict.fingerprints import Ended
from whocut.verdict.first import First, What, first_ends, held_on_behind, order_is_sure
from whocut.verdict.inference import by_signature, infer
from whocut.verdict.jobs import how_lost
from whocut.verdict.needed import needed_s
from whocut.verdict.order import Sure, clock_of
from whocut.verdict.orphans import behind
from whocut.verdict.testimony import testified_before, who_ended_it, with_testimony
from whocut.verdict.verdict import Evidence, Grade, Kind, Verdict
from whocut.verdict.witnesses import (
    at_position,
    ended_between,
    name_at,
    own_word,
    seen_from_above,
    seen_from_below,
    watched,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from whocut.chain.layers import Layer, Topology
    from whocut.trace.records import GenerationRecord, LayerRecord
    from whocut.verdict.evidence import AttemptEvidence


@dataclass(frozen=True, slots=True)
class Rule:
    """One way in which an attempt can have ended; `find` returns None where it does not apply."""

    name: str
    says: str
    find: Callable[[AttemptEvidence, Topology], Verdict | None]


def attribute(evidence: AttemptEvidence, topology: Topology) -> Verdict:
    """The verdict on one attempt; never raises, never claims a grade it does not have."""
    for rule in RULES:
        verdict = rule.find(evidence, topology)
        if verdict is not None:
            return with_testimony(verdict, evidence) if evidence.testimony else verdict
    raise AssertionError("the last rule applies always")


# --- the rules ------------------------------------------------------------------------------------


def _nobody_cut(evidence: AttemptEvidence, topology: Topology) -> Verdict | None:
    if evidence.outcome is None and went_through_unread(evidence):
        return _verdict(
            evidence,
            kind=Kind.NONE,
            grade=Grade.INFERRED,
            reason="it went through whole, and no client tells what was in it: a tap's bodies are not read",
        )
    if evidence.outcome not in {Outcome.DELIVERED, Outcome.REJECTED, Outcome.ACCEPTED}:
        return None
    if evidence.outcome == Outcome.REJECTED and not refused_by_the_api(evidence):
        return None
    return _verdict(
        evidence,
        kind=Kind.NONE,
        grade=answer_grade(evidence, topology),
        reason=not_seen_behind(evidence, topology),
    )


def _still_running(evidence: AttemptEvidence, topology: Topology) -> Verdict | None:
    client = at_position(evidence, 0)
    if evidence.outcome != Outcome.CENSORED or (client and client.upstream.by_us):
        return None
    del topology
    return _verdict(evidence, kind=Kind.NONE, reason="the run ended first")


def _a_timer_fired(evidence: AttemptEvidence, topology: Topology) -> Verdict | None:
    first = first_ends(evidence)
    if first is None or first.ends[0].cut is None or testified_before(evidence, first.position):
        return None
    cutter = first.ends[0].edges
    cut = first.ends[0].cut
    layer = topology.layer(cutter.layer)
    above, below = seen_from_above(evidence, cutter, topology), seen_from_below(evidence, cutter, topology)
    return _verdict(
        evidence,
        kind=Kind.CUT,
        grade=_grade(evidence, first, topology, confirmed=above.confirmed and below.confirmed),
        layer=cutter.layer,
        title=layer.title if layer else cutter.layer,
        timer=cut.timer,
        directive=cut.directive,
        phase=cut.phase,
        limit_s=cut.limit_s,
        after_s=cutter.after_s,
        at_s=cut.at_s,
        needed_s=needed_s(
            evidence.generation.sent if evidence.generation else None,
            cut.timer,
            cut.phase,
            limit_s=cut.limit_s,
            cut_s=cut.at_s,
        ),
        rests_on=(own_word(cutter), *above.facts, *below.facts),
        cascade=cascade_of(evidence, cutter),
        contradictions=(*above.contradictions, *below.contradictions),
        tie=tuple(end.edges.layer for end in first.ends) if len(first.ends) > 1 else (),
        missing=(*above.missing, *below.missing),
    )


def _the_caller_went_away(evidence: AttemptEvidence, topology: Topology) -> Verdict | None:
    first = first_ends(evidence)
    if first is None or first.ends[0].what is not What.CALLER_LEFT:
        return None
    client = first.ends[0].edges
    below = seen_from_below(evidence, client, topology)
    return _verdict(
        evidence,
        kind=Kind.CUT,
        grade=_grade(evidence, first, topology, confirmed=below.confirmed),
        layer=client.layer,
        title=topology.client.title,
        reason=phrases.CALLER_WENT,
        after_s=first.ends[0].at_s - client.start_s,
        at_s=first.ends[0].at_s,
        rests_on=(
            Evidence(client.layer, "its caller cancelled", Grade.TESTIFIED, first.ends[0].at_s),
            *below.facts,
        ),
        cascade=cascade_of(evidence, client),
        contradictions=below.contradictions,
        missing=below.missing,
    )


def _a_layer_fell(evidence: AttemptEvidence, topology: Topology) -> Verdict | None:
    first = first_ends(evidence)
    if first is None or first.ends[0].what is not What.GONE or testified_before(evidence, first.position):
        return None
    fallen, at_s = first.ends[0].edges, first.ends[0].at_s
    layer = topology.layer(fallen.layer)
    above, below = seen_from_above(evidence, fallen, topology), seen_from_below(evidence, fallen, topology)
    return _verdict(
        evidence,
        kind=Kind.CUT,
        grade=_grade(evidence, first, topology, confirmed=above.confirmed and below.confirmed),
        layer=fallen.layer,
        title=layer.title if layer else fallen.layer,
        reason=phrases.without_a_timer(fallen.fell),
        after_s=at_s - fallen.start_s,
        at_s=at_s,
        rests_on=(*above.facts, *below.facts, *_as_it_shows_itself(evidence, fallen, layer)),
        cascade=cascade_of(evidence, fallen),
        contradictions=(*above.contradictions, *below.contradictions),
        missing=(*above.missing, *below.missing),
    )


def _as_it_shows_itself(
    evidence: AttemptEvidence, fallen: LayerRecord, layer: Layer | None
) -> tuple[Evidence, ...]:
    """Which product is between two taps, by the page it wrote, where nothing was said of it."""
    if not fallen.by_taps or evidence.seen is None or (layer is not None and layer.preset):
        return ()
    page = by_signature(evidence.seen)
    return () if page is None else tuple(Evidence(fallen.layer, why, Grade.INFERRED) for why in page.why)


def _the_upstream_ended_it(evidence: AttemptEvidence, topology: Topology) -> Verdict | None:
    first = first_ends(evidence)
    if first is None or first.ends[0].what is not What.UPSTREAM_ENDED:
        return None
    innermost = first.ends[0].edges
    if innermost.position < len(topology.hops) or testified_before(evidence, first.position):
        return None
    if any(edges.position > innermost.position for edges in evidence.layers):
        return None  # a tap further in saw nothing of the kind: a layer is between
    generation = evidence.generation
    fault = generation.fault if generation else None
    both_lost_it = generation is not None and fault is None and generation.caller_gone_s is not None
    if both_lost_it and clock_of(innermost) is not None:
        return None  # the upstream saw its caller go: a layer between them let go
    on_the_path = f"{innermost.upstream} on the path: the upstream saw its caller go"
    seen = Evidence(
        innermost.layer, f"its upstream side ended: {innermost.upstream}", Grade.PROVEN, innermost.upstream_s
    )
    return _verdict(
        evidence,
        kind=Kind.CUT,
        grade=_grade(evidence, first, topology, confirmed=_upstream_owns_up(innermost, generation)),
        layer=topology.upstream.name,
        title="the upstream",
        reason=phrases.without_a_timer(on_the_path if both_lost_it else fault or innermost.upstream),
        after_s=first.ends[0].at_s - innermost.start_s,
        at_s=first.ends[0].at_s,
        rests_on=(seen,),
        cascade=cascade_of(evidence, None),
    )


def _upstream_owns_up(innermost: LayerRecord, generation: GenerationRecord | None) -> bool:
    """Whether the ledger confirms that the upstream ended it; behind a user's tap only a fault of its own does.

    Where the upstream saw its caller go, the path between the two lost both of them.
    """
    if generation is None or generation.delivered:
        return False
    return generation.fault is not None or (clock_of(innermost) is None and generation.caller_gone_s is None)


def _the_upstream_s_answer_was_not_whole(evidence: AttemptEvidence, topology: Topology) -> Verdict | None:
    hops = [edges for edges in evidence.layers if edges.position]
    if evidence.outcome != Outcome.TRUNCATED or not hops or hops[-1].position < len(topology.hops):
        return None
    if any(edges.upstream is not UpstreamEnd.COMPLETE or edges.cut or edges.fell for edges in hops):
        return None
    innermost = hops[-1]
    fault = evidence.generation.fault if evidence.generation else None
    seen = Evidence(
        innermost.layer,
        "passed on an answer to its end, and it was not whole",
        Grade.TESTIFIED,
        innermost.upstream_s,
    )
    return _verdict(
        evidence,
        kind=Kind.CUT,
        grade=Grade.PROVEN if fault else Grade.TESTIFIED,
        layer=topology.upstream.name,
        title="the upstream",
        reason=f"without a timer ({fault or 'its answer was not whole'})",
        after_s=innermost.end_s - innermost.start_s,
        at_s=innermost.upstream_s,
        rests_on=(seen,),
        cascade=cascade_of(evidence, None),
    )


def _a_log_says_so(evidence: AttemptEvidence, topology: Topology) -> Verdict | None:
    said = who_ended_it(evidence, topology)
    if said is None:
        return None
    rests_on = tuple(one.evidence for one in evidence.testimony)
    if said.nobody:
        return _verdict(
            evidence,
            kind=Kind.NONE,
            grade=said.grade,
            reason=said.why or "every layer that reported says that it went through whole",
            rests_on=rests_on,
        )
    if said.position is None or said.view is None:
        return None
    view = said.view
    inside = said.position <= len(topology.hops)
    layer = topology.layers[said.position] if inside else None
    timer = layer.timers.get(view.timer) if layer and view.timer else None
    reason = said.why if inside else phrases.WITHOUT
    return _verdict(
        evidence,
        kind=Kind.CUT,
        grade=said.grade,
        layer=layer.name if layer else topology.upstream.name,
        title=layer.title if layer else "the upstream",
        timer=view.timer if inside else None,
        directive=view.directive if inside else None,
        phase=view.phase,
        limit_s=timer.limit_s if timer else None,
        after_s=view.duration_s,
        at_s=view.end_s,
        reason=phrases.CALLER_WENT if said.by_caller and not view.timer else reason,
        rests_on=rests_on,
        cascade=said.cascade,
        contradictions=said.contradictions,
        missing=said.missing,
    )


def _the_callers_view_alone(evidence: AttemptEvidence, topology: Topology) -> Verdict | None:
    if evidence.seen is None or evidence.testimony:
        return None
    # In a known chain the layers speak for themselves; taps are among unknown layers.
    watching = [edges for edges in evidence.layers if edges.position]
    if watching and (topology.hops or any(edges.cut for edges in watching)):
        return None
    # The time it took names a layer only where its limits are known: every limit is some product's default.
    known = topology.hops and any(layer.timers for layer in topology.hops)
    inference = infer(evidence.seen, topology.hops) if known else by_signature(evidence.seen, topology.hops)
    if inference is None or inference.layer is None or inference.ended is Ended.CALLER:
        return None
    if topology.hops and topology.layer(inference.layer) is None:
        return None  # a page of a layer that is not in the chain
    by_upstream = inference.ended is Ended.UPSTREAM
    if by_upstream and topology.hops and inference.layer != topology.hops[-1].name:
        return None  # a layer further in ended it, and nothing says which
    client = at_position(evidence, 0)
    witness = client.layer if client else "the caller"
    return _verdict(
        evidence,
        kind=Kind.CUT,
        grade=inference.grade,
        layer=topology.upstream.name if by_upstream else inference.layer,
        title="the upstream" if by_upstream else inference.title,
        timer=inference.timer,
        directive=inference.directive or None,
        phase=inference.phase,
        limit_s=inference.limit_s,
        after_s=evidence.seen.elapsed_s,
        reason=phrases.WITHOUT if by_upstream else "",
        rests_on=(
            *(Evidence(witness, why, Grade.INFERRED) for why in inference.why),
            *(Evidence(edges.layer, watched(edges), Grade.PROVEN, edges.upstream_s) for edges in watching),
        ),
        missing=tuple(f"a span or a log of {layer.name}" for layer in topology.hops),
    )


def _the_next_is_silent(evidence: AttemptEvidence, topology: Topology) -> Verdict | None:
    said = who_ended_it(evidence, topology)
    if said is not None:
        return _verdict(
            evidence,
            kind=Kind.UNATTRIBUTED,
            reason=said.why,
            rests_on=tuple(one.evidence for one in evidence.testimony),
            contradictions=said.contradictions,
            missing=said.missing,
        )
    first = first_ends(evidence)
    if first is None or first.ends[0].what is not What.UPSTREAM_ENDED:
        return None
    innermost = first.ends[0].edges
    last = evidence.layers[-1]
    if last.position > innermost.position and last.position < len(topology.hops):
        return _unattributed(
            evidence,
            f"{innermost.layer} saw its upstream end ({innermost.upstream}), {last.layer} {watched(last)}, "
            "and what is behind it is silent",
            f"a span of {name_at(topology, last.position + 1)}",
        )
    return _unattributed(
        evidence,
        f"{innermost.layer} saw its upstream end ({innermost.upstream}), and the next layer is silent",
        f"a span of {name_at(topology, innermost.position + 1)}",
    )


def _nobody_says(evidence: AttemptEvidence, topology: Topology) -> Verdict | None:
    silent = [
        layer.name for position, layer in enumerate(topology.layers) if position not in evidence.reported
    ]
    place = ended_between(evidence)
    return _unattributed(
        evidence,
        f"the client saw {evidence.saw or 'no end'}, and no layer says it cut"
        + (f"; {place}" if place else ""),
        *(f"a span of {name}" for name in silent),
    )


def _a_result_was_lost(evidence: AttemptEvidence, topology: Topology) -> Verdict | None:
    lost = how_lost(evidence, topology)
    if lost is None:
        return None
    return _verdict(
        evidence,
        kind=Kind.CUT,
        grade=lost.grade,
        layer=lost.layer,
        title=lost.title,
        timer=lost.timer,
        after_s=lost.after_s,
        at_s=lost.at_s,
        reason=lost.reason,
        rests_on=lost.rests_on,
    )


RULES = (
    Rule(
        "a job's result was lost",
        "the submit was accepted, the image was made, and the ledger says how it came to no one",
        _a_result_was_lost,
    ),
    Rule("nobody cut", "the client had its answer: an image, or a refusal by the API", _nobody_cut),
    Rule("still running", "the run ended before the attempt did", _still_running),
    Rule(
        "a timer fired",
        "a layer ended its upstream side by a timer of its own, before the response was complete and while "
        "its caller had not left first",
        _a_timer_fired,
    ),
    Rule(
        "the caller went away",
        "the program that uses the client stopped it",
        _the_caller_went_away,
    ),
    Rule(
        "a layer fell",
        "a layer ended its sides first and by no timer: its process had died, its code failed, it gave up",
        _a_layer_fell,
    ),
    Rule(
        "the upstream ended it",
        "the innermost layer saw its upstream side end, and no layer before it had cut",
        _the_upstream_ended_it,
    ),
    Rule(
        "the upstream's answer was not whole",
        "every layer passed the answer on to its end, and it lacks its last event, or the end of its JSON",
        _the_upstream_s_answer_was_not_whole,
    ),
    Rule(
        "a log says so",
        "a layer without edges says in its log, or in a span that is not ours, who ended it",
        _a_log_says_so,
    ),
    Rule(
        "the caller's view alone",
        "no layer reported, and the response, or the time it took, is one layer's",
        _the_callers_view_alone,
    ),
    Rule(
        "the next is silent",
        "the innermost layer that reported was ended by its upstream, and the layer behind it does not report",
        _the_next_is_silent,
    ),
    Rule("nobody says", "the evidence does not carry a verdict; what would be needed is named", _nobody_says),
)


def rules_as_markdown() -> str:
    """The table of rules for the documentation."""
    rows = [f"| {number} | {rule.name} | {rule.says} |" for number, rule in enumerate(RULES, start=1)]
    return "\n".join(["| | rule | applies when |", "|---|---|---|", *rows])


# --- making verdicts ------------------------------------------------------------------------------


def _verdict(seen: AttemptEvidence, *, rests_on: tuple[Evidence, ...] = (), **facts: object) -> Verdict:
    return Verdict(
        request=seen.request,
        attempt=seen.attempt,
        mode=seen.mode,
        trace_id=seen.trace_id,
        outcome=seen.outcome,
        status=seen.status,
        behind=behind(seen),
        evidence=rests_on,
        **facts,  # type: ignore[arg-type]  # the callers above name Verdict's own fields
    )


def _grade(evidence: AttemptEvidence, first: First, topology: Topology, *, confirmed: bool) -> Grade:
    """Proven: both sides saw it, nothing else could have come first, and no layer outside of it is silent.

    A silent layer outside could have left earlier, unseen, with a layer blind to that in between; one further in
    could have left in silence, and let its caller wait. Nor is an order of two clocks a proof.
    """
    position = first.ends[0].edges.position
    outside = set(range(position)) - evidence.reported
    sure = order_is_sure(evidence, first.ends[0])
    if sure is Sure.NO or (topology.guessed and any(edges.position for edges in evidence.layers)):
        return Grade.INFERRED
    proven = (
        confirmed
        and first.sure
        and sure is Sure.YES
        and not outside
        and not evidence.joined_by_time
        and held_on_behind(evidence, first.ends[0], topology)
    )
    return Grade.PROVEN if proven else Grade.TESTIFIED


def _unattributed(evidence: AttemptEvidence, reason: str, *missing: str) -> Verdict:
    return _verdict(evidence, kind=Kind.UNATTRIBUTED, reason=reason, missing=missing)
