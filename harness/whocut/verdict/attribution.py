"""From many requests' records to a verdict an attempt: the one place where spans, logs and attempts are joined.

What draws a request, sums a run up or watches one takes what was joined here, and joins nothing again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from whocut.verdict.attribute import attribute
from whocut.verdict.evidence import gather, never_ended
from whocut.verdict.gateways import whole_layers
from whocut.verdict.joining import join
from whocut.verdict.seating import not_used, seated

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from whocut.chain.layers import Topology
    from whocut.trace.logs.records import Account
    from whocut.trace.records import Attempt, Span
    from whocut.verdict.evidence import AttemptEvidence
    from whocut.verdict.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Attribution:
    """Every attempt in the order of their starts: what is known of it, and the verdict on it.

    `spans` are those that were judged, one a layer and attempt, of real gateways too. `not_used` says why what the
    chain says of places between taps told nothing.
    """

    evidence: tuple[AttemptEvidence, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    spans: tuple[Span, ...] = ()
    not_used: tuple[str, ...] = ()

    def of_request(self, request: str) -> Iterator[tuple[AttemptEvidence, Verdict]]:
        """The attempts of one request, by number."""
        mine = [both for both in zip(self.evidence, self.verdicts, strict=True) if both[0].request == request]
        yield from sorted(mine, key=lambda both: both[0].attempt)


def attribute_all(
    attempts: Sequence[Attempt],
    spans: Iterable[Span],
    topology: Topology,
    accounts: Iterable[Account] = (),
) -> Attribution:
    """One verdict an attempt; `accounts` are what gateways' logs say."""
    judged = list(spans)
    judged += never_ended(attempts, judged, topology.client.name)
    idle = tuple(not_used(judged, topology)) if topology.between or topology.taps else ()
    judged, topology = seated(judged, topology)
    judged = whole_layers(judged, topology)
    gathered = gather(judged)
    positions = {layer.name: position for position, layer in enumerate(topology.layers)}
    # What only a log knows of is no attempt here: a line of another run, a look at the gateway's health.
    evidence = tuple(join(gathered, accounts, positions)[: len(gathered)])
    verdicts = tuple(attribute(one, topology) for one in evidence)
    return Attribution(evidence, verdicts, tuple(judged), idle)
