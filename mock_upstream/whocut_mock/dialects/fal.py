"""fal's queue: a submit that answers with its own URLs, a status that is 202 until it is done, a result to fetch.

From the official client 1.0.3 and fal's documentation: the URLs of an answer are to be used as they are; the queue
itself tries up to ten times again what met 503 or 504; a direct run is never tried again; a time limit of the
caller's own is a 504 with its type in a header. The webhook is not signed here: how fal signs is unverified.
"""

from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from whocut_mock import answers, errors, vendor
from whocut_mock.answers import Facts
from whocut_mock.arrival import Arrival
from whocut_mock.caller import of_scheme
from whocut_mock.dialects import register
from whocut_mock.errors import ApiError
from whocut_mock.generation import Generation
from whocut_mock.jobs import Job, State
from whocut_mock.moderation import Block
from whocut_mock.parameters import Order
from whocut_mock.postman import TEN_IN_TWO_HOURS
from whocut_mock.reply import Reply
from whocut_mock.service import Retrying, serve_arrival
from whocut_mock.speech import Dialect
from whocut_mock.upstream import UPSTREAM, Upstream
from whocut_mock.vendor import Callback, Wish
from whocut_mock.visits import RESULT, Visit, submitted, visited

NAME = "fal"
ENDPOINT, RUN = "fal.queue", "fal.run"
TIMEOUT_HEADER, TIMEOUT_TYPE = "X-Fal-Request-Timeout", "X-Fal-Request-Timeout-Type"
# "up to 10 times" on 503 and 504; the waits between are ours.
RETRIES = Retrying(statuses=frozenset({503, 504}), tries=10, first_s=1.0, factor=2.0, most_s=30.0)
_TOO_EARLY = "request_in_progress"
_SIZES = {
    "square_hd": (1024, 1024),
    "square": (1024, 1024),
    "portrait_4_3": (1024, 1536),
    "portrait_16_9": (1024, 1536),
    "landscape_4_3": (1536, 1024),
    "landscape_16_9": (1536, 1024),
}


def key(headers: Mapping[str, str]) -> str | None:
    """`Authorization: Key …`."""
    return of_scheme("key", headers)


def refusal(error: ApiError, headers: Mapping[str, str]) -> web.Response:
    """`detail`, and its kind in a header; what is wrong with an input is 422 with the place of it."""
    if error.status == 400 and error.code != _TOO_EARLY:
        place = ["body", *(error.param or "").split(".")]
        detail: Any = [{"loc": place, "msg": error.message, "type": error.code or "value_error"}]
        return web.json_response({"detail": detail}, status=422, headers=dict(headers))
    kinds = {"X-Fal-Error-Type": error.code} if error.code else {}
    said = "Authentication is required to access this application." if error.status == 401 else error.message
    return web.json_response(
        {"detail": said}, status=error.status, headers={**headers, **kinds, **error.headers}
    )


def headers(facts: Facts) -> dict[str, str]:
    """The id of a request, by which the client tells fal's own answers from those of a gateway before it."""
    return answers.plain_headers(facts) | {"x-fal-request-id": facts.request_id.removeprefix("req_")}


def _wish(fields: dict[str, Any], app: str) -> Wish:
    size = fields.get("image_size")
    images = [fields.get("image_url"), *(fields.get("image_urls") or [])]
    output_format = fields.get("output_format")
    return Wish(
        prompt=fields.get("prompt"),
        model=app,
        size=_SIZES.get(size, (1024, 1024)) if isinstance(size, str) else (1024, 1024),
        n=vendor.number(fields.get("num_images"), 1),
        output_format=output_format if output_format in ("png", "jpeg", "webp") else "jpeg",
        images=tuple(image for image in images if isinstance(image, str)),
    )


async def submit(request: web.Request) -> web.StreamResponse:
    """`POST queue.fal.run/{app}`."""
    upstream, app = request.app[UPSTREAM], request.match_info["app"]
    url = vendor.callback_url(request.query.get("fal_webhook"), upstream, "fal_webhook")
    arrival, asked = await vendor.arrived(request, ENDPOINT, lambda fields: _wish(fields, app))
    asked, host = {"app": app, "prompt": asked.get("prompt")}, request.host

    def opened(job: Job) -> None:
        if url is not None:
            Callback(url, lambda job: told_back(job, host, upstream), lambda *_: {}, TEN_IN_TWO_HOURS).watch(
                upstream, job
            )

    async def said(reply: Reply, job: Job, _: Visit) -> web.StreamResponse:
        body = {"status": "IN_QUEUE", "queue_position": 0, **_urls(job, host)}
        return await reply.whole([answers.pretty(body)])

    submitting = submitted(
        request,
        arrival,
        dialect=NAME,
        job_id=_job_id,
        said=said,
        asked=asked,
        opened=opened,
        blocks_later=True,
        retrying=RETRIES,
    )
    del arrival
    return await submitting


def _job_id(arrival: Arrival) -> str:
    """An id that looks as a UUID does."""
    digits = arrival.dice.hex("generation", 32)
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _urls(job: Job, host: str) -> dict[str, str]:
    """The URLs of a request; they name the application without its subpath."""
    app = "/".join(str(job.asked["app"]).split("/")[:2])
    base = f"http://{host}/{NAME}/queue/{app}/requests/{job.id}"
    return {
        "request_id": job.id,
        "response_url": base,
        "status_url": f"{base}/status",
        "cancel_url": f"{base}/cancel",
    }


