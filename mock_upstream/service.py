"""The way of one request for images: read, refused or accepted, worked on, answered.

The order of the refusals is the real API's: the key, then the parameters, then what the key may do.
"""

import asyncio
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from aiohttp import web

from mock_upstream import bodies, errors, latency, parameters, pictures
from mock_upstream.caller import Caller, read_caller
from mock_upstream.dice import Dice
from mock_upstream.errors import ApiError
from mock_upstream.generation import Generation, rounded
from mock_upstream.ledger import Row
from mock_upstream.parameters import Order
from mock_upstream.reply import Reply
from mock_upstream.stream import answer_stream
from mock_upstream.upstream import REQUEST_ID, UPSTREAM, Upstream
from mock_upstream.usage import usage_of


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request that has been read and not yet judged."""

    endpoint: str
    caller: Caller
    fields: dict[str, Any]
    digest: bytes
    dice: Dice
    request_id: str


async def generations(request: web.Request) -> web.StreamResponse:
    """`POST /v1/images/generations`."""
    upstream = request.app[UPSTREAM]
    body = await bodies.read(request, upstream.settings.limits.json_bytes)
    arrival, row = _arrive(request, upstream, parameters.GENERATIONS, body)
    del body
    try:
        order = _judge(upstream, arrival)
    except ApiError as refusal:
        _enter_refusal(upstream, row, refusal)
        raise
    _describe(row, order)
    generation = _begin(upstream, arrival, row, order)
    return await _answer(request, upstream, order, generation)


def _arrive(request: web.Request, upstream: Upstream, endpoint: str, body: bytes) -> tuple[Arrival, Row]:
    caller = read_caller(request.headers)
    try:
        fields = bodies.parse_json(body)
        digest = bodies.digest(endpoint, fields)
    except ApiError as error:
        fields = {"": error}
        digest = bodies.digest(endpoint, body)
    dice = upstream.sightings.dice(digest, caller.attempt)
    request_id = f"req_{dice.hex('request', 32)}"
    request[REQUEST_ID] = request_id
    row = Row(
        generation=f"gen_{dice.hex('generation', 24)}",
        state="refused",
        endpoint=endpoint,
        request_id=request_id,
        trace_id=caller.trace_id,
        parent_span_id=caller.parent_span_id,
        span_id=dice.hex("span", 16),
        attempt=caller.attempt,
        key_hash=caller.key_hash,
        accepted_s=rounded(upstream.clock.now_s()),
    )
    return Arrival(endpoint, caller, fields, digest, dice, request_id), row


def _judge(upstream: Upstream, arrival: Arrival) -> Order:
    """The order of this request; raises the first refusal it has earned."""
    settings = upstream.settings
    if arrival.caller.key is None:
        raise errors.no_key()
    unreadable = arrival.fields.get("")
    if isinstance(unreadable, ApiError):
        raise unreadable
    reading = parameters.Reading(arrival.endpoint, settings.lenient, settings.auto_quality)
    return parameters.read_order(arrival.fields, reading)


def _enter_refusal(upstream: Upstream, row: Row, refusal: ApiError) -> None:
    row.status = refusal.status
    row.error_code = refusal.code
    upstream.ledger.write(row)


def _describe(row: Row, order: Order) -> None:
    row.prompt_sha256 = sha256(order.prompt.encode()).hexdigest()
    row.model = order.model_name
    row.size = order.size_text
    row.quality = order.quality
    row.output_format = order.output_format
    row.n = order.n
    row.stream = order.stream
    row.partial_images = order.partial_images


def _begin(upstream: Upstream, arrival: Arrival, row: Row, order: Order) -> Generation:
    plan = latency.plan(order, upstream.settings.latency, arrival.dice, running=upstream.workshop.running)
    usage = usage_of(
        order.model,
        prompt=order.prompt,
        quality=order.quality,
        size=order.size,
        n=order.n,
        partial_images=order.partial_images if order.stream else 0,
        image_in=order.reference_tokens,
    )
    return upstream.workshop.begin(row, plan, usage, body_digest=arrival.digest)


async def _answer(
    request: web.Request, upstream: Upstream, order: Order, generation: Generation
) -> web.StreamResponse:
    reply = Reply(request, upstream, generation)
    answer = answer_stream if order.stream else answer_plain
    try:
        return await answer(reply, upstream, order, generation)
    except asyncio.CancelledError:
        generation.caller_gone()
        raise
    except ConnectionError:
        generation.caller_gone()
        return reply.response  # goes nowhere: the connection is lost
    finally:
        generation.close_caller_side()


async def answer_plain(
    reply: Reply, upstream: Upstream, order: Order, generation: Generation
) -> web.StreamResponse:
    """One JSON body; the headers too are withheld until the work is done."""
    await generation.finished()
    buffers = pictures.json_body(
        order,
        generation.usage,
        name=generation.row.generation,
        created=upstream.clock.unix_s(),
        press=upstream.press,
    )
    await reply.begin("application/json", length_bytes=sum(map(len, buffers)))
    await reply.write(buffers)
    return await reply.end()
