"""The resellers' way: OpenAI's paths answer with a task's id, and `/v1/tasks/{id}` is asked until it is done.

From the threads of clients that adapt to it (APIMart, apib, SVRouter, sub2api); there is no official SDK and no
document that all of them follow, so names beside `task_id`, `status` and `result.images[].url` are unverified.
"""

from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from whocut_mock import answers, vendor
from whocut_mock.arrival import Arrival
from whocut_mock.dialects import register
from whocut_mock.errors import ApiError
from whocut_mock.jobs import Job, State
from whocut_mock.reply import Reply
from whocut_mock.speech import Dialect
from whocut_mock.vendor import Wish
from whocut_mock.visits import Visit, submitted, visited

NAME = "tasks"
ENDPOINT = "tasks.images"
_STATUS = {
    State.QUEUED: "pending",
    State.RUNNING: "processing",
    State.SUCCEEDED: "completed",
    State.BLOCKED: "failed",
    State.FAILED: "failed",
    State.CANCELLED: "cancelled",
    State.ABORTED: "cancelled",
}
_SIZES = {"1024x1024": (1024, 1024), "1024x1536": (1024, 1536), "1536x1024": (1536, 1024)}


def refusal(error: ApiError, headers: Mapping[str, str]) -> web.Response:
    """The status once more in the body."""
    body = {"error": {"code": error.status, "message": error.message, "type": error.code or error.type}}
    return web.json_response(body, status=error.status, headers={**headers, **error.headers})


async def submit(request: web.Request) -> web.StreamResponse:
    """`POST /v1/images/generations`."""
    arrival, _ = await vendor.arrived(request, ENDPOINT, _wish)

    async def said(reply: Reply, job: Job, _: Visit) -> web.StreamResponse:
        body = {"code": 200, "data": [{"status": "submitted", "task_id": job.id}]}
        return await reply.whole([answers.pretty(body)])

    submitting = submitted(
        request, arrival, dialect=NAME, job_id=_job_id, said=said, asked={}, blocks_later=True
    )
    del arrival
    return await submitting


def _job_id(arrival: Arrival) -> str:
    return f"task_{arrival.dice.hex('generation', 26).upper()}"


def _wish(fields: dict[str, Any]) -> Wish:
    images = fields.get("image_urls") or []
    return Wish(
        prompt=fields.get("prompt"),
        model=str(fields.get("model") or "gpt-image-2"),
        size=_SIZES.get(str(fields.get("size")), (1024, 1024)),
        n=vendor.number(fields.get("n"), 1),
        images=tuple(image for image in images if isinstance(image, str)) if isinstance(images, list) else (),
    )


async def retrieve(request: web.Request) -> web.StreamResponse:
    """`GET /v1/tasks/{id}`."""
    missing = ApiError(404, "task not found", code="task_not_found")
    job = vendor.found(request, NAME, request.match_info["id"], missing)

    async def said(reply: Reply, job: Job, visit: Visit) -> web.StreamResponse:
        visit.tells_done = job.over
        upstream, host = reply.upstream, reply.request.host
        epoch = upstream.clock.epoch_unix_s
        told: dict[str, Any] = {
            "id": job.id,
            "status": _STATUS[job.state],
            "progress": round(job.progress * 100),
            "created": int(epoch + (job.row.accepted_s or 0)),
            "completed": None if job.finished_s is None else int(epoch + job.finished_s),
            "actual_time": job.row.duration_s if vendor.succeeded(job) else None,
        }
        if vendor.succeeded(job):
            expires = int(epoch + (job.record.expires_s or 0))
            images = [{"url": [url], "expires_at": expires} for url in vendor.links(host, upstream, job)]
            told["result"] = {"images": images}
        elif job.over:
            blocked = job.state is State.BLOCKED
            said = "content policy violation" if blocked else "task failed"
            told["error"] = {"code": 400 if blocked else 500, "message": said, "type": "task_failed"}
        return await reply.whole([answers.pretty({"code": 200, "data": told})])

    return await visited(request, job, said)


_ROUTES: tuple[tuple[str, str, Callable[[web.Request], Any]], ...] = (
    ("POST", f"/{NAME}/v1/images/generations", submit),
    ("GET", f"/{NAME}/v1/tasks/{{id}}", retrieve),
    ("GET", f"/{NAME}/v1/images/tasks/{{id}}", retrieve),
)
register(Dialect(NAME, _ROUTES, refusal=refusal))
