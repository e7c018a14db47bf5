"""Black Forest Labs: a submit with a `polling_url`, states in words, moderation told at either stage.

From docs.bfl.ai (states, 402, 422, 429). Unverified, and marked so below: the bound of 24 active tasks,
the ten minutes of a link, the webhook's header and body.
"""

from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from whocut_mock import answers, vendor
from whocut_mock.arrival import Arrival
from whocut_mock.dialects import register
from whocut_mock.errors import ApiError
from whocut_mock.jobs import Job, State
from whocut_mock.postman import TEN_IN_TWO_HOURS
from whocut_mock.reply import Reply
from whocut_mock.speech import Dialect
from whocut_mock.upstream import UPSTREAM, Upstream
from whocut_mock.vendor import Callback, Wish
from whocut_mock.visits import Visit, submitted, visited

NAME = "bfl"
ENDPOINT = "bfl.tasks"
ACTIVE_MOST = 24  # unverified
_STATUS = {
    State.QUEUED: "Pending",
    State.RUNNING: "Pending",
    State.SUCCEEDED: "Ready",
    State.FAILED: "Error",
    State.CANCELLED: "Error",
    State.ABORTED: "Error",
}
_NOT_FOUND = "Task not found"


def key(headers: Mapping[str, str]) -> str | None:
    """The `x-key` header."""
    return headers.get("x-key")


def refusal(error: ApiError, headers: Mapping[str, str]) -> web.Response:
    """`detail`; no money is 402, and what is wrong with a field is 422 with the place of it."""
    detail: Any = error.message
    status = error.status
    if status == 401:
        status, detail = 403, "Not authenticated"
    elif status == 400:
        status = 422
        detail = [
            {"loc": ["body", error.param or ""], "msg": error.message, "type": error.code or "value_error"}
        ]
    elif error.type == "insufficient_quota":
        status, detail = 402, "Insufficient credits"
    return web.json_response({"detail": detail}, status=status, headers={**headers, **error.headers})


async def submit(request: web.Request) -> web.StreamResponse:
    """`POST /v1/{model}`."""
    upstream, model, host = request.app[UPSTREAM], request.match_info["model"], request.host
    arrival, asked = await vendor.arrived(request, ENDPOINT, lambda fields: _wish(fields, model))
    url = vendor.callback_url(asked.get("webhook_url"), upstream, "webhook_url")
    secret = asked.get("webhook_secret")
    _check_active(upstream, arrival.caller.key_hash)

    def opened(job: Job) -> None:
        if url is not None:  # the header and the body are unverified
            sent = {"X-Webhook-Secret": secret} if isinstance(secret, str) else {}
            Callback(url, lambda job: shown(job, host, upstream), lambda *_: sent, TEN_IN_TWO_HOURS).watch(
                upstream, job
            )

    async def said(reply: Reply, job: Job, _: Visit) -> web.StreamResponse:
        polling_url = f"http://{host}/{NAME}/v1/get_result?id={job.id}"
        return await reply.whole([answers.pretty({"id": job.id, "polling_url": polling_url})])

    submitting = submitted(
        request,
        arrival,
        dialect=NAME,
        job_id=_job_id,
        said=said,
        asked={"prompt": asked.get("prompt"), "seed": asked.get("seed")},
        opened=opened,
        blocks_later=True,
    )
    del arrival
    return await submitting


def _job_id(arrival: Arrival) -> str:
    return arrival.dice.hex("generation", 32)


def _wish(fields: dict[str, Any], model: str) -> Wish:
    width, height = vendor.number(fields.get("width"), 1024), vendor.number(fields.get("height"), 1024)
    shape = (1024, 1024) if width == height else (1536, 1024) if width > height else (1024, 1536)
    images = [fields.get(name) for name in ("image_prompt", "input_image", "image")]
    return Wish(
        prompt=fields.get("prompt"),
        model=model,
        size=shape,
        output_format="png" if fields.get("output_format") == "png" else "jpeg",
        images=tuple(f"data:image/png;base64,{image}" for image in images if isinstance(image, str)),
    )


def _check_active(upstream: Upstream, key_hash: str | None) -> None:
    active = sum(not job.over for job in upstream.desk.all(NAME, key_hash))
    if active >= ACTIVE_MOST:
        raise ApiError(
            429, f"Too many active tasks: at most {ACTIVE_MOST} at once", code="rate_limit_exceeded"
        )


async def get_result(request: web.Request) -> web.StreamResponse:
    """`GET polling_url`; an id that is known no more is a state, not an error."""
    name = request.query.get("id", "")
    try:
        job = vendor.found(request, NAME, name, ApiError(404, _NOT_FOUND))
    except ApiError as missing:
        if missing.message != _NOT_FOUND:
            raise
        return web.json_response({"id": name, "status": _NOT_FOUND, "result": None}, status=404)

    async def said(reply: Reply, job: Job, visit: Visit) -> web.StreamResponse:
        visit.tells_done = job.over
        return await reply.whole([answers.pretty(shown(job, reply.request.host, reply.upstream))])

    return await visited(request, job, said)


def shown(job: Job, host: str, upstream: Upstream) -> dict[str, Any]:
    """The task as it is now."""
    told: dict[str, Any] = {
        "id": job.id,
        "status": _status(job),
        "result": None,
        "progress": job.progress,
        "details": None,
    }
    if job.block is not None and job.over:
        told["details"] = {"Moderation Reasons": list(job.block.categories)}
    if vendor.succeeded(job):
        epoch = upstream.clock.epoch_unix_s
        told["result"] = {
            "sample": vendor.links(host, upstream, job)[0],
            "prompt": job.asked["prompt"],
            "seed": job.asked["seed"] or 0,
            "start_time": epoch + (job.row.started_s or 0),
            "end_time": epoch + (job.row.finished_s or 0),
            "duration": job.row.duration_s,
        }
    return told


def _status(job: Job) -> str:
    if job.state is State.BLOCKED:
        early = job.block is not None and job.block.stage == "input"
        return "Request Moderated" if early else "Content Moderated"
    return _STATUS[job.state]


_ROUTES: tuple[tuple[str, str, Callable[[web.Request], Any]], ...] = (
    ("GET", f"/{NAME}/v1/get_result", get_result),
    ("POST", f"/{NAME}/v1/{{model}}", submit),
)
register(Dialect(NAME, _ROUTES, key=key, refusal=refusal))
