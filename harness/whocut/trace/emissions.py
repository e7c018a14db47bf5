"""When an answer's bytes left the upstream, or would have left it: the one derivation of a generation's silences.

An orphaned generation runs to its end, so the ledger knows the instants at which it would have sent. An answer
begins with its first byte: with heartbeats at once, without them with the first event. Between two events a
heartbeat follows each silence that lasts as long as the server allows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Emissions:
    """The instants of one generation's answer, in model seconds on the upstream's clock.

    `events_s` are its events in their order, partial images and the final one; of one that never finished the final
    one is missing. `first_s` is the first byte where it went before the first event.
    """

    start_s: float
    events_s: tuple[float, ...] = ()
    first_s: float | None = None
    heartbeat_s: float | None = None

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Emissions:
        """From a row of the upstream's ledger."""
        instants = [*(row.get("partials_s") or ()), row.get("finished_s")]
        start_s, first_s, heartbeat_s = row.get("started_s"), row.get("first_byte_s"), row.get("heartbeat_s")
        return cls(
            start_s=float(row["accepted_s"] if start_s is None else start_s),
            events_s=tuple(sorted(float(at_s) for at_s in instants if at_s is not None)),
            first_s=None if first_s is None else float(first_s),
            heartbeat_s=float(heartbeat_s) if heartbeat_s else None,
        )

    @property
    def bytes_s(self) -> tuple[float, ...]:
        """When bytes were sent, heartbeats between them apart; a stream with heartbeats begins at once."""
        first_s = self.start_s if self.first_s is None and self.heartbeat_s else self.first_s
        if first_s is None or (self.events_s and first_s >= self.events_s[0]):
            return self.events_s
        return (first_s, *self.events_s)

    @property
    def wait_s(self) -> float | None:
        """How long it takes to the first byte; None where none was ever due."""
        instants = self.bytes_s
        return instants[0] - self.start_s if instants else None

    @property
    def longest_gap_s(self) -> float | None:
        """The longest silence between two bytes; None where there are no two."""
        gaps = [later - earlier for earlier, later in pairwise(self.bytes_s)]
        return min(max(gaps), self.heartbeat_s or math.inf) if gaps else None

    @property
    def whole_s(self) -> float | None:
        """How long it takes to the last event; None where none was ever due."""
        return self.events_s[-1] - self.start_s if self.events_s else None

    def gap_around(self, at_s: float) -> float | None:
        """How long the silence lasts in which an instant lies; None before the first byte and after the last."""
        instants = self.bytes_s
        before = [sent_s for sent_s in instants if sent_s <= at_s]
        after = [sent_s for sent_s in instants if sent_s > at_s]
        if not before or not after:
            return None
        last_s, next_s = before[-1], after[0]
        if self.heartbeat_s is not None:
            last_s += (at_s - last_s) // self.heartbeat_s * self.heartbeat_s
            next_s = min(next_s, last_s + self.heartbeat_s)
        return next_s - last_s
