"""A request as it arrives: who asks, what is in its body, and the name and dice that follow from both.

JSON or form, readable or not, every arrival gets an id; what is wrong with its body is kept until it is
judged, because a missing key is answered first.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from aiohttp import web

from whocut_mock import bodies, errors, form, parameters, uploads
from whocut_mock.caller import Caller, read_caller
from whocut_mock.dice import Dice
from whocut_mock.errors import ApiError
from whocut_mock.generation import rounded
from whocut_mock.ledger import Row
from whocut_mock.parameters import Order, Reading
from whocut_mock.settings import Settings
from whocut_mock.upstream import REQUEST_ID, Upstream

_FORMS = (parameters.EDITS, parameters.VARIATIONS)  # the endpoints that read forms; edits read JSON too

OrderReader = Callable[[Settings], Order]
JsonReader = Callable[[dict[str, Any]], OrderReader]


class Arrival(NamedTuple):
    """A request that was read and not yet judged. `order` reads what it asks for, or refuses it."""

    endpoint: str
    caller: Caller
    digest: bytes
    dice: Dice
    request_id: str
    order: OrderReader


async def read_arrival(
    request: web.Request, upstream: Upstream, endpoint: str, json_order: JsonReader | None = None
) -> Arrival:
    """The request, read whole; `json_order` reads a body that is no plain table of parameters."""
    limits = upstream.settings.limits
    content_type = request.headers.get("Content-Type", "")
    is_form = form.is_form(content_type)
    body = await bodies.read(request, limits.body_bytes if is_form else limits.json_bytes)
    caller = read_caller(request.headers)
    try:
        if is_form and endpoint not in _FORMS:
            raise errors.wrong_content_type(content_type, "application/json")
        if endpoint == parameters.VARIATIONS and not is_form:
            raise errors.wrong_content_type(content_type, "multipart/form-data")
        if is_form:
            parts = form.parse_form(content_type, body)
            digest = bodies.digest(endpoint, [part.digest for part in parts])
            order = _form_reader(endpoint, parts)
        else:
            fields = bodies.parse_json(body)
            digest = bodies.digest(endpoint, fields)
            order = _json_reader(endpoint, fields) if json_order is None else json_order(fields)
    except ApiError as error:
        digest = bodies.digest(endpoint, body)
        order = _refuser(error)
    dice = upstream.sightings.dice(digest, caller.attempt)
    request_id = request[REQUEST_ID] = f"req_{dice.hex('request', 32)}"
    return Arrival(endpoint, caller, digest, dice, request_id, order)


def new_row(arrival: Arrival, now_s: float) -> Row:
    """The ledger's row of this arrival: refused, unless it becomes work."""
    caller, dice = arrival.caller, arrival.dice
    return Row(
        generation=f"gen_{dice.hex('generation', 24)}",
        state="refused",
        endpoint=arrival.endpoint,
        request_id=arrival.request_id,
        trace_id=caller.trace_id,
        parent_span_id=caller.parent_span_id,
        span_id=dice.hex("span", 16),
        attempt=caller.attempt,
        key_hash=caller.key_hash,
        accepted_s=rounded(now_s),
    )


def _refuser(error: ApiError) -> OrderReader:
    def refuse(_: Settings) -> Order:
        raise error

    return refuse


def reading_for(endpoint: str, settings: Settings, *, is_form: bool) -> Reading:
    """How this endpoint's fields are read under these settings."""
    return Reading(
        endpoint=endpoint,
        lenient=settings.lenient,
        tolerated=frozenset(settings.tolerate),
        auto_quality=settings.auto_quality,
        form=is_form,
    )


def _json_reader(endpoint: str, fields: dict[str, Any]) -> OrderReader:
    def read(settings: Settings) -> Order:
        reading = reading_for(endpoint, settings, is_form=False)
        order = parameters.read_order(fields, reading)
        if endpoint != parameters.EDITS:
            return order
        references = uploads.read_links(fields, lenient=settings.lenient)
        return parameters.with_references(order, references)

    return read


def _form_reader(endpoint: str, parts: list[form.Part]) -> OrderReader:
    fields = {
        part.name: parameters.FILE if part.filename is not None else part.content.decode("utf-8", "replace")
        for part in parts
    }

    def read(settings: Settings) -> Order:
        reading = reading_for(endpoint, settings, is_form=True)
        if endpoint == parameters.VARIATIONS:
            references = uploads.read_uploads(parts, lenient=settings.lenient)
            fixture = any(part.content == uploads.FIXTURE for part in parts)
            return parameters.read_variation(fields, reading, references, fixture=fixture)
        order = parameters.read_order(fields, reading)
        if endpoint != parameters.EDITS:
            return order
        return parameters.with_references(order, uploads.read_uploads(parts, lenient=settings.lenient))

    return read
