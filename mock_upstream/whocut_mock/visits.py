"""One exchange about a job: its submit, a poll, a look at its result; and what the caller learnt by it."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from aiohttp import web

from whocut_mock import faults
from whocut_mock.arrival import Arrival
from whocut_mock.fault import Asked, Fault
from whocut_mock.faults import NO_FAULT
from whocut_mock.jobs import Job
from whocut_mock.reply import Reply
from whocut_mock.service import (
    FAULT_HEADER,
    Retrying,
    begin,
    exchanged,
    is_about,
    judged,
    named_fault,
)
from whocut_mock.settings import Jobs
from whocut_mock.upstream import UPSTREAM, Upstream, request_id_of

Said = Callable[[Reply, Job, "Visit"], Coroutine[Any, Any, web.StreamResponse]]

Terms = Callable[[Arrival, Jobs], tuple[float, float]]  # how long the work waits, and what part of the price

POLL, RESULT = "poll", "result"  # what a rule's `when: {endpoint}` adds: `responses.poll`


class Visit:
    """The account of one answer about a job; what it has told becomes so when the caller has taken it."""

    def __init__(self, job: Job, request_id: str, *, submit: bool = False) -> None:
        self._job = job
        self._submit = submit
        self.request_id = request_id
        self.since_s = job.clock.now_s()
        self.tells_done = False  # set by who writes the answer
        self.carries_picture = False
        self._taken = False

    def opened(self, status: int) -> None:
        """The first byte of the answer was handed over."""
        if self._submit:
            self._job.row.status = status
            self._job.row.first_byte_s = self._job.clock.now_s()

    def failed(self, code: str | None) -> None:
        """The answer says that there is no picture, and why."""
        if self._submit:
            self._job.row.error_code = code or self._job.row.error_code

    def sent(self) -> None:
        """The last byte has left our own buffers."""

    def delivered(self, evidence: str) -> None:
        """The caller took all of it, and knows what it says."""
        self.known()
        if self.tells_done:
            self._job.told_done()
        if self.carries_picture:
            self._job.fetched(evidence)

    def known(self) -> None:
        """The caller has the job's id by what was written so far."""
        if self._submit and not self._taken:
            self._taken = True
            self._job.submit_answered()

    def caller_gone(self) -> None:
        """The caller left before it knew."""
        if self._submit and not self._taken:
            self._job.submit_lost()

    def close_caller_side(self) -> None:
        """Nothing more can happen in this exchange; the job runs on."""


def at_once(arrival: Arrival, settings: Jobs) -> tuple[float, float]:
    """After a moment in the queue, at the full price."""
    return arrival.dice.between("queue", *settings.queue_s), 1.0


async def submitted(
    request: web.Request,
    arrival: Arrival,
    *,
    dialect: str,
    job_id: Callable[[Arrival], str],
    said: Said,
    asked: Mapping[str, Any],
    opened: Callable[[Job], None] = lambda _: None,
    blocks_later: bool = False,
    terms: Terms = at_once,
    retrying: Retrying | None = None,
) -> web.StreamResponse:
    """Judge a submit, begin its job, answer it with `said`; `opened` gets the job before the answer begins.

    Raises:
        ApiError: the refusal that the submit has earned; no job is begun.
    """
    upstream = request.app[UPSTREAM]
    row, accepted = await judged(request, upstream, arrival, blocks_later=blocks_later, retrying=retrying)
    arrival = arrival.judged()
    fault, block = accepted.fault, accepted.block
    settings = upstream.settings.jobs
    generation = None
    if accepted.failure is None and (block is None or block.stage == "output"):
        waits_s, price = terms(arrival, settings)
        accepted = accepted._replace(usage=accepted.usage.at(price))
        generation = begin(upstream, arrival, row, accepted, waits_s=waits_s + accepted.waited_s)
    job = upstream.desk.open(
        job_id=job_id(arrival),
        dialect=dialect,
        order=accepted.order,
        asked=asked,
        block=block,
        fault=fault,
        row=row,
        generation=generation,
        kept_s=settings.kept_s,
        bills_cancelled=settings.bill_cancelled,
    )
    job.failure = accepted.failure
    if generation is not None and fault.restarts:
        job.again = lambda row: begin(upstream, arrival, row, accepted)
    opened(job)
    if generation is None:
        job.end_at_once()
    visit = Visit(job, arrival.request_id, submit=True)
    reply = Reply(request, upstream, visit, NO_FAULT if fault.about_jobs else fault, arrival.attempt)
    return await exchanged(reply, visit, _submitting(reply, job, visit, said))


async def _submitting(reply: Reply, job: Job, visit: Visit, said: Said) -> web.StreamResponse:
    await reply.work_begun()
    return await said(reply, job, visit)


async def visited(request: web.Request, job: Job, said: Said, kind: str = POLL) -> web.StreamResponse:
    """Answer a question about a job; a fault may strike that answer too.

    Raises:
        ApiError: a fault refuses to answer.
    """
    upstream = request.app[UPSTREAM]
    if kind == POLL:
        job.polled()
    fault = _fault_of(request, job, kind, upstream)
    request_id = request_id_of(request, upstream)
    refusal = fault.refusal(Asked(request_id, job.order.model_name, upstream.settings.organization))
    if refusal is not None:
        raise refusal
    visit = Visit(job, request_id)
    reply = Reply(request, upstream, visit, fault, job.record.polls)
    return await exchanged(reply, visit, _submitting(reply, job, visit, said))


def _fault_of(request: web.Request, job: Job, kind: str, upstream: Upstream) -> Fault:
    text = request.headers.get(FAULT_HEADER)
    if text is not None:
        return named_fault(text)
    endpoint = f"{job.row.endpoint}.{kind}"
    for number, rule in enumerate(upstream.settings.faults):
        # A rule that names no endpoint is about orders, not about those who ask after them.
        asked_for = rule.when.endpoint is not None and is_about(
            rule.when, job.order, endpoint, job.record.polls
        )
        if asked_for and upstream.sightings.dice(job.id.encode(), number + 1).fraction(kind) < rule.rate:
            return faults.named(rule.fault)
    return NO_FAULT
