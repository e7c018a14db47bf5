"""What followed from the first cut in the other layers: everything after it is cascade."""

from __future__ import annotations

from typing import TYPE_CHECKING

from whocut.trace.records import DownstreamEnd, UpstreamEnd
from whocut.verdict import phrases
from whocut.verdict.verdict import Cascade

if TYPE_CHECKING:
    from whocut.trace.records import LayerRecord
    from whocut.verdict.evidence import AttemptEvidence


def cascade_of(evidence: AttemptEvidence, cutter: LayerRecord | None) -> tuple[Cascade, ...]:
    """What each layer but the cutter saw of it; None where the cutter is not among them."""
    others = (edges for edges in evidence.layers if edges is not cutter)
    return tuple(Cascade(edges.layer, _followed(edges)) for edges in others)


def _followed(edges: LayerRecord) -> str:
    if edges.cut:
        return phrases.fired_later(edges.cut.directive)
    if edges.fell:
        return phrases.fell_later(edges.fell)
    if edges.downstream is DownstreamEnd.LEFT:
        return phrases.LEFT
    if edges.upstream is not UpstreamEnd.COMPLETE:
        return phrases.upstream_ended(edges.upstream)
    return phrases.passed_on(edges.status, received=edges.position == 0)
