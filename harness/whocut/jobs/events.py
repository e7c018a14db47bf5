"""The events of jobs, each with a number, so that a broken stream is taken up again."""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final

_JOBS_MOST: Final = 500  # jobs whose events are kept; a job's state itself is in the store
_PARTIALS_MOST: Final = 10


@dataclass(frozen=True, slots=True)
class JobEvent:
    """One event of a job: `state` with the job as it is then, or `partial` with the number of a partial image."""

    number: int
    kind: str
    facts: dict[str, Any]


@dataclass
class _Account:
    events: list[JobEvent] = field(default_factory=list)
    partials: list[tuple[str, bytes]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Hub:
    """The events of the newest jobs; a restart forgets them, and the store does not."""

    def __init__(self) -> None:
        self._accounts: OrderedDict[str, _Account] = OrderedDict()
        self._start = secrets.token_hex(4)

    def mark(self, number: int) -> str:
        """The id of an event as a stream carries it: numbers begin anew with each start of the service."""
        return f"{self._start}-{number}"

    def seen(self, mark: str) -> int:
        """The number of the last event that a caller has; 0 where it is of an earlier start, or unknown."""
        start, _, number = mark.partition("-")
        known = start == self._start and number.isascii() and number.isdigit() and len(number) <= 9
        return int(number) if known else 0

    def tell(self, job_id: str, kind: str, facts: dict[str, Any]) -> None:
        """Add an event."""
        account = self._account(job_id)
        account.events.append(JobEvent(len(account.events) + 1, kind, facts))
        account.changed.set()
        account.changed = asyncio.Event()

    def partial(self, job_id: str, media: str, content: bytes) -> None:
        """Add a partial image."""
        account = self._account(job_id)
        if len(account.partials) < _PARTIALS_MOST:
            account.partials.append((media, content))
            self.tell(job_id, "partial", {"number": len(account.partials) - 1})

    def partial_of(self, job_id: str, number: int) -> tuple[str, bytes]:
        """The media type and the bytes of a partial image.

        Raises:
            KeyError: there is no such image any more.
        """
        account = self._accounts.get(job_id)
        if account is None or not 0 <= number < len(account.partials):
            raise KeyError(job_id)
        return account.partials[number]

    def after(self, job_id: str, number: int) -> list[JobEvent]:
        """The events of a job after this number."""
        account = self._accounts.get(job_id)
        return [] if account is None else [event for event in account.events if event.number > number]

    async def more(self, job_id: str) -> None:
        """Wait for the next event of a job."""
        await self._account(job_id).changed.wait()

    def drop_partials(self, job_id: str) -> None:
        """The image itself is there, or never comes."""
        account = self._accounts.get(job_id)
        if account is not None:
            account.partials.clear()

    def _account(self, job_id: str) -> _Account:
        account = self._accounts.setdefault(job_id, _Account())
        self._accounts.move_to_end(job_id)
        while len(self._accounts) > _JOBS_MOST:
            self._accounts.popitem(last=False)
        return account
