"""`POST /v1/responses` with the `image_generation` tool, plain and streamed.

A stream opens at once, so its first byte comes long before its first picture; that is what sets it apart from
the images endpoints.
"""

from typing import Any

import orjson
from aiohttp import web

from whocut_mock.arrival import OrderReader, read_arrival
from whocut_mock.generation import Generation
from whocut_mock.moderation import Block
from whocut_mock.parameters import RESPONSES, Order
from whocut_mock.reply import Reply
from whocut_mock.responses_read import read_tool_order
from whocut_mock.responses_told import Telling
from whocut_mock.service import serve_arrival
from whocut_mock.stream import CONTENT_TYPE
from whocut_mock.upstream import UPSTREAM, Upstream


async def responses(request: web.Request) -> web.StreamResponse:
    """One request, from its first byte to its last."""
    upstream = request.app[UPSTREAM]
    asked: dict[str, Any] = {}

    def reader(fields: dict[str, Any]) -> OrderReader:
        asked.update(
            {name: value for name, value in fields.items() if name != "input"}
        )  # its images are large
        return lambda settings: read_tool_order(fields, settings)

    async def answer(
        reply: Reply, upstream: Upstream, order: Order, generation: Generation, block: Block | None
    ) -> web.StreamResponse:
        told = Telling(asked, order, generation, block, upstream)
        return await (_stream(reply, told) if order.stream else _plain(reply, told))

    arrival = read_arrival(request, upstream, RESPONSES, reader)
    return await serve_arrival(request, upstream, await arrival, answer)


async def _plain(reply: Reply, told: Telling) -> web.StreamResponse:
    await reply.work_begun()
    await told.generation.finished()
    body = orjson.dumps(told.response(told.outcome), option=orjson.OPT_INDENT_2)
    buffers = told.filled(body, () if told.block else (f"{told.name}/0",))
    await reply.begin("application/json", length_bytes=sum(map(len, buffers)))
    await reply.last(buffers)
    return await _end(reply, told)


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
    if told.block is None:
        return await reply.end()
    return await reply.end_without_picture("moderation_blocked")
