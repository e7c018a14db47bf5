"""Replicate's predictions: held for a while on wish, polled, cancelled by hand or by a deadline, told to a webhook.

From the official client 1.0.7 (paths, states, the answer of a held request) and the changelog of prediction
deadlines (2025-10-16): cancelled before the start is free, while running is charged. The wording of refusals and
how often a webhook is sent again are unverified.
"""

import asyncio
import base64
import re
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from whocut_mock import access, answers, vendor
from whocut_mock.arrival import Arrival
from whocut_mock.caller import bearer, of_scheme
from whocut_mock.dialects import register
from whocut_mock.dice import Dice
from whocut_mock.errors import ApiError
from whocut_mock.jobs import Job, State
from whocut_mock.postman import TEN_IN_TWO_HOURS, signed
from whocut_mock.reply import Reply
from whocut_mock.speech import Dialect
from whocut_mock.upstream import UPSTREAM, Upstream, caller_of
from whocut_mock.vendor import Callback, Wish
from whocut_mock.visits import Visit, submitted, visited

NAME = "replicate"
ENDPOINT = "replicate.predictions"
WAIT_MOST_S = 60.0
_STATUS = {
    State.QUEUED: "starting",
    State.RUNNING: "processing",
    State.SUCCEEDED: "succeeded",
    State.BLOCKED: "failed",
    State.FAILED: "failed",
    State.CANCELLED: "canceled",
    State.ABORTED: "aborted",
}
_SENSITIVE = "The input or output was flagged as sensitive. Please try again with different inputs. (E005)"
_EVENTS = ("start", "output", "logs", "completed")
_RATIOS = {"1:1": (1024, 1024), "2:3": (1024, 1536), "3:2": (1536, 1024)}
_FORMATS = {"png": "png", "jpg": "jpeg", "jpeg": "jpeg", "webp": "webp"}
_DURATION = re.compile(r"(?:(\d{1,4})h)?(?:(\d{1,5})m)?(?:(\d{1,6})s)?")
_TITLES = {
    401: "Unauthenticated",
    402: "Insufficient credit",
    404: "Not found",
    422: "Input validation failed",
    429: "Too many requests",
}


def key(headers: Mapping[str, str]) -> str | None:
    """A bearer token, or one of the scheme that older clients send."""
    return bearer(headers) or of_scheme("token", headers)


def refusal(error: ApiError, headers: Mapping[str, str]) -> web.Response:
    """`detail`, `status` and `title`; what is wrong with an input is 422."""
    status = 422 if error.status == 400 else error.status
    said = "You did not pass a valid authentication token" if status == 401 else error.message
    body: dict[str, Any] = {"detail": said, "status": status}
    if status in _TITLES:
        body["title"] = _TITLES[status]
    return web.json_response(body, status=status, headers={**headers, **error.headers})


async def by_model(request: web.Request) -> web.StreamResponse:
    """`POST /v1/models/{owner}/{name}/predictions`, and the same of a deployment."""
    return await _create(request, f"{request.match_info['owner']}/{request.match_info['name']}")


async def by_version(request: web.Request) -> web.StreamResponse:
    """`POST /v1/predictions`, where the body names the version."""
    return await _create(request, None)


async def _create(request: web.Request, model: str | None) -> web.StreamResponse:
    upstream = request.app[UPSTREAM]
    arrival, asked = await vendor.arrived(request, ENDPOINT, lambda fields: _wish(fields, model))
    wait_s = _wait_s(request.headers.get("Prefer", ""))
    after_s = _deadline_s(request.headers.get("Cancel-After"))
    url = vendor.callback_url(asked.get("webhook"), upstream, "webhook")
    events = asked.get("webhook_events_filter") or list(_EVENTS)
    asked = {"input": asked.get("input") or {}, "model": model, "version": asked.get("version")}
    host = request.host

    def opened(job: Job) -> None:
        if after_s is not None:
            _cancel_at(upstream, job, upstream.clock.now_s() + after_s)
        if url is None:
            return
        callback = Callback(
            url,
            lambda job: shown(job, host, upstream),
            lambda letter_id, body: signed(
                [secret(upstream)], letter_id, upstream.clock.signing_unix_s(), body
            ),
            TEN_IN_TWO_HOURS,
        )
        if "completed" in events:
            callback.watch(upstream, job)
        if "start" in events and job.generation is not None:
            _tell_start(upstream, job, callback)

    async def said(reply: Reply, job: Job, visit: Visit) -> web.StreamResponse:
        in_time = wait_s > 0 and await job.wait(wait_s)
        return await _told(reply, job, visit, status=201, held=wait_s > 0, in_time=in_time)

    submitting = submitted(
        request,
        arrival,
        dialect=NAME,
        job_id=_job_id,
        said=said,
        asked=asked,
        opened=opened,
        blocks_later=True,
    )
    del arrival
    return await submitting


def _job_id(arrival: Arrival) -> str:
    return arrival.dice.hex("generation", 26)


def _wish(fields: dict[str, Any], model: str | None) -> Wish:
    given = fields.get("input")
    wanted: dict[str, Any] = given if isinstance(given, dict) else {}
    images = [wanted.get(name) for name in ("image", "input_image", "image_prompt")]
    version = fields.get("version")
    if model is None and not isinstance(version, str):
        raise ApiError(422, "- version is required")
    return Wish(
        prompt=wanted.get("prompt"),
        model=model or str(version),
        size=_RATIOS.get(str(wanted.get("aspect_ratio")), (1024, 1024)),
        n=vendor.number(wanted.get("num_outputs"), 1),
        output_format=_FORMATS.get(str(wanted.get("output_format")), "png"),
        images=tuple(image for image in images if isinstance(image, str)),
    )


