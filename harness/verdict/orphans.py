"""What became of the generation behind an attempt: delivered, orphaned, billed; the silence that decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.trace import names
from harness.verdict.verdict import Behind

if TYPE_CHECKING:
    from harness.verdict.evidence import GenerationEdge


def behind(generation: GenerationEdge | None) -> Behind | None:
    """The upstream's account of one generation; None where nothing was started."""
    if generation is None or generation.attributes.get(names.REFUSED):
        return None
    has = generation.attributes
    return Behind(
        generation=generation.generation,
        orphaned=generation.orphaned,
        ran_on_s=float(has.get(names.ORPHANED_S) or 0.0),
        billed=bool(has.get(names.BILLED, False)),
        billed_usd=float(has.get(names.BILLED_USD) or 0.0),
        delivered=generation.delivered,
        settled=bool(has.get(names.SETTLED, True)),
    )


def silence_s(generation: GenerationEdge | None, cut_s: float) -> float | None:
    """How long the upstream would have been silent around a cut: from the byte before to the byte after it.

    The upstream works on for nobody, so its ledger knows when the next byte would have come.
    """
    if generation is None:
        return None
    emissions = [float(at_s) for at_s in generation.attributes.get(names.EMISSIONS_S) or ()]
    after = [at_s for at_s in emissions if at_s > cut_s]
    if not after:
        return None
    before = [at_s for at_s in emissions if at_s <= cut_s]
    return min(after) - (max(before) if before else generation.start_s)
