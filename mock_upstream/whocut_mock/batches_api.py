"""`/v1/batches` for the image endpoints."""

from typing import Any

from aiohttp import web

from whocut_mock import access, answers, bodies, errors
from whocut_mock.batches import ENDPOINTS, WINDOW, Batch, Batches, kept_s
from whocut_mock.dice import Dice
from whocut_mock.upstream import UPSTREAM, Upstream, caller_of

BATCHES = web.AppKey("batches", Batches)
_KNOWN = frozenset(["input_file_id", "endpoint", "completion_window", "metadata", "output_expires_after"])


async def create(request: web.Request) -> web.Response:
    """`POST /v1/batches`."""
    upstream, caller = _entered(request), caller_of(request)
    fields = bodies.parse_json(await bodies.small(request, upstream))
    unknown = next((name for name in fields if name not in _KNOWN), None)
    if unknown is not None:
        raise errors.unknown_parameter(unknown)
    for name, choices in (("endpoint", tuple(ENDPOINTS)), ("completion_window", (WINDOW,))):
        value = _text(fields, name)
        if value not in choices:
            raise errors.bad_choice(name, value, choices)
    file = upstream.cabinet.find(_text(fields, "input_file_id"), caller.key_hash)
    if file is None or file.purpose != "batch":
        raise errors.file_not_found("input_file_id", _text(fields, "input_file_id"))
    batches = request.app[BATCHES]
    name = Dice(f"batch/{upstream.settings.seed}/{file.id}".encode()).hex(str(batches.count), 24)
    batch = Batch(
        id=f"batch_{name}",
        endpoint=fields["endpoint"],
        file=file,
        caller=caller,
        metadata=fields.get("metadata"),
        kept_s=kept_s(fields),
        upstream=upstream,
        created_s=upstream.clock.now_s(),
    )
    batches.add(batch)
    return answers.plain(batch.shown(), {})


async def listed(request: web.Request) -> web.Response:
    """`GET /v1/batches`: the newest first, by pages."""
    _entered(request)
    shown = [batch.shown() for batch in request.app[BATCHES].all(caller_of(request).key_hash)]
    after, text = request.query.get("after"), request.query.get("limit", "20")
    ids = [one["id"] for one in shown]
    shown = shown[ids.index(after) + 1 :] if after in ids else shown
    page = shown[: int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 20]
    return answers.plain(
        {
            "object": "list",
            "data": page,
            "first_id": page[0]["id"] if page else None,
            "last_id": page[-1]["id"] if page else None,
            "has_more": len(page) < len(shown),
        },
        {},
    )


async def retrieve(request: web.Request) -> web.Response:
    """`GET /v1/batches/{id}`."""
    batch = _find(request)
    batch.polled()
    return answers.plain(batch.shown(), {})


async def cancel(request: web.Request) -> web.Response:
    """`POST /v1/batches/{id}/cancel`; one that is over stays as it is."""
    batch = _find(request)
    batch.cancel()
    return answers.plain(batch.shown(), {})


def _find(request: web.Request) -> Batch:
    _entered(request)
    return request.app[BATCHES].find(request.match_info["id"], caller_of(request).key_hash)


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if value is None:
        raise errors.missing_parameter(name)
    if not isinstance(value, str):
        raise errors.wrong_type(name, "a string", errors.kind_of(value))
    return value


def _entered(request: web.Request) -> Upstream:
    upstream = request.app[UPSTREAM]
    access.key_of(caller_of(request).key, upstream.settings)
    upstream.check_alone()
    return upstream


ROUTES = (
    ("POST", "/v1/batches", create),
    ("GET", "/v1/batches", listed),
    ("GET", "/v1/batches/{id}", retrieve),
    ("POST", "/v1/batches/{id}/cancel", cancel),
)
