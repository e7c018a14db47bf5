"""`/v1/responses` with the `image_generation` tool: plain, streamed, and in the background.

A stream opens at once, so its first byte comes long before its first picture; that is what sets it apart from
the images endpoints. In the background the answer comes at once too; then it is asked for by its id, as a whole or
as the stream from any event on. How it behaved when it was recorded: pydantic-ai's cassettes of background mode;
that its data is kept for ten minutes: OpenAI's guide.
"""

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from whocut_mock import access, errors, moderation, webhooks
from whocut_mock.arrival import Arrival, OrderReader, files_of, read_arrival
from whocut_mock.errors import ApiError
from whocut_mock.generation import Generation
from whocut_mock.jobs import Job, State
from whocut_mock.moderation import Block
from whocut_mock.parameters import RESPONSES, Order
from whocut_mock.reply import Reply
from whocut_mock.responses_read import read_tool_order, window_s
from whocut_mock.responses_told import Status, Telling
from whocut_mock.service import serve_arrival
from whocut_mock.settings import Jobs
from whocut_mock.stream import CONTENT_TYPE
from whocut_mock.upstream import UPSTREAM, Upstream, caller_of
from whocut_mock.visits import Visit, at_once, submitted, visited

DIALECT = "openai"
STATUS: dict[State, Status] = {
    State.QUEUED: "queued",
    State.RUNNING: "in_progress",
    State.SUCCEEDED: "completed",
    State.BLOCKED: "failed",
    State.FAILED: "failed",
    State.CANCELLED: "cancelled",
    State.ABORTED: "cancelled",
}


async def responses(request: web.Request) -> web.StreamResponse:
    """One request, from its first byte to its last, or to the id of its background job."""
    upstream = request.app[UPSTREAM]
    asked: dict[str, Any] = {}
    find = files_of(upstream, caller_of(request).key_hash)

    def reader(fields: dict[str, Any]) -> OrderReader:
        asked.update(
            {name: value for name, value in fields.items() if name != "input"}
        )  # its images are large
        return lambda settings: read_tool_order(fields, settings, find)

    async def answer(
        reply: Reply, upstream: Upstream, order: Order, generation: Generation, block: Block | None
    ) -> web.StreamResponse:
        failure = None if block is None else moderation.refusal(block, generation.row.request_id)
        told = Telling(asked, order, generation, failure, upstream)
        return await (_stream(reply, told) if order.stream else _plain(reply, told))

    arrival = await read_arrival(request, upstream, RESPONSES, reader)
    if asked.get("background") is True:
        answering = _in_background(request, arrival, asked)
    else:
        answering = serve_arrival(request, upstream, arrival, answer)
    del arrival  # it holds the body, and the answer takes minutes
    return await answering


async def _plain(reply: Reply, told: Telling) -> web.StreamResponse:
    await reply.work_begun()
    await told.generation.finished()
    buffers = _object(told, told.outcome)
    await reply.begin("application/json", length_bytes=sum(map(len, buffers)))
    await reply.last(buffers)
    return await _end(reply, told)


def _object(told: Telling, status: Status) -> list[bytes]:
    body = orjson.dumps(told.response(status), option=orjson.OPT_INDENT_2)
    return told.filled(body, (f"{told.name}/0",) if status == "completed" else ())


async def _stream(reply: Reply, told: Telling) -> web.StreamResponse:
    script = told.script()
    last = len(script) - len(told.ending(0.0))
    reply.streams(lambda error: told.events(told.failing(error, 0.0), last))
    await reply.work_begun()
    await reply.begin(CONTENT_TYPE)
    for number, step in enumerate(script[:last]):
        await told.upstream.clock.sleep_until_s(step.due_s)
        if step.partial is not None:
            told.generation.partial_sent(step.partial)
        await reply.write(told.events([step], number))
    await told.generation.finished()
    await reply.last(told.events(script[last:], last))
    return await _end(reply, told)


async def _end(reply: Reply, told: Telling) -> web.StreamResponse:
    if told.failure is None:
        return await reply.end()
    return await reply.end_without_picture(told.failure.code)


