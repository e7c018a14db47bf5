"""A request as it arrives: who asks, what is in its body, and the name and dice that follow from both.

JSON or form, readable or not, every arrival gets an id; what is wrong with its body is kept until it is
judged, because a missing key is answered first.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from aiohttp import web

from whocut_mock import bodies, errors, form, parameters, uploads
from whocut_mock.caller import Caller
from whocut_mock.dice import Dice
from whocut_mock.errors import ApiError
from whocut_mock.generation import rounded
from whocut_mock.ledger import Row
from whocut_mock.parameters import Order, Reading
from whocut_mock.settings import Settings
from whocut_mock.upstream import REQUEST_ID, Upstream, caller_of

# What each endpoint reads; the first is what its refusal names. Every other endpoint reads JSON alone.
_JSON, _FORM = "application/json", "multipart/form-data"
_READS = {parameters.EDITS: (_FORM, _JSON), parameters.VARIATIONS: (_FORM,)}

OrderReader = Callable[[Settings], Order]
ModelOf = Callable[[str | None], str | None]
JsonReader = Callable[[dict[str, Any]], OrderReader]


class Arrival(NamedTuple):
    """A request that was read and not yet judged. `order` reads what it asks for, or refuses it; it holds the body.

    `attempt` is what the books know: the caller's own count, or how often this body came with this key since
    it was last delivered, whichever is more.
    """

    endpoint: str
    caller: Caller
    attempt: int
    digest: bytes
    dice: Dice
    request_id: str
    size_bytes: int
    order: OrderReader

    def judged(self) -> "Arrival":
        """Without its body: the work takes minutes, and the body is not read again."""
        return self._replace(order=_already_judged)


async def read_arrival(
    request: web.Request,
    upstream: Upstream,
    endpoint: str,
    json_order: JsonReader | None = None,
    model_of: ModelOf | None = None,
) -> Arrival:
    """The request, read whole; `json_order` reads a body that is no plain table of parameters.

    `model_of` says which model the named one really is.
    """
    limits = upstream.settings.limits
    content_type = request.headers.get("Content-Type", "")
    is_form = form.is_form(content_type)
    limit_bytes = limits.body_bytes if is_form else limits.json_bytes
    body = await bodies.read(request, limit_bytes, upstream.held, upstream.patience_loop_s)
    caller = caller_of(request)
    try:
        _check_kind(endpoint, content_type)
        if is_form:
            parts = _renamed_part(form.parse_form(content_type, body), model_of)
            digest = bodies.digest(endpoint, [part.digest for part in parts])
            order = _form_reader(endpoint, parts)
        else:
            fields = _renamed(bodies.parse_json(body), model_of)
            digest = bodies.digest(endpoint, fields)
            find = files_of(upstream, caller.key_hash)
            order = _json_reader(endpoint, fields, find) if json_order is None else json_order(fields)
    except ApiError as error:
        digest = bodies.digest(endpoint, body)
        order = _refuser(error)
    dice = upstream.sightings.dice(digest, caller.attempt)
    request_id = request[REQUEST_ID] = f"req_{dice.hex('request', 32)}"
    attempt = upstream.workshop.attempt(caller.key_hash, digest, caller.attempt)
    return Arrival(endpoint, caller, attempt, digest, dice, request_id, len(body), order)


def arrival_of_line(
    upstream: Upstream, endpoint: str, caller: Caller, fields: dict[str, Any], name: str
) -> Arrival:
    """A request out of a batch's file, under the name that it has there."""
    digest = bodies.digest(endpoint, fields)
    dice = upstream.sightings.dice(digest + name.encode(), 1)
    order = _json_reader(endpoint, fields, files_of(upstream, caller.key_hash))
    return Arrival(endpoint, caller, 1, digest, dice, f"req_{dice.hex('request', 32)}", 0, order)


def _renamed(fields: dict[str, Any], model_of: ModelOf | None) -> dict[str, Any]:
    name = fields.get("model")
    if model_of is None or not isinstance(name, str | None):
        return fields
    model = model_of(name)
    return fields if model is None else {**fields, "model": model}


def _renamed_part(parts: list[form.Part], model_of: ModelOf | None) -> list[form.Part]:
    if model_of is None:
        return parts
    named = next((part.content.decode("utf-8", "replace") for part in parts if part.name == "model"), None)
    model = model_of(named)
    if model is None:
        return parts
    others = [part for part in parts if part.name != "model"]
    return [*others, form.Part("model", None, "", model.encode())]


def _check_kind(endpoint: str, content_type: str) -> None:
    """Refuse a body of a kind that the endpoint does not read; no kind at all is taken for JSON (ours)."""
    kind = content_type.partition(";")[0].strip().lower()
    reads = _READS.get(endpoint, (_JSON,))
    if (kind or _JSON) not in reads:
        raise errors.wrong_content_type(kind, reads[0])


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


def _already_judged(_: Settings) -> Order:
    raise AssertionError("the body of a judged request is gone")


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


def files_of(upstream: Upstream, key_hash: str | None) -> uploads.FindFile:
    """Where the file ids of this key's requests lead."""

    def find(file_id: str) -> bytes | None:
        kept = upstream.cabinet.find(file_id, key_hash)
        return None if kept is None else kept.content()

    return find


def _json_reader(endpoint: str, fields: dict[str, Any], find: uploads.FindFile) -> OrderReader:
    def read(settings: Settings) -> Order:
        reading = reading_for(endpoint, settings, is_form=False)
        order = parameters.read_order(fields, reading)
        if endpoint != parameters.EDITS:
            return order
        references = uploads.read_links(fields, find, lenient=settings.lenient)
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
