"""The mock's own doors, beside the API: its books, its health, its behaviour. They need no key."""

import os
from dataclasses import asdict
from typing import Any

import orjson
from aiohttp import web
from pydantic import ValidationError

from whocut_mock import access, bodies, openapi
from whocut_mock.errors import ApiError
from whocut_mock.settings import Settings, explained, merged
from whocut_mock.upstream import UPSTREAM

_BEHAVIOUR_BYTES = 1_000_000


async def get_ledger(request: web.Request) -> web.Response:
    """`GET /_mock/ledger`: every row in its present state, and the sums."""
    ledger = request.app[UPSTREAM].ledger
    return _json({"rows": ledger.rows(), "totals": ledger.totals()})


async def get_health(request: web.Request) -> web.Response:
    """`GET /_mock/health`: whether it serves, what it is working on, the sums."""
    upstream = request.app[UPSTREAM]
    return _json(
        {
            "ok": True,
            "pid": os.getpid(),
            "running": upstream.workshop.running,
            "model_s": upstream.clock.now_s(),
            "totals": asdict(upstream.ledger.totals()),
        }
    )


async def get_openapi(_: web.Request) -> web.Response:
    """`GET /_mock/openapi.json`: what the mock says of itself."""
    return _json(openapi.document())


async def reset(request: web.Request) -> web.Response:
    """`POST /_mock/reset`: stop all work, empty the books, forget what was seen."""
    _check_alone(request)
    return _json({"stopped": await request.app[UPSTREAM].reset()})


async def get_behaviour(request: web.Request) -> web.Response:
    """`GET /_mock/behaviour`: the settings in force."""
    return _json(request.app[UPSTREAM].settings.model_dump(mode="json"))


async def put_behaviour(request: web.Request) -> web.Response:
    """`PUT /_mock/behaviour`: change the named settings for every request from now on."""
    _check_alone(request)
    upstream = request.app[UPSTREAM]
    changes = bodies.parse_json(await bodies.read(request, _BEHAVIOUR_BYTES))
    try:
        settings = Settings.model_validate(merged(upstream.settings.model_dump(), changes))
    except ValidationError as error:
        raise ApiError(400, explained(error), code="invalid_behaviour") from error
    if upstream.relay is None and settings.network != upstream.settings.network:
        raise ApiError(
            409,
            "there is no network path to change; name one at the start: network: {preset: near}",
            code="no_network_path",
            param="network",
        )
    try:
        await upstream.behave(settings)
    except ValueError as error:
        raise ApiError(400, str(error), code="invalid_behaviour") from error
    return _json(settings.model_dump(mode="json"))


async def verify(request: web.Request) -> web.Response:
    """`POST /_mock/verify`: another attempt at the organisation's verification, for the key in the body."""
    _check_alone(request)
    upstream = request.app[UPSTREAM]
    settings, now_s = upstream.settings, upstream.clock.now_s()
    name = bodies.parse_json(await bodies.read(request, _BEHAVIOUR_BYTES)).get("key")
    known = settings.keys.get(name) if isinstance(name, str) else None
    if not isinstance(name, str) or known is None:
        raise ApiError(404, "there is no such key in the settings", code="unknown_key", param="key")
    key = access.verified_anew(name, known, settings.seed, now_s)
    await upstream.behave(settings.model_copy(update={"keys": {**settings.keys, name: key}}))
    return _json({"state": access.state_at(name, key, settings.seed, now_s)})


def _check_alone(request: web.Request) -> None:
    """One of several processes cannot speak for the others."""
    if request.app[UPSTREAM].worker:
        raise ApiError(409, "with --processes the behaviour is set at the start", code="several_processes")


def _json(value: Any) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type="application/json")