async def _in_background(
    request: web.Request, arrival: Arrival, asked: Mapping[str, Any]
) -> web.StreamResponse:
    upstream = request.app[UPSTREAM]
    upstream.check_alone()

    def terms(arrival: Arrival, settings: Jobs) -> tuple[float, float]:
        window = window_s(asked)
        if not window:
            return at_once(arrival, settings)
        return arrival.dice.between("window", 0.0, window), settings.window_price

    return await submitted(
        request,
        arrival,
        dialect=DIALECT,
        job_id=lambda arrival: f"resp_{arrival.dice.hex('generation', 24)}",
        said=_resume(0) if asked.get("stream") else _now,
        asked=asked,
        opened=lambda job: webhooks.watch(upstream, job, lambda job: f"response.{STATUS[job.state]}"),
        terms=terms,
    )


async def retrieve(request: web.Request) -> web.StreamResponse:
    """`GET /v1/responses/{id}`: a background response as it is now, or its stream from an event on."""
    job = _find(request)
    if request.query.get("stream") == "true":
        after = request.query.get("starting_after", "-1")
        if not (after.removeprefix("-").isascii() and after.removeprefix("-").isdigit() and len(after) <= 9):
            raise errors.wrong_type("starting_after", "an integer", "a string")
        return await visited(request, job, _resume(int(after) + 1))
    return await visited(request, job, _now)


async def cancel(request: web.Request) -> web.StreamResponse:
    """`POST /v1/responses/{id}/cancel`: one that is over stays as it is."""
    job = _find(request)
    job.cancel()
    return await visited(request, job, _now, "cancel")


async def delete(request: web.Request) -> web.Response:
    """`DELETE /v1/responses/{id}`: it is unknown from now on."""
    job = _find(request)
    request.app[UPSTREAM].desk.forget(job)
    return web.json_response({"id": job.id, "object": "response.deleted", "deleted": True})


def _find(request: web.Request) -> Job:
    upstream, caller = request.app[UPSTREAM], caller_of(request)
    access.key_of(caller.key, upstream.settings)
    upstream.check_alone()
    name = request.match_info["id"]
    return upstream.desk.find(name, DIALECT, caller.key_hash, errors.no_such_response(name))


def _telling(job: Job, upstream: Upstream) -> Telling:
    assert job.generation is not None  # the input filter refuses the submit itself
    return Telling(job.asked, job.order, job.generation, _failure(job), upstream, background=True)


def _failure(job: Job) -> ApiError | None:
    """Why there is, or will be, no picture."""
    if job.block is not None:
        return moderation.refusal(job.block, job.row.request_id)
    return errors.generation_failed() if job.fault.fails or job.state is State.FAILED else None


async def _now(reply: Reply, job: Job, visit: Visit) -> web.StreamResponse:
    """The response as it is now."""
    upstream = reply.upstream
    status = STATUS[job.state]
    visit.tells_done, visit.carries_picture = job.over, status == "completed"
    after_s = upstream.settings.jobs.poll_after_s
    headers = {} if after_s is None else {"openai-poll-after-ms": str(round(after_s * 1000))}
    return await reply.whole(_object(_telling(job, upstream), status), headers=headers)


def _resume(first: int) -> Any:
    """The stream from this event on: what is past comes at once, and what is not is waited for."""

    async def said(reply: Reply, job: Job, visit: Visit) -> web.StreamResponse:
        told = _telling(job, reply.upstream)
        script = told.script(queued=True)
        last = len(script) - len(told.ending(0.0))
        reply.streams(lambda error: told.events(told.failing(error, 0.0), last))
        await reply.begin(CONTENT_TYPE)
        for number in range(first, last):
            step = script[number]
            wait_s = step.due_s - job.clock.now_s()
            if wait_s > 0 and await job.wait(wait_s):
                break  # cancelled: nothing more will come of it (what the API then sends is unverified)
            if step.partial is not None and wait_s > 0:
                told.generation.partial_sent(step.partial)
            await reply.write(told.events([step], number))
            visit.known()
        await job.wait_for_ever()
        if job.state not in (State.CANCELLED, State.ABORTED):
            visit.tells_done, visit.carries_picture = True, job.state is State.SUCCEEDED
            at = max(first, last)
            await reply.last(told.events(script[at:], at))
        return await reply.end()

    return said
