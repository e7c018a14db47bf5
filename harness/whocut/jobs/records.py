"""What the store holds, as records: jobs and their states, callbacks that are still to be sent, sums."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final


class JobState(StrEnum):
    """The state of a job; the last four are final."""

    QUEUED = "queued"  # accepted, not sent
    SENT = "sent"  # a byte of it may have left
    WAITING = "waiting"  # certainly refused before any work, and to be sent again
    DELIVERED = "delivered"
    FAILED = "failed"  # certainly no image, and no image paid
    UNKNOWN = "unknown"  # the image may have been made and paid; it is never sent again by itself
    CANCELLED = "cancelled"


FINAL: Final = frozenset({JobState.DELIVERED, JobState.FAILED, JobState.UNKNOWN, JobState.CANCELLED})


@dataclass(frozen=True, slots=True)
class Job:
    """One job as it is in the store; instants are on the calendar (unix seconds), money in nano-dollars."""

    id: str
    created_s: float
    key: str | None
    digest: str
    wanted: Mapping[str, Any]
    webhook: str | None
    state: JobState
    attempts: int
    due_s: float
    sent_s: float | None
    ended_s: float | None
    error: str | None
    code: str | None
    usage: Mapping[str, Any] | None
    bound_nano: int
    cost_nano: int

    @property
    def over(self) -> bool:
        """Whether its state is final."""
        return self.state in FINAL


@dataclass(frozen=True, slots=True)
class Letter:
    """One callback that has not been accepted yet."""

    id: str
    job: str
    url: str
    body: bytes
    tries: int
    due_s: float


@dataclass(frozen=True, slots=True)
class Credits:
    """The sums of all jobs, in nano-dollars. `held` is the most that jobs under way can cost.

    `unknown` is what jobs with an unknown outcome may have cost; it counts as spent.
    """

    spent: int
    unknown: int
    held: int

    @property
    def gone(self) -> int:
        """What a budget has no more."""
        return self.spent + self.unknown + self.held


LetterOf = Callable[[Job, JobState, float], Letter | None]
