"""`/v1/webhook_endpoints`: the receivers of events about responses and batches, and the events themselves.

Shapes are the official SDK's (3.57): a thin body with an id, signed by the rules of Standard Webhooks; a secret is
shown when it is made and never again; a rotated one may hold for a day beside the new.
"""

from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import web

from whocut_mock import access, answers, bodies, errors
from whocut_mock.dice import Dice
from whocut_mock.endpoints import Endpoint
from whocut_mock.errors import ApiError
from whocut_mock.jobs import Job
from whocut_mock.postman import STANDARD, Letter, check_url, signed
from whocut_mock.upstream import UPSTREAM, Upstream, caller_of

EVENT_TYPES = (
    "batch.completed",
    "batch.failed",
    "batch.expired",
    "batch.cancelled",
    "response.completed",
    "response.failed",
    "response.cancelled",
    "response.incomplete",
)
USER_AGENT = "OpenAI/1.0 (+https://platform.openai.com/docs/webhooks)"


def watch(upstream: Upstream, job: Job, event: Callable[[Job], str]) -> None:
    """Tell the endpoints when this job is over; `event` names what has happened then."""
    prefix = event(job).partition(".")[0]
    job.expects_callback = any(
        name.startswith(f"{prefix}.") for one in upstream.webhooks.all() for name in one.event_types
    )
    job.when_over.append(lambda job: tell(upstream, event(job), job.id, job))


def tell(upstream: Upstream, event_type: str, about: str, job: Job | None = None) -> None:
    """Send one event to everybody who wants to know of it."""
    endpoints = upstream.webhooks.wanting(event_type)
    if not endpoints:
        return
    event_id = upstream.webhooks.next_event()
    body = _event(event_id, event_type, about, upstream.clock.unix_s())
    for endpoint in endpoints:
        letter = Letter(
            endpoint.url,
            body,
            _headers(upstream, endpoint, event_id, body),
            STANDARD,
            Dice(f"{endpoint.id}/{event_id}".encode()),
            job,
            endpoint.disable,
        )
        upstream.postman.send(letter)


def _event(event_id: str, event_type: str, about: str, created: int) -> bytes:
    return orjson.dumps(
        {
            "id": event_id,
            "object": "event",
            "created_at": created,
            "type": event_type,
            "data": {"id": about},
        }
    )


def _headers(
    upstream: Upstream, endpoint: Endpoint, event_id: str, body: bytes
) -> Callable[[], dict[str, str]]:
    def made() -> dict[str, str]:
        at = upstream.clock.signing_unix_s()
        keys = endpoint.valid(upstream.clock.now_s())
        return {"User-Agent": USER_AGENT, **signed(keys, f"wh_{event_id[4:]}", at, body)}

    return made


async def create(request: web.Request) -> web.Response:
    """`POST /v1/webhook_endpoints`."""
    upstream = _entered(request)
    fields = await _fields(request)
    missing = next((name for name in ("name", "url", "event_types") if name not in fields), None)
    if missing is not None:
        raise errors.missing_parameter(missing)
    read = _read(fields, upstream)
    endpoint = upstream.webhooks.add(read["name"], read["url"], read["event_types"])
    return answers.plain(endpoint.shown() | {"signing_secret": endpoint.secrets[0][0]}, {})


async def listed(request: web.Request) -> web.Response:
    """`GET /v1/webhook_endpoints`."""
    shown = [one.shown() for one in _entered(request).webhooks.all()]
    after = request.query.get("after")
    ids = [one["id"] for one in shown]
    shown = shown[ids.index(after) + 1 :] if after in ids else shown
    text = request.query.get("limit", "20")
    limit = int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 20
    page = shown[:limit]
    return answers.plain(
        {
            "object": "list",
            "data": page,
            "first_id": page[0]["id"] if page else None,
            "last_id": page[-1]["id"] if page else None,
            "has_more": len(shown) > len(page),
        },
        {},
    )


async def retrieve(request: web.Request) -> web.Response:
    """`GET /v1/webhook_endpoints/{id}`."""
    return answers.plain(_entered(request).webhooks.find(request.match_info["id"]).shown(), {})