async def status(request: web.Request) -> web.StreamResponse:
    """`GET status_url`: 202 while it is queued or in progress, 200 when it is complete."""

    async def said(reply: Reply, job: Job, visit: Visit) -> web.StreamResponse:
        body: dict[str, Any] = {"status": "IN_PROGRESS", "logs": None, **_urls(job, reply.request.host)}
        if job.state is State.QUEUED:
            body |= {"status": "IN_QUEUE", "queue_position": 0}
        elif job.over:
            visit.tells_done = True
            body |= {"status": "COMPLETED", "metrics": {"inference_time": job.row.duration_s}}
            if not vendor.succeeded(job):
                body |= {"error": _failure(job).message, "error_type": _failure(job).code}
        return await reply.whole([answers.pretty(body)], status=200 if job.over else 202)

    return await visited(request, _find(request), said)


async def result(request: web.Request) -> web.StreamResponse:
    """`GET response_url`: what it made, or why it made nothing."""
    job = _find(request)
    if not job.over:
        raise ApiError(400, "Request is still in progress", code=_TOO_EARLY)

    async def said(reply: Reply, job: Job, visit: Visit) -> web.StreamResponse:
        visit.tells_done = True
        if not vendor.succeeded(job):
            await reply.open_refusal(_failure(job))
            return await reply.end()
        return await reply.whole([answers.pretty(made(job, reply.request.host, reply.upstream))])

    return await visited(request, job, said, RESULT)


async def cancel(request: web.Request) -> web.StreamResponse:
    """`PUT cancel_url`."""
    job = _find(request)
    cancelled = job.cancel()

    async def said(reply: Reply, _: Job, visit: Visit) -> web.StreamResponse:
        visit.tells_done = True
        word = "CANCELLATION_REQUESTED" if cancelled else "ALREADY_COMPLETED"
        return await reply.whole([answers.pretty({"status": word})], status=202 if cancelled else 400)

    return await visited(request, job, said, "cancel")


def made(job: Job, host: str, upstream: Upstream) -> dict[str, Any]:
    """The result of an image application."""
    return {
        "images": [_image(url, job.order) for url in vendor.links(host, upstream, job)],
        "timings": {"inference": job.row.duration_s},
        "seed": 0,
        "has_nsfw_concepts": [False] * job.order.n,
        "prompt": job.asked["prompt"],
    }


def _image(url: str, order: Order) -> dict[str, Any]:
    width, height = order.size
    return {"url": url, "width": width, "height": height, "content_type": f"image/{order.output_format}"}


def told_back(job: Job, host: str, upstream: Upstream) -> dict[str, Any]:
    """The body of the webhook."""
    told: dict[str, Any] = {"request_id": job.id, "gateway_request_id": job.id}
    if vendor.succeeded(job):
        return told | {"status": "OK", "payload": made(job, host, upstream)}
    return told | {"status": "ERROR", "error": _failure(job).message, "payload": None}


def _failure(job: Job) -> ApiError:
    if job.failure is not None:
        return job.failure
    if job.state is State.BLOCKED:
        said = (
            "The content could not be processed because it contained material flagged by a content checker."
        )
        return ApiError(400, said, code="content_policy_violation", param="prompt")
    if job.state in (State.CANCELLED, State.ABORTED):
        return ApiError(499, "Request was cancelled", code="client_cancelled")
    return ApiError(500, "Internal Server Error", code="internal_server_error")


def _find(request: web.Request) -> Job:
    return vendor.found(request, NAME, request.match_info["id"], ApiError(404, "Request not found"))


async def run(request: web.Request) -> web.StreamResponse:
    """`POST fal.run/{app}`: answered when it is done, and never tried again."""
    upstream, app = request.app[UPSTREAM], request.match_info["app"]
    arrival, asked = await vendor.arrived(request, RUN, lambda fields: _wish(fields, app))
    limit_s = _limit_s(request.headers.get(TIMEOUT_HEADER))

    async def answer(
        reply: Reply, upstream: Upstream, order: Order, generation: Generation, block: Block | None
    ) -> web.StreamResponse:
        await reply.work_begun()
        if limit_s is not None and (generation.row.duration_s or 0.0) > limit_s:
            await reply.sleep_s(limit_s)
            return await reply.refuse(
                ApiError(504, "Request timed out", code="request_timeout", headers={TIMEOUT_TYPE: "user"})
            )
        await generation.finished()
        if block is not None:
            said = "The content could not be processed because it contained material flagged by a content checker."
            return await reply.refuse(ApiError(400, said, code="content_policy_violation", param="prompt"))
        name, until_s = generation.row.generation, upstream.clock.now_s() + upstream.settings.jobs.kept_s
        names = [upstream.shelf.put(order, f"{name}/{index}", until_s) for index in range(order.n)]
        images = [_image(f"http://{request.host}/content/{one}", order) for one in names]
        body = {"images": images, "seed": 0, "prompt": asked.get("prompt")}
        return await reply.whole([answers.pretty(body)])

    answering = serve_arrival(request, upstream, arrival, answer)
    del arrival
    return await answering


def _limit_s(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        raise errors.wrong_type(TIMEOUT_HEADER, "a number of seconds", "a string") from None


_QUEUE = f"/{NAME}/queue/{{app:.+}}"
_ROUTES: tuple[tuple[str, str, Callable[[web.Request], Any]], ...] = (
    ("GET", f"{_QUEUE}/requests/{{id}}/status", status),
    ("PUT", f"{_QUEUE}/requests/{{id}}/cancel", cancel),
    ("GET", f"{_QUEUE}/requests/{{id}}", result),
    ("POST", _QUEUE, submit),
    ("POST", f"/{NAME}/run/{{app:.+}}", run),
)
register(Dialect(NAME, _ROUTES, key=key, refusal=refusal, headers=headers))
