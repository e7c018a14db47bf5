"""What became of the generation behind an attempt: delivered, orphaned, billed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from whocut.trace.generations import CANCELLED, FINISHED
from whocut.trace.records import Outcome, UpstreamEnd
from whocut.verdict.verdict import Behind

if TYPE_CHECKING:
    from whocut.verdict.evidence import AttemptEvidence


def behind(evidence: AttemptEvidence) -> Behind | None:
    """The upstream's account of one generation; None where nothing was started.

    A layer blind to aborts takes the whole image long after its caller has gone: to the upstream that is a
    delivery, and only the layer's own edges tell that no caller received it.
    """
    generation = evidence.generation
    if generation is None or generation.refused:
        return None
    last = evidence.layers[-1] if evidence.layers else None
    received = evidence.outcome in {Outcome.DELIVERED, Outcome.REJECTED, Outcome.ACCEPTED}
    swallowed = generation.delivered and not received and last is not None
    return Behind(
        generation=generation.generation,
        orphaned=generation.orphaned,
        ran_on_s=generation.orphaned_s or 0.0,
        billed=generation.billed,
        billed_usd=generation.billed_usd or 0.0,
        delivered=generation.delivered,
        settled=generation.settled,
        earlier=tuple(one.generation for one in evidence.earlier),
        handed_to=last.layer if swallowed and last and last.upstream is UpstreamEnd.COMPLETE else None,
        stopped=generation.lost == CANCELLED and all(event.name != FINISHED for event in generation.events),
    )
