"""Whether the API itself refused: a layer on the way may write the API's envelope, and some do for their timeouts.

A refusal is the API's only where the innermost witness handed it on, as it came, to all the others. Which witness
is the innermost decides the grade: a ledger, and a run's own last hop, are right beside the upstream. Behind a tap
of a user's, and behind a client alone, another layer may be that has not been seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whocut.trace.logs.records import EndedBy
from whocut.trace.records import DownstreamEnd, Outcome, UpstreamEnd
from whocut.verdict.order import clock_of
from whocut.verdict.verdict import Grade

if TYPE_CHECKING:
    from whocut.chain.layers import Topology
    from whocut.verdict.evidence import AttemptEvidence

_ERROR: Final = 400


def answer_grade(evidence: AttemptEvidence, topology: Topology) -> Grade:
    """How sure it is that no layer cut an attempt whose client had its answer."""
    if not evidence.layers:
        return Grade.UNATTRIBUTED
    if evidence.outcome is not Outcome.REJECTED:
        return Grade.PROVEN  # the client read it to its end
    if evidence.generation is not None:
        return Grade.PROVEN
    innermost = evidence.layers[-1]
    if not innermost.position:
        return Grade.INFERRED
    at_the_end = innermost.position >= len(topology.hops) and clock_of(innermost) is None
    return Grade.PROVEN if at_the_end else Grade.TESTIFIED


def not_seen_behind(evidence: AttemptEvidence, topology: Topology) -> str:
    """What is to be said of a refusal that a layer behind a user's tap may have written; empty where none can."""
    if evidence.outcome is not Outcome.REJECTED or answer_grade(evidence, topology) is not Grade.TESTIFIED:
        return ""
    return f"{evidence.layers[-1].layer} handed it on, and what is behind it is not seen"


def refused_by_the_api(evidence: AttemptEvidence) -> bool:
    """Whether a refusal came from behind every witness, and none of them says otherwise."""
    hops = [edges for edges in evidence.layers if edges.position]
    if any(edges.downstream is DownstreamEnd.OWN_ANSWER or edges.fell is not None for edges in hops):
        return False
    if hops and hops[-1].upstream is not UpstreamEnd.COMPLETE:
        return False
    generation = evidence.generation
    if generation is not None and (generation.caller_gone_s is not None or generation.delivered):
        return False
    statuses = {edges.status for edges in evidence.layers}
    if generation is not None and any(status is not None and status >= _ERROR for status in statuses):
        if generation.status is None:
            return False  # the upstream answered nothing: a layer on the way wrote it
        statuses.add(generation.status)  # an error inside a stream has the status of the stream
    if len(statuses - {None}) > 1:
        return False
    return not any(said.account.ended_by is EndedBy.LAYER for said in evidence.testimony)


def went_through_unread(evidence: AttemptEvidence) -> bool:
    """Whether every witness handed on the end of a good answer, and none of them read it."""
    return bool(evidence.layers) and all(
        edges.upstream is UpstreamEnd.COMPLETE
        and edges.downstream is DownstreamEnd.ANSWERED
        and edges.status is not None
        and edges.status < _ERROR
        for edges in evidence.layers
    )
