"""The upstream's account in sums: what it started, delivered, orphaned and billed; row by row, in any order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from whocut.verdict.figures import Books

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(slots=True)
class LedgerTotals:
    """Sums over generations; rows of refusals, which began no work, are passed over."""

    started: int = 0
    finished: int = 0
    delivered: int = 0
    orphaned: int = 0
    orphaned_s: float = 0.0
    orphaned_usd: float = 0.0
    unsettled: int = 0  # still running when the run, or the upstream, ended: what they cost is not known
    billed_usd: float = 0.0

    def add(self, row: Mapping[str, Any]) -> None:
        """Take in the last word on one generation."""
        if row.get("started_s") is None:
            return
        usd = float(row.get("billed_usd") or 0)
        self.started += 1
        self.unsettled += is_unsettled(row)
        self.finished += row.get("finished_s") is not None
        self.delivered += bool(row.get("delivered"))
        self.orphaned_s += float(row.get("orphaned_s") or 0)
        if row.get("orphaned"):
            self.orphaned += 1
            self.orphaned_usd += usd
        if row.get("billed"):
            self.billed_usd += usd

    def figures(self, requests: int) -> Books:
        """The sums for machines, beside the number of requests they were made for."""
        return Books(
            by="ledger",
            started=self.started,
            finished=self.finished,
            delivered=self.delivered,
            orphaned=self.orphaned,
            orphaned_s=round(self.orphaned_s, 3),
            unsettled=self.unsettled,
            orphaned_usd=round(self.orphaned_usd, 6),
            generations_per_request=round(self.started / requests, 4) if requests else None,
            billed_usd=round(self.billed_usd, 6),
            usd_per_delivered=round(self.billed_usd / self.delivered, 6) if self.delivered else None,
        )


def is_unsettled(row: Mapping[str, Any]) -> bool:
    """Whether a generation's last word is that it runs, or that its server was stopped before it ended."""
    cancelled = (row.get("job") or {}).get("cancelled_s") is not None  # it was stopped, and its bill is known
    return row.get("started_s") is not None and row.get("state") in {"running", "stopped"} and not cancelled


def charged(usd: float, delivered: int) -> Books:
    """The same where there is no ledger: what is not known is None, the bill is the spend guard's."""
    return Books(
        by="account",
        billed_usd=round(usd, 6),
        usd_per_delivered=round(usd / delivered, 6) if delivered else None,
    )
