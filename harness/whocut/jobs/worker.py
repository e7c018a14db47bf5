"""The worker: takes jobs from the store, sends each once, and commits what came of it.

Before a byte leaves, the store says `sent`. What ends without an answer from there on has an unknown outcome: the
image may have been made and paid, so it is never sent again by itself. Only a refusal that certainly came before
any work is tried again, by the retry policy of the reference client.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import random
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from whocut.client.policy import Policy, Stop, TryAgain, decide
from whocut.client.prompt_check import PromptRefused
from whocut.client.reference_client import async_reference
from whocut.client.spending.bound import cost_of, price_of_images
from whocut.errors import NoRoom
from whocut.jobs.records import JobState

if TYPE_CHECKING:
    from collections.abc import Callable

    from whocut.client.policy import Decision, Failure
    from whocut.jobs.events import Hub
    from whocut.jobs.records import Job, LetterOf
    from whocut.jobs.store import Store

log = logging.getLogger(__name__)

TOTAL_S: Final = 900.0  # longer than the slowest generation; then the outcome is unknown
AT_ONCE_S: Final = 5.0  # what a service manager leaves, before it kills
# What was certainly refused before any work costs nothing to try again, so a job waits out an outage of a day.
PATIENT: Final = Policy(attempts=2_000, total_s=86_400.0, most_wait_s=60.0)
_LOOK_S: Final = 30.0
_AGAIN_MOST_S: Final = 30.0  # between two tries to write to a disk that was full
_MEDIA: Final = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
_WITHOUT_WORK: Final = "input"  # the stage of a moderation that comes before any work
_STOPPED: Final = (
    "the service was stopped while the request was under way; the image may have been made and paid. Order it again"
    " if you want it"
)


T = TypeVar("T")


class Worker:
    """Sends jobs, at most so many at once. `changed` is called with each job that has a new state.

    `unwritten` says of which jobs the disk does not take the next state, and why. The image of such a job is kept
    in memory, and is written as soon as there is room.
    """

    def __init__(
        self,
        store: Store,
        hub: Hub,
        *,
        base_url: str,
        api_key: str,
        at_once: int,
        now_s: Callable[[], float],
        changed: Callable[[str], None],
        letter_of: LetterOf,
        policy: Policy | None = None,
    ) -> None:
        self._store = store
        self._hub = hub
        self._to = base_url, api_key
        self._at_once = at_once
        self._now_s = now_s
        self._changed = changed
        self._letter_of = letter_of
        self._policy = policy or PATIENT
        self._news = asyncio.Event()
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self.unwritten: dict[str, str] = {}

    @property
    def under_way(self) -> int:
        """How many jobs are being sent now."""
        return len(self._under_way)

    def look(self) -> None:
        """A job has come into the store."""
        self._news.set()

    async def run(self) -> None:
        """Take and send for ever; a cancel leaves what is under way to `drain`."""
        while True:
            self._news.clear()
            free = self._at_once - len(self._under_way)
            ready = self._store.ready(self._now_s(), self._at_once + 1) if free > 0 else []
            taken = [job for job in ready if job.id not in self._under_way][:free]
            for job in taken:
                task = asyncio.get_running_loop().create_task(self._work(job))
                self._under_way[job.id] = task
                task.add_done_callback(partial(self._over, job.id))
            await self._rest()

    def _over(self, job_id: str, _: asyncio.Task[None]) -> None:
        del self._under_way[job_id]
        self._news.set()

    async def _rest(self) -> None:
        next_s = self._store.next_due_s()
        pause_s = _LOOK_S if next_s is None else max(0.01, min(_LOOK_S, next_s - self._now_s()))
        try:
            async with asyncio.timeout(pause_s):
                await self._news.wait()
        except TimeoutError:
            pass

    async def drain(self, hurried: asyncio.Event) -> int:
        """Wait for what is under way, or a few seconds from when it is hurried.

        What is left after that has an unknown outcome. Return how many are left.
        """
        tasks = list(self._under_way.values())
        if tasks:
            all_over = asyncio.get_running_loop().create_task(_ended(tasks))
            hurry = asyncio.get_running_loop().create_task(hurried.wait())
            await asyncio.wait({all_over, hurry}, timeout=TOTAL_S, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({all_over}, timeout=AT_ONCE_S if hurried.is_set() else 0)
            all_over.cancel()
            hurry.cancel()
        left = [job_id for job_id in self._under_way if self._store.get(job_id).state is JobState.SENT]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for job_id in left:
            try:
                self._commit_end(
                    self._store.get(job_id), JobState.UNKNOWN, _STOPPED, "service_ended", paid=True
                )
            except NoRoom as full:  # it stays `sent`, and the next start says that its outcome is unknown
                log.error("%s", full)  # noqa: TRY400 - the sentence says all of it
        return len(left)

    async def _kept(self, job: Job, commit: Callable[[], T]) -> T:
        """What a commit returns; while the disk is full it is tried again, and said."""
        wait_s = 1.0
        while True:
            try:
                done = commit()
            except NoRoom as full:
                if job.id not in self.unwritten:
                    log.error("job %s waits for room: %s", job.id, full)  # noqa: TRY400 - as above
                self.unwritten[job.id] = str(full)
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, _AGAIN_MOST_S)
            else:
                self.unwritten.pop(job.id, None)
                return done

    async def _work(self, job: Job) -> None:
        """One attempt, from the commit before it to the commit after it."""
        if not await self._kept(job, lambda: self._store.sending(job.id, self._now_s())):
            return  # it was cancelled a moment ago
        self._changed(job.id)
        failures: list[Failure] = []
        notes: list[Decision] = []

        def judge(failure: Failure, **_: Any) -> Decision:
            failures.append(failure)
            notes.append(self._decide(job, failure))
            return Stop("the store decides")

        client = async_reference(
            *self._to,
            policy=Policy(attempts=1, total_s=TOTAL_S),
            most_at_once=self._at_once,
            gap_s=0.0,
            check_prompts=False,  # the caller was warned before the order
            on_partial=lambda event: self._partial(job, event),
            decide=judge,
        )
        try:
            answer = await client.images.generate(**job.wanted)
        except PromptRefused as refused:
            await self._end(job, JobState.FAILED, str(refused), "prompt", paid=False)
        except Exception as error:  # noqa: BLE001 - whatever it is, the job has an end
            await self._failed(job, error, failures, notes)
        else:
            await self._delivered(job, answer)
        finally:
            await client.close()

    def _decide(self, job: Job, failure: Failure) -> Decision:
        attempt = self._store.get(job.id).attempts
        elapsed_s = self._now_s() - (job.sent_s or self._now_s())
        return decide(
            failure, attempt=attempt, elapsed_s=elapsed_s, chance=random.random(), policy=self._policy
        )

    async def _failed(
        self, job: Job, error: Exception, failures: list[Failure], notes: list[Decision]
    ) -> None:
        if not failures:
            log.error("job %s met an error of the service", job.id, exc_info=error)
            await self._end(
                job, JobState.UNKNOWN, "the service met an error of its own", "service_error", paid=True
            )
            return
        failure, decision = failures[-1], notes[-1]
        if isinstance(decision, TryAgain):
            due_s, why = self._now_s() + decision.after_s, decision.why
            await self._kept(job, lambda: self._store.wait(job.id, due_s, why))
            self._changed(job.id)
            self._news.set()
            return
        if failure.outcome.unknown:
            await self._end(
                job, JobState.UNKNOWN, decision.why, failure.code or str(failure.outcome), paid=True
            )
            return
        await self._end(job, JobState.FAILED, _said(error), failure.code, paid=_paid_anyway(error, failure))

    async def _delivered(self, job: Job, answer: Any) -> None:
        media = _MEDIA.get(str(answer.output_format), "application/octet-stream")
        images = [(media, base64.b64decode(one.b64_json or "")) for one in answer.data or []]
        images = [(kind, content) for kind, content in images if content]
        if not images:
            await self._end(job, JobState.UNKNOWN, "the answer has no image in it", "no_image", paid=True)
            return
        usage = None if answer.usage is None else answer.usage.model_dump()
        cost = cost_of(usage, price_of_images(job.wanted))
        now_s = self._now_s()
        letter = self._letter_of(job, JobState.DELIVERED, now_s)
        nano = job.bound_nano if cost is None else cost
        await self._kept(job, lambda: self._store.deliver(job.id, now_s, images, usage, nano, letter))
        self._hub.drop_partials(job.id)
        self._changed(job.id)

    def _partial(self, job: Job, event: Any) -> None:
        media = _MEDIA.get(str(event.output_format), "application/octet-stream")
        self._hub.partial(job.id, media, base64.b64decode(event.b64_json))

    async def _end(self, job: Job, state: JobState, error: str, code: str | None, *, paid: bool) -> None:
        await self._kept(job, lambda: self._commit_end(job, state, error, code, paid=paid))

    def _commit_end(self, job: Job, state: JobState, error: str, code: str | None, *, paid: bool) -> None:
        now_s = self._now_s()
        letter = self._letter_of(job, state, now_s)
        self._store.end(job.id, now_s, state, error, code, letter, paid=paid)
        self._hub.drop_partials(job.id)
        self._changed(job.id)


async def _ended(tasks: list[asyncio.Task[None]]) -> bool:
    await asyncio.wait(tasks)
    return True


def _said(error: Exception) -> str:
    """The API's own sentence."""
    body = getattr(error, "body", None)
    message = body.get("message") if isinstance(body, dict) else None
    return str(message or error)[:1_000]


def _paid_anyway(error: Exception, failure: Failure) -> bool:
    """Whether a refusal may have come after the work.

    A filter that looks at the finished picture says so in its details; an error in a stream comes after the work
    has begun.
    """
    body = getattr(error, "body", None)
    details = body.get("moderation_details") if isinstance(body, dict) else None
    if isinstance(details, dict):
        return details.get("moderation_stage") != _WITHOUT_WORK
    return failure.sent and failure.status is None
