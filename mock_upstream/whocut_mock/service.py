"""The way of one request for images: read, refused or accepted, worked on, answered.

The order of the refusals is the real API's: the key, then the parameters, then what the key may do, then what
is left of its quota, then what the input filter says.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple

from aiohttp import web

from whocut_mock import access, errors, faults, latency, moderation, parameters, pictures, shelf
from whocut_mock.arrival import Arrival, new_row, read_arrival
from whocut_mock.buckets import StoreGone
from whocut_mock.errors import ApiError
from whocut_mock.fault import Asked, Fault, InsteadError, SpoiledError
from whocut_mock.faults import NO_FAULT
from whocut_mock.generation import Generation
from whocut_mock.ledger import Row
from whocut_mock.moderation import Block
from whocut_mock.parameters import Order
from whocut_mock.quotas import Request
from whocut_mock.reply import AnswerAccount, Reply
from whocut_mock.settings import Settings, When
from whocut_mock.stream import answer_stream
from whocut_mock.upstream import UPSTREAM, Known, Upstream
from whocut_mock.usage import Usage, usage_of

FAULT_HEADER = "x-mock-fault"

Answer = Callable[[Reply, Upstream, Order, Generation, Block | None], Coroutine[Any, Any, web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Retrying:
    """A queue that tries again by itself what was refused with these statuses, before its caller hears of it."""

    statuses: frozenset[int]
    tries: int
    first_s: float
    factor: float
    most_s: float


class Accepted(NamedTuple):
    """What was decided about a request before its work begins.

    A queue may have tried again for `waited_s`; where that was in vain, `failure` says why no work will begin.
    """

    order: Order
    usage: Usage
    fault: Fault
    block: Block | None
    waited_s: float = 0.0
    failure: ApiError | None = None


async def generations(request: web.Request) -> web.StreamResponse:
    """`POST /v1/images/generations`."""
    return await images(request, parameters.GENERATIONS)


async def edits(request: web.Request) -> web.StreamResponse:
    """`POST /v1/images/edits`, as a form or as JSON."""
    return await images(request, parameters.EDITS)


async def variations(request: web.Request) -> web.StreamResponse:
    """`POST /v1/images/variations`, retired."""
    return await images(request, parameters.VARIATIONS)


async def images(
    request: web.Request, endpoint: str, model_of: Callable[[str | None], str | None] | None = None
) -> web.StreamResponse:
    """One request to an images endpoint, from its first byte to its last.

    `model_of` says which model the named one really is.
    """
    upstream = request.app[UPSTREAM]
    arrival = read_arrival(request, upstream, endpoint, model_of=model_of)
    return await serve_arrival(request, upstream, await arrival, _answer_image)


async def serve_arrival(
    request: web.Request, upstream: Upstream, arrival: Arrival, answer: Answer
) -> web.StreamResponse:
    """Judge the request, begin its work, answer it; a refusal is kept as a row of its own."""
    row, accepted = await judged(request, upstream, arrival)
    arrival = arrival.judged()
    generation = begin(upstream, arrival, row, accepted)
    reply = Reply(request, upstream, generation, accepted.fault, arrival.attempt)
    answering = answer(reply, upstream, accepted.order, generation, accepted.block)
    return await exchanged(reply, generation, answering)


async def judged_line(upstream: Upstream, arrival: Arrival) -> tuple[Row, Accepted]:
    """What a line of a batch becomes: as any other request, but for the quotas, which a batch does not draw on.

    Raises:
        ApiError: the first refusal it has earned; the row of it is in the books.
    """
    row = new_row(arrival, upstream.clock.now_s())
    try:
        return row, await _judge(upstream, arrival, row, None, blocks_later=False, gated=False)
    except ApiError as refusal:
        row.status, row.error_code = refusal.status, refusal.code
        upstream.ledger.write(row)
        raise


async def judged(
    request: web.Request,
    upstream: Upstream,
    arrival: Arrival,
    *,
    blocks_later: bool = False,
    retrying: Retrying | None = None,
) -> tuple[Row, Accepted]:
    """What this request becomes, and the row that it gets; its body is let go.

    With `blocks_later` the input filter's finding is no refusal: it is given later, when it is asked for.
    `retrying` is a queue before the work, which meets faults in its caller's place.

    Raises:
        ApiError: the first refusal it has earned; the row of it is in the books.
    """
    row = new_row(arrival, upstream.clock.now_s())
    try:
        fault_text = request.headers.get(FAULT_HEADER)
        return row, await _judge(
            upstream, arrival, row, fault_text, blocks_later=blocks_later, retrying=retrying
        )
    except ApiError as refusal:
        row.status, row.error_code = refusal.status, refusal.code
        upstream.ledger.write(row)
        raise
    except asyncio.CancelledError:
        row.caller_gone_s = upstream.clock.now_s()
        upstream.ledger.write(row)
        raise
    finally:
        upstream.held.give(arrival.size_bytes)


async def exchanged(
    reply: Reply, account: AnswerAccount, answering: Coroutine[Any, Any, web.StreamResponse]
) -> web.StreamResponse:
    """See an answer through, and write down how it ended for its caller."""
    try:
        return await answering
    except InsteadError:
        return await reply.end_without_picture(None)
    except asyncio.CancelledError:
        account.caller_gone()
        raise
    except SpoiledError:
        return reply.response  # goes nowhere: the fault has ended the connection
    except ConnectionError:
        account.caller_gone()
        return reply.response  # goes nowhere: the connection is lost
    finally:
        account.close_caller_side()


async def _judge(
    upstream: Upstream,
    arrival: Arrival,
    row: Row,
    fault_text: str | None,
    *,
    blocks_later: bool,
    gated: bool = True,
    retrying: Retrying | None = None,
) -> Accepted:
    """What this request becomes; raises the first refusal it has earned, and writes down what it learns."""
    settings, caller = upstream.settings, arrival.caller
    key = access.key_of(caller.key, settings)
    known = _known(upstream, arrival)
    order, usage, block = known.order, known.usage, known.block
    _describe(row, order, known.prompt_sha256)
    fault = _fault(fault_text, order, arrival, settings)
    row.fault = fault.name or None
    asked = Asked(arrival.request_id, order.model_name, settings.organization)
    refusal, waited_s = fault.refusal(asked), 0.0
    if refusal is not None and retrying is not None and refusal.status in retrying.statuses:
        fault, refusal, waited_s = _tried_again(retrying, fault_text, order, arrival, settings, asked)
        if refusal is not None:
            row.status, row.error_code = refusal.status, refusal.code
            return Accepted(order, usage, fault, None, waited_s, refusal)
    if refusal is not None:
        raise refusal
    now_s = upstream.clock.now_s()
    access.check_wall(caller.key or "", key, order.model_name, settings, now_s)
    access.check_budget(key, upstream.workshop.spent_nano_usd[caller.key_hash], settings)
    if gated and not upstream.gate_open:
        await _admit(upstream, arrival, order, usage)
    if block is not None and block.stage == "input":
        row.moderation = "input"
        if blocks_later:
            return Accepted(order, usage, fault, block, waited_s)
        await upstream.clock.sleep_s(arrival.dice.between("input filter", *settings.moderation.input_s))
        raise moderation.refusal(block, arrival.request_id)
    return Accepted(order, usage, fault, block, waited_s)


def _tried_again(
    retrying: Retrying,
    fault_text: str | None,
    order: Order,
    arrival: Arrival,
    settings: Settings,
    asked: Asked,
) -> tuple[Fault, ApiError | None, float]:
    """What a queue's own tries come to: the fault that is left, the last refusal, and how long it all took."""
    waited_s, pause_s = 0.0, retrying.first_s
    refusal = None
    for attempt in range(2, retrying.tries + 2):
        waited_s += min(pause_s, retrying.most_s)
        pause_s *= retrying.factor
        fault = _fault(fault_text, order, arrival._replace(attempt=attempt), settings)
        refusal = fault.refusal(asked)
        if refusal is None or refusal.status not in retrying.statuses:
            break
    return fault, refusal, waited_s


