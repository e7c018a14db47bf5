"""What is left after the kills: the service's account, the mock's, the receiver's, and the verdicts; and findings.

Every generation is exactly one of: delivered (its caller took all of it), orphaned (its caller had gone), running
(its mock was killed while it ran). No order has two. A finding is one sentence.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import openai

from whocut.jobs.records import JobState
from whocut.verdict.agreement import hold_against_ledger
from whocut.verdict.verdict import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from whocut.verdict.verdict import Verdict

_TOLERATED_S = 86_400  # signatures are verified long after they were made


class Fate(StrEnum):
    """What became of a generation."""

    DELIVERED = "delivered"
    ORPHANED = "orphaned"
    RUNNING = "running"


@dataclass(frozen=True, slots=True)
class Told:
    """One job as its service tells it; `prompt_sha256` is how the mock's ledger names its order."""

    id: str
    prompt_sha256: str
    state: JobState
    attempts: int
    callback: str


@dataclass(slots=True, kw_only=True)
class Books:
    """All accounts. `promised` are the ids that submits were answered with, by order.

    `rows` are the generations in all of the mock's lives; those in `cut_short` ended with their mock.
    """

    promised: Mapping[str, str]
    jobs: Sequence[Told]
    rows: Sequence[Mapping[str, Any]]
    cut_short: frozenset[str]
    callbacks: Sequence[Mapping[str, str]]
    secret: str
    spent_usd: float
    verdicts: Sequence[Verdict] = ()
    kills: Counter[str] = field(default_factory=Counter)

    @property
    def fates(self) -> Counter[str]:
        """How many generations came to each end."""
        return Counter("+".join(fates_of(row)) or "no end" for row in self.rows)

    @property
    def billed_usd(self) -> float:
        """What the mock billed in all of its lives."""
        return sum(float(row["billed_usd"]) for row in self.rows)

    def findings(self) -> Iterator[str]:
        """Everything that is wrong."""
        yield from self._lost()
        yield from self._ends()
        yield from self._paid_twice()
        yield from self._told_otherwise()
        yield from self._callbacks()
        agreement = hold_against_ledger(self.verdicts, [dict(row) for row in self.rows])
        yield from (f"a verdict denies the ledger: {one.what}" for one in agreement.disagree)
        if self.billed_usd > self.spent_usd + 1e-9:
            yield f"${self.billed_usd:.4f} were billed, and the service counts ${self.spent_usd:.4f}"

    def _lost(self) -> Iterator[str]:
        known = {job.prompt_sha256: job.id for job in self.jobs}
        for order, promised in self.promised.items():
            if known.get(order) != promised:
                yield f"the accepted job {promised} is lost: the service has {known.get(order)}"
        if len(self.jobs) != len(self.promised):
            yield f"{len(self.promised)} orders are {len(self.jobs)} jobs"

    def _ends(self) -> Iterator[str]:
        for row in self.rows:
            fates = fates_of(row)
            if len(fates) != 1:
                yield f"{row['generation']} is {' and '.join(fates) or 'nothing'}"
            elif fates[0] is Fate.RUNNING and row["generation"] not in self.cut_short:
                yield f"{row['generation']} runs for ever, and its mock was not killed"

    def _paid_twice(self) -> Iterator[str]:
        made = Counter(str(row["prompt_sha256"]) for row in self.rows)
        for order, times in made.items():
            if times > 1:
                yield f"an order was generated {times} times: {order[:12]}"

    def _told_otherwise(self) -> Iterator[str]:
        rows = {str(row["prompt_sha256"]): row for row in self.rows}
        for job in self.jobs:
            row = rows.get(job.prompt_sha256)
            if job.state not in {JobState.DELIVERED, JobState.UNKNOWN}:
                yield f"{job.id} is {job.state}, and nothing refused it"
            elif job.state is JobState.DELIVERED and row is None:
                yield f"{job.id} has an image that was never made"
            elif job.state is JobState.DELIVERED and row is not None and Fate.ORPHANED in fates_of(row):
                yield f"{job.id} has its image, and the ledger says that its caller had gone"

    def _callbacks(self) -> Iterator[str]:
        got: dict[str, set[str]] = defaultdict(set)
        client = openai.OpenAI(api_key="sk-x", webhook_secret=self.secret)
        for one in self.callbacks:
            headers = {name: value for name, value in one.items() if name != "body"}
            try:
                client.webhooks.verify_signature(one["body"], headers, tolerance=_TOLERATED_S)
            except openai.InvalidWebhookSignatureError:
                yield f"the signature of {one['webhook-id']} is wrong"
            got[one["webhook-id"]].add(one["body"])
        client.close()
        for job in self.jobs:
            bodies = got.pop(f"msg_{job.id}", set())
            if job.callback != "accepted" or len(bodies) != 1:
                yield f"the callback of {job.id} is {job.callback}, and {len(bodies)} bodies came"
            elif f'"status":"{job.state}"' not in next(iter(bodies)):
                yield f"the callback of {job.id} tells another end than {job.state}"
        if got:
            yield f"{len(got)} callbacks belong to no job"

    def report(self) -> str:
        """The counts, in a line each."""
        states = Counter(str(job.state) for job in self.jobs)
        said = Counter(_said(one) for one in self.verdicts)
        again = len(self.callbacks) - len({one["webhook-id"] for one in self.callbacks})
        return "\n".join(
            (
                f"{len(self.promised)} jobs, {self.kills.total()} kills: {_counted(self.kills)}",
                f"jobs: {_counted(states)}; attempts {sum(job.attempts for job in self.jobs)}",
                f"generations: {len(self.rows)}: {_counted(self.fates)}",
                f"verdicts: {len(self.verdicts)}: {_counted(said)}",
                f"callbacks: {len(self.callbacks)}, of them {again} that had come before",
                f"billed ${self.billed_usd:.2f}; the service counts ${self.spent_usd:.2f}",
            )
        )


def fates_of(row: Mapping[str, Any]) -> list[Fate]:
    """The ends that this row of the ledger tells of; one, or something is wrong."""
    here = {
        Fate.DELIVERED: bool(row["delivered"]),
        Fate.ORPHANED: row["caller_gone_s"] is not None and not row["delivered"],
        Fate.RUNNING: row["state"] == "running",
    }
    return [fate for fate, is_so in here.items() if is_so]


def _said(verdict: Verdict) -> str:
    if verdict.kind is Kind.CUT:
        return f"{verdict.layer} cut ({verdict.grade})"
    return "no cut" if verdict.kind is Kind.NONE else str(verdict.kind)


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"
