"""An answer as server-sent events: headers with the first partial image, the bill with the last event."""

from aiohttp import web

from whocut_mock import errors, moderation, pictures
from whocut_mock.clock import ModelClock
from whocut_mock.generation import Generation
from whocut_mock.moderation import Block
from whocut_mock.parameters import Order
from whocut_mock.reply import Reply
from whocut_mock.upstream import Upstream

CONTENT_TYPE = "text/event-stream"
DONE_MARKER = b"data: [DONE]\n\n"
HEARTBEAT = b": heartbeat\n\n"


async def answer_stream(
    reply: Reply, upstream: Upstream, order: Order, generation: Generation, block: Block | None
) -> web.StreamResponse:
    """Every partial image at its time, then the final one, or what the output filter says of it."""
    row, press, clock = generation.row, upstream.press, upstream.clock
    row.heartbeat_s = upstream.settings.stream.heartbeat_s
    reply.streams(lambda error: [errors.error_event(error)])
    await reply.work_begun()
    if row.heartbeat_s:
        await reply.begin(CONTENT_TYPE)
        await reply.write([HEARTBEAT])  # without a body the headers would wait for one
    for index, planned_s in enumerate(row.partials_s):
        await beat_until(planned_s, row.heartbeat_s, reply, clock)
        generation.partial_sent(index)
        event = pictures.partial_event(order, index, name=row.generation, created=clock.unix_s(), press=press)
        if not reply.begun:
            await reply.begin(CONTENT_TYPE)
        await reply.write(event)
    await beat_until((row.started_s or 0.0) + (row.duration_s or 0.0), row.heartbeat_s, reply, clock)
    await generation.finished()
    if not reply.begun:
        await reply.begin(CONTENT_TYPE)
    if block is not None:
        refusal = moderation.refusal(block, row.request_id)
        await reply.write([errors.error_event(refusal)])
        return await reply.end_without_picture(refusal.code)
    event = pictures.completed_event(
        order, generation.usage, name=row.generation, created=clock.unix_s(), press=press
    )
    if upstream.settings.stream.done_marker:
        event.append(DONE_MARKER)
    await reply.last(event)
    return await reply.end()


async def beat_until(
    at_s: float, every_s: float | None, reply: Reply, clock: ModelClock, beat: bytes = HEARTBEAT
) -> None:
    """Let the time pass, with a comment after each silence that becomes too long."""
    while every_s and clock.now_s() + every_s < at_s:
        await clock.sleep_until_s(clock.now_s() + every_s)
        await reply.write([beat])
    await clock.sleep_until_s(at_s)
