"""The mock's own doors: its books, its health, its behaviour, on a socket beside the API.

No chain leads to that socket, and each request needs the token of the ready line. Files and addresses cannot be
changed there: they are settings of the start.
"""

import os
from dataclasses import asdict
from typing import Any

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import ValidationError

from whocut_mock import access, answers, bodies, errors, guard, openapi
from whocut_mock.errors import ApiError
from whocut_mock.settings import Settings, explained, merged, of_the_start, shown, without_password
from whocut_mock.upstream import UPSTREAM, Upstream

_BEHAVIOUR_BYTES = 1_000_000
_TOKEN = web.AppKey("token", str)


def create_control(upstream: Upstream, token: str) -> web.Application:
    """The doors of this mock, for who sends this token."""
    app = web.Application(middlewares=[_guarded])
    app[UPSTREAM] = upstream
    app[_TOKEN] = token
    for method, path, handler in _DOORS:
        app.router.add_route(method, f"/_mock/{path}", handler)
    return app


@web.middleware
async def _guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        guard.check_host(request, request.app[UPSTREAM].settings.hosts)
        guard.check_token(request, request.app[_TOKEN])
        return await handler(request)
    except ApiError as refusal:
        return answers.refusal(refusal, {"Server": answers.SERVER})
    except web.HTTPException:
        missing = errors.no_such_url(request.method, request.path)
        return answers.refusal(missing, {"Server": answers.SERVER})


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
    return _json(shown(request.app[UPSTREAM].settings))


async def put_behaviour(request: web.Request) -> web.Response:
    """`PUT /_mock/behaviour`: change the named settings for every request from now on."""
    _check_alone(request)
    upstream = request.app[UPSTREAM]
    changes = await _fields(request)
    settings = _changed(upstream.settings, changes)
    if upstream.relay is None and settings.network != upstream.settings.network:
        raise ApiError(
            409,
            "there is no network path to change; name one at the start: network: {preset: near}",
            code="no_network_path",
            param="network",
        )
    upstream.behave(settings)
    return _json(shown(settings))


def _changed(before: Settings, changes: dict[str, Any]) -> Settings:
    quota = changes.get("quota")
    if isinstance(quota, dict) and quota.get("redis") == without_password(before.quota.redis):
        changes = {**changes, "quota": {**quota, "redis": before.quota.redis}}  # as it was shown: no change
    try:
        settings = Settings.model_validate(merged(before.model_dump(), changes))
    except ValidationError as error:
        raise ApiError(400, explained(error), code="invalid_behaviour") from None
    fixed = of_the_start(before, settings)
    if fixed is not None:
        message = f"{fixed} is a setting of the start. Name it in the file of --config."
        raise ApiError(409, message, code="set_at_the_start", param=fixed)
    return settings


async def verify(request: web.Request) -> web.Response:
    """`POST /_mock/verify`: another attempt at the organisation's verification, for the key in the body."""
    _check_alone(request)
    upstream = request.app[UPSTREAM]
    settings, now_s = upstream.settings, upstream.clock.now_s()
    name = (await _fields(request)).get("key")
    known = settings.keys.get(name) if isinstance(name, str) else None
    if not isinstance(name, str) or known is None:
        raise ApiError(404, "there is no such key in the settings", code="unknown_key", param="key")
    key = access.verified_anew(name, known, settings.seed, now_s)
    upstream.behave(settings.model_copy(update={"keys": {**settings.keys, name: key}}))
    return _json({"state": access.state_at(name, key, settings.seed, now_s)})


def _check_alone(request: web.Request) -> None:
    """One of several processes cannot speak for the others."""
    if request.app[UPSTREAM].worker:
        raise ApiError(409, "with --processes the behaviour is set at the start", code="several_processes")


async def _fields(request: web.Request) -> dict[str, Any]:
    held, patience_s = bodies.Held(_BEHAVIOUR_BYTES), request.app[UPSTREAM].patience_loop_s
    return bodies.parse_json(await bodies.read(request, _BEHAVIOUR_BYTES, held, patience_s))


def _json(value: Any) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type="application/json")


_DOORS = (
    ("GET", "ledger", get_ledger),
    ("GET", "health", get_health),
    ("GET", "openapi.json", get_openapi),
    ("POST", "reset", reset),
    ("POST", "verify", verify),
    ("GET", "behaviour", get_behaviour),
    ("PUT", "behaviour", put_behaviour),
)
