"""Requests in several parts: a submit that answers at once, polls that ask, a result that is kept for a while.

A job is a generation and an account of what its caller learnt. It knows no vendor: each dialect says it in its own
words. At its end the account says how a finished result was lost.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import sha256
from typing import Any

from whocut_mock import errors
from whocut_mock.clock import ModelClock
from whocut_mock.errors import ApiError
from whocut_mock.fault import Fault
from whocut_mock.generation import Generation, rounded
from whocut_mock.ledger import Callback, JobRecord, Ledger, Row
from whocut_mock.moderation import Block
from whocut_mock.parameters import Order


class State(StrEnum):
    """The state of a job, in no vendor's words."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    BLOCKED = "blocked"  # by one of the two filters
    FAILED = "failed"
    CANCELLED = "cancelled"  # while it ran
    ABORTED = "aborted"  # before it began


OVER = frozenset({State.SUCCEEDED, State.BLOCKED, State.FAILED, State.CANCELLED, State.ABORTED})


@dataclass(eq=False)
class Job:
    """One of them. `asked` is what its dialect remembers; without a `generation` no work was begun."""

    id: str
    dialect: str
    order: Order
    asked: Mapping[str, Any]
    block: Block | None
    fault: Fault
    row: Row
    record: JobRecord
    generation: Generation | None
    clock: ModelClock
    ledger: Ledger
    bills_cancelled: bool
    failure: ApiError | None = None  # why no work was begun, where no filter was the reason
    when_over: list[Callable[["Job"], None]] = field(default_factory=list)
    expects_callback: bool = False
    again: Callable[[Row], Generation] | None = None  # begins the work once more, where its worker is to die
    _over: asyncio.Event = field(default_factory=asyncio.Event)
    _cancelled: State | None = None
    _expiry: asyncio.TimerHandle | None = None
    _settled: bool = False
    _kept_s: float = 0.0

    @property
    def state(self) -> State:
        """Its state now."""
        if self._cancelled is not None:
            return self._cancelled
        if self.generation is None:
            return State.FAILED if self.failure is not None else State.BLOCKED
        if self.generation.running or self.fault.never_ends:
            return State.RUNNING if self.generation.begun else State.QUEUED
        if self.row.state == "stopped" or self.fault.fails:
            return State.FAILED
        return State.SUCCEEDED if self.block is None else State.BLOCKED

    @property
    def over(self) -> bool:
        """Whether its state is final."""
        return self.state in OVER

    @property
    def finished_s(self) -> float | None:
        """When it came to its end; `None` while it has not."""
        if not self.over:
            return None
        return self.record.cancelled_s or self.row.finished_s or self.row.accepted_s

    @property
    def progress(self) -> float:
        """How much of its work is done, from 0 to 1."""
        if self.over:
            return 1.0
        since_s = self.clock.now_s() - (self.row.started_s or 0.0)
        return min(0.99, max(0.0, since_s / (self.row.duration_s or 1.0)))

    async def wait(self, at_most_s: float) -> bool:
        """Wait for its end, for so many model seconds; whether it came."""
        if self.over:
            return True
        try:
            async with asyncio.timeout(at_most_s / self.clock.scale):
                await self._over.wait()
        except TimeoutError:
            return False
        return True

    async def wait_for_ever(self) -> None:
        """Wait for its end, however long that takes."""
        if not self.over:
            await self._over.wait()

    def cancel(self) -> bool:
        """End it on its caller's wish; whether there was anything left to end."""
        if self.over or self.generation is None:
            return False
        queued = self.state is State.QUEUED
        self._cancelled = State.ABORTED if queued else State.CANCELLED
        self.record.cancelled_s = rounded(self.clock.now_s())
        self.record.cancelled_while = "queued" if queued else "running"
        self.generation.cancel(billed=self.bills_cancelled and not queued)
        self._end()
        return True

    def expired(self) -> bool:
        """Whether its result is kept no more."""
        return self.record.expires_s is not None and self.clock.now_s() >= self.record.expires_s

    def submit_answered(self) -> None:
        """The caller has its id."""
        self.record.submit_answered_s = rounded(self.clock.now_s())
        self.ledger.write(self.row)

    def submit_lost(self) -> None:
        """The caller left before it had the id; only a callback can still reach it."""
        self.row.caller_gone_s = rounded(self.clock.now_s())
        if self.generation is not None and self.generation.running and not self.expects_callback:
            self.row.orphaned = True
        self.ledger.write(self.row)

    def polled(self) -> None:
        """Its caller asks for it."""
        now_s = rounded(self.clock.now_s())
        self.record.polls += 1
        self.record.last_poll_s = now_s
        if self.record.first_poll_s is None:
            self.record.first_poll_s = now_s

    def called_back(self, callback: Callback) -> None:
        """A callback was accepted, or was not."""
        self.record.callbacks.append(callback)
        if callback.said == "accepted" and not callback.forged:
            self.told_done()
        self.ledger.write(self.row)

    def told_done(self) -> None:
        """Its caller knows that it is over."""
        if self.record.told_done_s is None:
            self.record.told_done_s = rounded(self.clock.now_s())

    def fetched(self, evidence: str) -> None:
        """Its caller has the picture itself."""
        if self.record.fetched_s is not None or self.generation is None:
            return
        self.record.fetched_s = rounded(self.clock.now_s())
        self.record.lost = None  # the time to keep it may have ended while this answer was on its way
        self.generation.delivered(evidence)
        self.generation.close_caller_side()
        self.ledger.write(self.row)

    def keep(self, kept_s: float) -> None:
        """Keep its result for so many model seconds from the end of the work."""
        self._kept_s = self.fault.result_kept_s(kept_s)
        if self.generation is not None:
            self.generation.when_over(self._finished)

    def end_at_once(self) -> None:
        """It was over before any work began."""
        self._end()

    def close(self) -> None:
        """Nothing more can happen: write down how a finished result was lost."""
        if self._settled:
            return
        self._settled = True
        if self._expiry is not None:
            self._expiry.cancel()
        self.record.lost = self._how_lost()
        if self.generation is not None:
            self.generation.close_caller_side()
        self.ledger.write(self.row)

    def _finished(self) -> None:
        if self.again is not None:
            self._restart(self.again)
        elif self.fault.never_ends:
            self._keep()  # it is made, and its caller is never told
        else:
            self._end()

    def _restart(self, again: Callable[[Row], Generation]) -> None:
        """The picture is lost with its worker, which begins anew: a second generation, and a second bill."""
        assert self.generation is not None
        self.again = None
        made, self.row = (
            self.row,
            replace(
                self.row,
                generation=f"gen_{_other(self.row.generation, 24)}",
                span_id=_other(self.row.span_id or "", 16),
                finished_s=None,
                usage=None,
                billed=False,
                billed_usd=0.0,
            ),
        )
        made.job = replace(self.record, lost="job_restarted")
        self.generation.close_caller_side()
        self.generation = again(self.row)
        self.generation.when_over(self._finished)

    def _end(self) -> None:
        self._over.set()
        self._keep()
        self.ledger.write(self.row)
        for told in self.when_over:
            told(self)
        if self._cancelled is not None:
            self.close()

    def _keep(self) -> None:
        self.record.expires_s = rounded(self.clock.now_s() + self._kept_s)
        at = self.clock.loop_instant(self.record.expires_s)
        self._expiry = asyncio.get_running_loop().call_at(at, self._expire)

    def _expire(self) -> None:
        self.record.expired = True
        self.close()

    def _how_lost(self) -> str | None:
        record = self.record
        if record.fetched_s is not None:
            return None
        if self._cancelled is State.CANCELLED:
            return "cancelled_while_running"
        made = self.row.finished_s is not None and self.block is None and not self.fault.fails
        if not made:
            return None
        return next(how for how, so in self._ways_to_lose() if so)

    def _ways_to_lose(self) -> Iterator[tuple[str, bool]]:
        """From what the caller learnt last to what it never learnt; the first that is so is the way."""
        record = self.record
        yield "result_expired", record.told_done_s is not None
        last = next((one.said for one in reversed(record.callbacks) if not one.forged), "")
        yield f"callback_{last}", bool(last)
        yield "callback_never_sent", self.expects_callback and record.polls == 0
        asked_later = (record.last_poll_s or 0.0) >= (self.row.finished_s or 0.0)
        yield "never_told", asked_later and self.fault.never_ends
        yield "poll_answer_lost", asked_later
        yield "poll_gave_up", record.polls > 0
        yield "submit_unanswered", record.submit_answered_s is None
        yield "never_asked", True


