"""What was seen of a client, judged: its attempts, what they cost, who cut them, and a drawing of each request."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from rich.console import Console

from whocut.stage.grouping import name_requests
from whocut.trace.generations import generation_span
from whocut.trace.records import Attempt, Outcome
from whocut.verdict.attribution import Attribution, attribute_all
from whocut.verdict.retry_audit import Audit, audit_retries
from whocut.verdict.terminal import render
from whocut.verdict.waterfall import waterfall

if TYPE_CHECKING:
    from whocut.chain.layers import Topology
    from whocut.stage.sighting import Sighting
    from whocut.trace.records import Span
    from whocut.verdict.verdict import Verdict

DRAWING_COLUMNS = 100


@dataclass(frozen=True)
class Observed:
    """A client's doings on a stage up to one moment.

    `sightings` are its attempts, `beside` the requests that asked for no generation.
    """

    topology: Topology
    sightings: tuple[Sighting, ...]
    beside: tuple[Sighting, ...]
    spans: tuple[Span, ...]
    ledger: tuple[dict[str, Any], ...]

    @cached_property
    def requests(self) -> dict[str, list[Attempt]]:
        """The attempts of each request, in their order."""
        return {
            tries[0].record.request: [one.record for one in tries] for tries in name_requests(self.sightings)
        }

    @cached_property
    def attempts(self) -> list[Attempt]:
        """All attempts, request by request."""
        return [attempt for tries in self.requests.values() for attempt in tries]

    @cached_property
    def all_spans(self) -> list[Span]:
        """The client's as seen from outside, the layers' and the generations'."""
        assert self.requests is not None  # names every sighting before its span is made
        seen = [sighting.span() for sighting in self.sightings]
        return seen + list(self.spans) + [generation_span(row) for row in self.ledger]

    @cached_property
    def attribution(self) -> Attribution:
        """Every attempt with its evidence and its verdict."""
        return attribute_all(self.attempts, self.all_spans, self.topology)

    @property
    def verdicts(self) -> list[Verdict]:
        """One verdict an attempt."""
        return list(self.attribution.verdicts)

    @cached_property
    def audit(self) -> Audit:
        """What the retries did."""
        return audit_retries(self.attempts, self.verdicts)

    @cached_property
    def billed(self) -> dict[str, list[Verdict]]:
        """The verdicts of each request behind which a generation was, or will be, billed."""
        found: dict[str, list[Verdict]] = {request: [] for request in self.requests}
        for verdict in self.verdicts:
            if verdict.behind is not None and verdict.behind.billed:
                found[verdict.request].append(verdict)
        return found

    @property
    def most_in_flight(self) -> tuple[int, float]:
        """The most attempts that were open at one instant, and when."""
        edges = [(attempt.started_s, 1) for attempt in self.attempts]
        edges += [(attempt.ended_s, -1) for attempt in self.attempts if attempt.ended_s is not None]
        most, at_s, open_now = 0, 0.0, 0
        for instant_s, step in sorted(edges):  # an end and a beginning in one instant: the end comes first
            open_now += step
            if open_now > most:
                most, at_s = open_now, instant_s
        return most, at_s

    def verdict(self, request: str) -> Verdict:
        """The verdict on a request's last attempt."""
        return [verdict for verdict in self.verdicts if verdict.request == request][-1]

    def delivered(self, request: str) -> bool:
        """Whether its image came."""
        return self.requests[request][-1].outcome is Outcome.DELIVERED

    def drawing(self, request: str, columns: int = DRAWING_COLUMNS) -> str:
        """A request's waterfall with its verdicts, in plain characters."""
        text = io.StringIO()
        console = Console(file=text, width=columns, force_terminal=False, color_system=None)
        render(waterfall(request, self.attribution, self.attempts), console)
        return "\n".join(line.rstrip() for line in text.getvalue().rstrip().splitlines())