def _known(upstream: Upstream, arrival: Arrival) -> Known:
    """What follows from a body alone; a body seen again, as every retry is, is not read again."""
    known = upstream.known.get(arrival.digest)
    if known is None:
        settings = upstream.settings
        order = arrival.order(settings)
        rules = moderation.read_rules(settings.moderation.rules)
        block = moderation.judge(order, rules, settings.seed)
        known = Known(order, _usage(order), block, sha256(order.prompt.encode()).hexdigest())
        upstream.remember(arrival.digest, known)
    return known


async def _admit(upstream: Upstream, arrival: Arrival, order: Order, usage: Usage) -> None:
    settings = upstream.settings
    account = settings.organization if settings.quota.per == "organization" else str(arrival.caller.key_hash)
    request = Request(
        order=order,
        tokens=usage.tokens,
        dice=arrival.dice,
        organization=settings.organization,
        account=account,
        running=upstream.workshop.running,
        now_s=upstream.clock.now_s(),
    )
    try:
        await upstream.gate.admit(request, settings.quota)
    except StoreGone as reason:
        raise errors.store_gone(str(reason)) from reason


def named_fault(text: str) -> Fault:
    """The fault that a request names in its header.

    Raises:
        ApiError: there is no such fault.
    """
    try:
        return faults.named(text)
    except ValueError as error:
        raise errors.bad_fault(FAULT_HEADER, str(error)) from error