def _wait_s(prefer: str) -> float:
    """`Prefer: wait` holds the request for 60 seconds, `wait=n` for so many; anything else not at all."""
    name, _, text = prefer.strip().partition("=")
    if name != "wait":
        return 0.0
    digits = text if text.isascii() and text.isdigit() and len(text) < 4 else ""
    return min(max(float(digits or WAIT_MOST_S), 1.0), WAIT_MOST_S)


def _deadline_s(text: str | None) -> float | None:
    """`Cancel-After: 1h2m3s`, from 5 seconds to 24 hours."""
    if text is None:
        return None
    match = _DURATION.fullmatch(text.strip())
    found_s = (
        sum(int(part or 0) * unit for part, unit in zip(match.groups(), (3_600, 60, 1), strict=True))
        if match
        else 0
    )
    if not 5 <= found_s <= 86_400:
        raise ApiError(422, "Cancel-After must be a duration from 5s to 24h, like 1m30s")
    return float(found_s)


def _cancel_at(upstream: Upstream, job: Job, at_s: float) -> None:
    asyncio.get_running_loop().call_at(upstream.clock.loop_instant(at_s), job.cancel)


def _tell_start(upstream: Upstream, job: Job, callback: Callback) -> None:
    def tell() -> None:
        if not job.over:
            callback.send(upstream, job, "start")

    at_s = job.row.started_s or 0.0
    asyncio.get_running_loop().call_at(upstream.clock.loop_instant(at_s), tell)


def shown(job: Job, host: str, upstream: Upstream, status: str | None = None) -> dict[str, Any]:
    """The prediction as it is now."""
    model, version = job.asked["model"], job.asked["version"]
    base = f"http://{host}/{NAME}/v1/predictions/{job.id}"
    made = job.state is State.SUCCEEDED
    begun = job.generation is not None and job.generation.begun and job.state is not State.ABORTED
    links = vendor.links(host, upstream, job) if made else []
    several = "num_outputs" in job.asked["input"]
    return {
        "id": job.id,
        "model": model or "mock/model",
        "version": version or "hidden",
        "input": job.asked["input"],
        "logs": "",
        "output": (links if several else links[0]) if made else None,
        "data_removed": False,
        "error": _error(job),
        "status": status or _STATUS[job.state],
        "created_at": vendor.iso(upstream, job.row.accepted_s),
        "started_at": vendor.iso(upstream, job.row.started_s) if begun else None,
        "completed_at": vendor.iso(upstream, job.finished_s),
        "metrics": {"predict_time": job.row.duration_s} if made else {},
        "urls": {"get": base, "cancel": f"{base}/cancel"},
    }


def _error(job: Job) -> str | None:
    if job.state is State.BLOCKED:
        return _SENSITIVE
    return "Prediction failed." if job.state is State.FAILED else None


async def _told(
    reply: Reply, job: Job, visit: Visit, *, status: int = 200, held: bool = False, in_time: bool = False
) -> web.StreamResponse:
    """The prediction; a held request that ran out of time says `starting`, whatever it is doing (client 1.0.7)."""
    visit.tells_done = job.over
    word = "starting" if held and not in_time else None
    return await reply.whole(
        [answers.pretty(shown(job, reply.request.host, reply.upstream, word))], status=status
    )


async def retrieve(request: web.Request) -> web.StreamResponse:
    """`GET /v1/predictions/{id}`."""
    return await visited(request, _find(request), _told)


async def cancel(request: web.Request) -> web.StreamResponse:
    """`POST /v1/predictions/{id}/cancel`."""
    job = _find(request)
    job.cancel()
    return await visited(request, job, _told, "cancel")


async def listed(request: web.Request) -> web.Response:
    """`GET /v1/predictions`: the newest first."""
    upstream, caller = request.app[UPSTREAM], caller_of(request)
    access.key_of(caller.key, upstream.settings)
    jobs = upstream.desk.all(NAME, caller.key_hash)[:100]
    results = [shown(job, request.host, upstream) for job in jobs]
    return answers.plain({"previous": None, "next": None, "results": results}, {})


async def webhook_secret(request: web.Request) -> web.Response:
    """`GET /v1/webhooks/default/secret`."""
    upstream = request.app[UPSTREAM]
    access.key_of(caller_of(request).key, upstream.settings)
    return answers.plain({"key": secret(upstream)}, {})


def secret(upstream: Upstream) -> str:
    """What this mock's webhooks are signed with."""
    return (
        "whsec_"
        + base64.b64encode(
            Dice(f"{NAME}/{upstream.settings.seed}".encode()).hex("secret", 48).encode()
        ).decode()
    )


def _find(request: web.Request) -> Job:
    missing = ApiError(404, "The requested resource could not be found.")
    return vendor.found(request, NAME, request.match_info["id"], missing)


_PREFIX = f"/{NAME}/v1"
_ROUTES: tuple[tuple[str, str, Callable[[web.Request], Any]], ...] = (
    ("POST", f"{_PREFIX}/models/{{owner}}/{{name}}/predictions", by_model),
    ("POST", f"{_PREFIX}/deployments/{{owner}}/{{name}}/predictions", by_model),
    ("POST", f"{_PREFIX}/predictions", by_version),
    ("GET", f"{_PREFIX}/predictions", listed),
    ("GET", f"{_PREFIX}/predictions/{{id}}", retrieve),
    ("POST", f"{_PREFIX}/predictions/{{id}}/cancel", cancel),
    ("GET", f"{_PREFIX}/webhooks/default/secret", webhook_secret),
)
register(Dialect(NAME, _ROUTES, key=key, refusal=refusal))