def _other(name: str, digits: int) -> str:
    """Another name of so many hexadecimal digits, which follows from this one."""
    return sha256(f"{name} again".encode()).hexdigest()[:digits]


class JobDesk:
    """All jobs of a mock, by their ids; each is there for the key that submitted it."""

    def __init__(self, clock: ModelClock, ledger: Ledger) -> None:
        self._clock, self._ledger = clock, ledger
        self._jobs: dict[str, Job] = {}

    def open(
        self,
        *,
        job_id: str,
        dialect: str,
        order: Order,
        asked: Mapping[str, Any],
        block: Block | None,
        fault: Fault,
        row: Row,
        generation: Generation | None,
        kept_s: float,
        bills_cancelled: bool,
    ) -> Job:
        """Begin the account of a job."""
        self._drop_expired()
        row.job = record = JobRecord(job_id, dialect)
        job = self._jobs[job_id] = Job(
            job_id,
            dialect,
            order,
            asked,
            block,
            fault,
            row,
            record,
            generation,
            self._clock,
            self._ledger,
            bills_cancelled,
        )
        job.keep(kept_s)
        self._ledger.write(row)
        return job

    def find(self, job_id: str, dialect: str, key_hash: str | None, missing: ApiError | None = None) -> Job:
        """The job of this id that this key submitted, as long as its result is kept.

        Raises:
            ApiError: the id is unknown; `missing` says it in the dialect's words.
        """
        job = self._jobs.get(job_id)
        if job is None or job.dialect != dialect or job.row.key_hash != key_hash or job.expired():
            raise missing or errors.no_such_job(job_id)
        return job

    def forget(self, job: Job) -> None:
        """Its caller wants nothing more of it."""
        self._jobs.pop(job.id, None)
        job.close()

    def all(self, dialect: str, key_hash: str | None) -> list[Job]:
        """The jobs of this key that are kept still, the newest first."""
        found = [
            job for job in self._jobs.values() if job.dialect == dialect and job.row.key_hash == key_hash
        ]
        return [job for job in reversed(found) if not job.expired()]

    def _drop_expired(self) -> None:
        """Jobs end in nearly the order in which they began, so it is enough to look at the oldest."""
        while self._jobs and (oldest := next(iter(self._jobs.values()))).expired():
            oldest.close()
            del self._jobs[oldest.id]

    def close(self) -> None:
        """The server ends, and with it every account."""
        for job in self._jobs.values():
            job.close()
        self._jobs.clear()