def _fault(text: str | None, order: Order, arrival: Arrival, settings: Settings) -> Fault:
    """The fault that the request names, else the first of the rules that strikes it."""
    if text is not None:
        return named_fault(text)
    for number, rule in enumerate(settings.faults):
        if (
            is_about(rule.when, order, order.endpoint, arrival.attempt)
            and arrival.dice.fraction(f"fault {number}") < rule.rate
        ):
            return faults.named(rule.fault)
    return NO_FAULT


def is_about(when: When, order: Order, endpoint: str, attempt: int) -> bool:
    """Whether a rule is about this order, at this endpoint, on this attempt."""
    named = (
        (when.endpoint, endpoint),
        (when.model, order.model.family),
        (when.stream, order.stream),
        (when.attempt, attempt),
    )
    return all(wanted is None or wanted == got for wanted, got in named) and (
        when.prompt is None or when.prompt in order.prompt
    )


def _describe(row: Row, order: Order, prompt_sha256: str) -> None:
    row.prompt_sha256 = prompt_sha256
    row.model = order.model_name
    row.size = order.size_text
    row.quality = order.quality
    row.output_format = order.output_format
    row.n = order.n
    row.stream = order.stream
    row.partial_images = order.partial_images


def _usage(order: Order) -> Usage:
    return usage_of(
        order.model,
        prompt=order.prompt,
        quality=order.quality,
        size=order.size,
        n=order.n,
        partial_images=order.partial_images if order.stream else 0,
        image_in=order.reference_tokens,
    )


def begin(
    upstream: Upstream, arrival: Arrival, row: Row, accepted: Accepted, *, waits_s: float = 0.0
) -> Generation:
    """Start the work on what was accepted, after so long a wait for its turn."""
    plan = latency.plan(
        accepted.order, upstream.settings.latency, arrival.dice, running=upstream.workshop.running
    )
    if accepted.block is None:
        pictures.plate_for(
            accepted.order, upstream.press
        )  # a shape asked for first is drawn now, not when due
    else:
        row.moderation = "output"
    billed = accepted.block is None or upstream.settings.moderation.bill_output_blocks
    return upstream.workshop.begin(
        row,
        plan,
        accepted.usage,
        body_digest=arrival.digest,
        billed=billed,
        stops_when_left=upstream.settings.when_caller_leaves == "stop",
        waits_s=waits_s,
    )


async def _answer_image(
    reply: Reply, upstream: Upstream, order: Order, generation: Generation, block: Block | None
) -> web.StreamResponse:
    answer = answer_stream if order.stream else _answer_plain
    return await answer(reply, upstream, order, generation, block)


def _hour_from_now_s(upstream: Upstream) -> float:
    """Until when a link holds: 60 minutes, as the retired models' links did."""
    return upstream.clock.now_s() + 3_600.0


async def _answer_plain(
    reply: Reply, upstream: Upstream, order: Order, generation: Generation, block: Block | None
) -> web.StreamResponse:
    """One JSON body; the headers too are withheld until the work is done."""
    await reply.work_begun()
    await generation.finished()
    if block is not None:
        return await reply.refuse(moderation.refusal(block, generation.row.request_id))
    name, created = generation.row.generation, upstream.clock.unix_s()
    if order.links:
        urls = [
            shelf.url_of(
                reply.request, upstream.shelf.put(order, f"{name}/{index}", _hour_from_now_s(upstream))
            )
            for index in range(order.n)
        ]
        return await reply.whole([pictures.linked_body(order, generation.usage, created=created, urls=urls)])
    buffers = pictures.json_body(order, generation.usage, name=name, created=created, press=upstream.press)
    await reply.begin("application/json", length_bytes=sum(map(len, buffers)))
    await reply.last(buffers)
    return await reply.end()