async def update(request: web.Request) -> web.Response:
    """`POST /v1/webhook_endpoints/{id}`; an endpoint that had said 410 gets events again."""
    upstream = _entered(request)
    endpoint = upstream.webhooks.find(request.match_info["id"])
    for name, value in _read(await _fields(request), upstream).items():
        setattr(endpoint, name, value)
    endpoint.updated, endpoint.disabled = upstream.clock.unix_s(), False
    return answers.plain(endpoint.shown(), {})


async def delete(request: web.Request) -> web.Response:
    """`DELETE /v1/webhook_endpoints/{id}`."""
    upstream = _entered(request)
    endpoint = upstream.webhooks.find(request.match_info["id"])
    upstream.webhooks.remove(endpoint)
    return answers.plain({"id": endpoint.id, "object": "webhook_endpoint.deleted", "deleted": True}, {})


async def rotate(request: web.Request) -> web.Response:
    """`POST /v1/webhook_endpoints/{id}/rotate_secret`."""
    upstream = _entered(request)
    endpoint = upstream.webhooks.find(request.match_info["id"])
    keep = (await _fields(request)).get("keep_old_secret_active_for_24_hours", False)
    upstream.webhooks.rotate(endpoint, keep_old=keep is True)
    return answers.plain(endpoint.shown() | {"signing_secret": endpoint.secrets[0][0]}, {})


async def test(request: web.Request) -> web.Response:
    """`POST /v1/webhook_endpoints/{id}/test`: one sample, sent once."""
    upstream = _entered(request)
    endpoint = upstream.webhooks.find(request.match_info["id"])
    event_type = (await _fields(request)).get("event_type")
    if event_type not in EVENT_TYPES:
        raise errors.bad_choice("event_type", str(event_type), EVENT_TYPES)
    event_id = upstream.webhooks.next_event()
    body = _event(event_id, event_type, f"resp_{event_id[4:]}", upstream.clock.unix_s())
    callback = await upstream.postman.once(endpoint.url, body, _headers(upstream, endpoint, event_id, body)())
    if callback.status is None:
        raise ApiError(400, f"The endpoint is {callback.said}.", code="webhook_endpoint_unreachable")
    return answers.plain(
        {
            "object": "webhook_endpoint.test",
            "webhook_endpoint_id": endpoint.id,
            "event_type": event_type,
            "status_code": callback.status,
            "success": True,
        },
        {},
    )


async def event_types(request: web.Request) -> web.Response:
    """`GET /v1/webhook_event_types`."""
    _entered(request)
    return answers.plain({"object": "list", "data": list(EVENT_TYPES)}, {})


def _entered(request: web.Request) -> Upstream:
    upstream = request.app[UPSTREAM]
    access.key_of(caller_of(request).key, upstream.settings)
    upstream.check_alone()
    return upstream


async def _fields(request: web.Request) -> dict[str, Any]:
    body = await bodies.small(request, request.app[UPSTREAM])
    return bodies.parse_json(body) if body else {}


def _read(fields: dict[str, Any], upstream: Upstream) -> dict[str, Any]:
    """The fields that may be set, each of its kind."""
    read: dict[str, Any] = {}
    for name, value in fields.items():
        if name == "name":
            if not isinstance(value, str):
                raise errors.wrong_type(name, "a string", errors.kind_of(value))
            read[name] = value[:200]
        elif name == "url":
            read[name] = check_url(value, upstream.settings.jobs, name)
        elif name == "event_types":
            read[name] = _events(value)
        else:
            raise errors.unknown_parameter(name)
    return read


def _events(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise errors.wrong_type("event_types", "an array", errors.kind_of(value))
    for one in value:
        if one not in EVENT_TYPES:
            raise errors.bad_choice("event_types", str(one), EVENT_TYPES)
    return tuple(value)


ROUTES = (
    ("POST", "/v1/webhook_endpoints", create),
    ("GET", "/v1/webhook_endpoints", listed),
    ("GET", "/v1/webhook_endpoints/{id}", retrieve),
    ("POST", "/v1/webhook_endpoints/{id}", update),
    ("DELETE", "/v1/webhook_endpoints/{id}", delete),
    ("POST", "/v1/webhook_endpoints/{id}/rotate_secret", rotate),
    ("POST", "/v1/webhook_endpoints/{id}/test", test),
    ("GET", "/v1/webhook_event_types", event_types),
)
