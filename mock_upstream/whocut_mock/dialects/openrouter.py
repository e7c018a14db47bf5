"""OpenRouter: images plain and streamed, the videos API that survived Sora's, chat with pictures.

From the official client 1.3.84 (paths, fields, statuses, 202 of a submit) and OpenRouter's pages on video webhooks;
the comments of a silent stream are those that clients of it report. How often they come and how a callback is
signed is unverified: here by Standard Webhooks.
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from aiohttp import web

from whocut_mock import answers, chat, models, moderation, pictures, shelf, vendor
from whocut_mock.arrival import Arrival
from whocut_mock.dialects import register
from whocut_mock.errors import ApiError
from whocut_mock.generation import Generation
from whocut_mock.jobs import Job, State
from whocut_mock.moderation import Block
from whocut_mock.parameters import Order
from whocut_mock.postman import STANDARD, signed
from whocut_mock.reply import Reply
from whocut_mock.service import serve_arrival
from whocut_mock.speech import Dialect
from whocut_mock.stream import CONTENT_TYPE, DONE_MARKER, beat_until
from whocut_mock.upstream import UPSTREAM, Upstream
from whocut_mock.vendor import Callback, Wish
from whocut_mock.visits import RESULT, Visit, submitted, visited

NAME = "openrouter"
IMAGES, VIDEOS = "openrouter.images", "openrouter.videos"
PROCESSING = b": OPENROUTER PROCESSING\n\n"
BEAT_S = 10.0  # unverified
SECRET = "whsec_b3BlbnJvdXRlci1tb2NrLWNhbGxiYWNr"  # noqa: S105 - a workspace's secret of this mock
_STATUS = {
    State.QUEUED: "pending",
    State.RUNNING: "in_progress",
    State.SUCCEEDED: "completed",
    State.BLOCKED: "failed",
    State.FAILED: "failed",
    State.CANCELLED: "cancelled",
    State.ABORTED: "cancelled",
}
_RATIOS = {
    "1:1": (1024, 1024),
    "2:3": (1024, 1536),
    "3:2": (1536, 1024),
    "16:9": (1536, 1024),
    "9:16": (1024, 1536),
}
_STREAMS = "openai/"  # "partials only from OpenAI models"


def refusal(error: ApiError, headers: Mapping[str, str]) -> web.Response:
    """The status once more in the body; no money is 402."""
    status = 402 if error.type == "insufficient_quota" else error.status
    metadata = {"error_type": error.code} if error.code else {}
    said = "No auth credentials found" if status == 401 else error.message
    body = {"error": {"code": status, "message": said, "metadata": metadata}}
    return web.json_response(body, status=status, headers={**headers, **error.headers})


def _wish(fields: dict[str, Any], *, video: bool = False) -> Wish:
    model = fields.get("model")
    if not isinstance(model, str):
        raise ApiError(400, "model is required", code="missing_required_parameter", param="model")
    references = fields.get("input_references") or []
    images = [_url(one) for one in references] if isinstance(references, list) else []
    output_format = fields.get("output_format")
    stream = fields.get("stream") is True and model.startswith(_STREAMS) and not video
    return Wish(
        prompt=fields.get("prompt"),
        model=model,
        size=_RATIOS.get(str(fields.get("aspect_ratio")), models.SQUARE),
        n=vendor.number(fields.get("n"), 1),
        output_format=output_format if output_format in ("png", "jpeg", "webp") else "png",
        images=tuple(image for image in images if image),
        stream=stream,
        partial_images=2 if stream else 0,
        video=video,
    )


def _url(part: Any) -> str:
    url = part.get("image_url", {}).get("url") if isinstance(part, dict) else None
    return url if isinstance(url, str) else ""


async def images(request: web.Request) -> web.StreamResponse:
    """`POST /api/v1/images`."""
    upstream = request.app[UPSTREAM]
    arrival, _ = await vendor.arrived(request, IMAGES, _wish)

    async def answer(
        reply: Reply, upstream: Upstream, order: Order, generation: Generation, block: Block | None
    ) -> web.StreamResponse:
        return await (_stream if order.stream else _plain)(reply, upstream, order, generation, block)

    answering = serve_arrival(request, upstream, arrival, answer)
    del arrival
    return await answering


def _usage(generation: Generation) -> dict[str, Any]:
    used = generation.usage
    return {
        "prompt_tokens": used.text_in + used.image_in,
        "completion_tokens": used.image_out,
        "total_tokens": used.tokens,
        "cost": used.usd,
    }


async def _plain(
    reply: Reply, upstream: Upstream, order: Order, generation: Generation, block: Block | None
) -> web.StreamResponse:
    await reply.work_begun()
    await generation.finished()
    if block is not None:
        return await reply.refuse(moderation.refusal(block, generation.row.request_id))
    data = {"b64_json": pictures.PICTURE, "media_type": shelf.media_type(order)}
    body = {"created": upstream.clock.unix_s(), "data": [data] * order.n, "usage": _usage(generation)}
    names = [f"{generation.row.generation}/{index}" for index in range(order.n)]
    return await reply.whole(pictures.filled(orjson.dumps(body), order, upstream.press, names))


async def _stream(
    reply: Reply, upstream: Upstream, order: Order, generation: Generation, block: Block | None
) -> web.StreamResponse:
    """A comment after each silence, the partial images at their times, the picture with its bill."""
    row, clock = generation.row, upstream.clock

    def event(names: list[str], **facts: Any) -> list[bytes]:
        return pictures.filled(b"data: %b\n\n" % orjson.dumps(facts), order, upstream.press, names)

    def failing(error: ApiError) -> list[bytes]:
        return event(
            [], type="error", error={"message": error.message, "code": error.code, "type": error.type}
        )

    reply.streams(failing)
    await reply.work_begun()
    await reply.begin(CONTENT_TYPE)
    await reply.write([PROCESSING])
    for index, planned_s in enumerate(row.partials_s):
        await beat_until(planned_s, BEAT_S, reply, clock, PROCESSING)
        generation.partial_sent(index)
        kind = "image_generation.partial_image"
        name = f"{row.generation}/partial/{index}"
        await reply.write(event([name], type=kind, partial_image_index=index, b64_json=pictures.PICTURE))
    await beat_until((row.started_s or 0.0) + (row.duration_s or 0.0), BEAT_S, reply, clock, PROCESSING)
    await generation.finished()
    if block is not None:
        error = moderation.refusal(block, row.request_id)
        await reply.write(failing(error))
        return await reply.end_without_picture(error.code)
    last = event(
        [f"{row.generation}/0"],
        type="image_generation.completed",
        b64_json=pictures.PICTURE,
        created=clock.unix_s(),
        media_type=shelf.media_type(order),
        usage=_usage(generation),
    )
    await reply.last([*last, DONE_MARKER])
    return await reply.end()


async def videos(request: web.Request) -> web.StreamResponse:
    """`POST /api/v1/videos`: 202 and a `polling_url`."""
    upstream, host = request.app[UPSTREAM], request.host
    arrival, asked = await vendor.arrived(request, VIDEOS, lambda fields: _wish(fields, video=True))
    url = vendor.callback_url(asked.get("callback_url"), upstream, "callback_url")

    def opened(job: Job) -> None:
        if url is None:
            return

        def headers(letter_id: str, body: bytes) -> Mapping[str, str]:
            return signed([SECRET], letter_id, upstream.clock.signing_unix_s(), body)

        def body(job: Job) -> dict[str, Any]:
            return {"type": f"video.generation.{_STATUS[job.state]}", "data": shown(job, host, upstream)}

        Callback(url, body, headers, STANDARD).watch(upstream, job)

    async def said(reply: Reply, job: Job, _: Visit) -> web.StreamResponse:
        told = {"id": job.id, "polling_url": _polling_url(job, host), "status": "pending"}
        return await reply.whole([answers.pretty(told)], status=202)

    submitting = submitted(request, arrival, dialect=NAME, job_id=_job_id, said=said, asked={}, opened=opened)
    del arrival
    return await submitting


def _job_id(arrival: Arrival) -> str:
    return f"vgen_{arrival.dice.hex('generation', 24)}"


def _polling_url(job: Job, host: str) -> str:
    return f"http://{host}/{NAME}/api/v1/videos/{job.id}"


def shown(job: Job, host: str, upstream: Upstream) -> dict[str, Any]:
    """The video's job as it is now; `urls` need no key, `unsigned_urls` do."""
    told: dict[str, Any] = {
        "id": job.id,
        "polling_url": _polling_url(job, host),
        "status": _STATUS[job.state],
        "generation_id": f"gen-{job.row.generation.removeprefix('gen_')}",
    }
    if vendor.succeeded(job):
        assert job.generation is not None
        told |= {
            "urls": vendor.links(host, upstream, job),
            "unsigned_urls": [f"{_polling_url(job, host)}/content?index=0"],
            "expires_at": int(upstream.clock.epoch_unix_s + (job.record.expires_s or 0)),
            "usage": {"cost": job.generation.usage.usd, "is_byok": False},
        }
    elif job.over:
        told["error"] = "The request was moderated." if job.state is State.BLOCKED else "Generation failed"
    return told


async def video(request: web.Request) -> web.StreamResponse:
    """`GET /api/v1/videos/{id}`."""

    async def said(reply: Reply, job: Job, visit: Visit) -> web.StreamResponse:
        visit.tells_done = job.over
        return await reply.whole([answers.pretty(shown(job, reply.request.host, reply.upstream))])

    return await visited(request, _find(request), said)


async def content(request: web.Request) -> web.StreamResponse:
    """`GET /api/v1/videos/{id}/content`: the film itself, for who has the key."""
    job = _find(request)
    if not vendor.succeeded(job):
        raise ApiError(404, "The video is not available", code="not_found")

    async def said(reply: Reply, job: Job, visit: Visit) -> web.StreamResponse:
        visit.carries_picture = True
        film = shelf.printed(job.order, f"{job.row.generation}/0", reply.upstream.press)
        return await reply.whole([film], content_type="video/mp4")

    return await visited(request, job, said, RESULT)


def _find(request: web.Request) -> Job:
    missing = ApiError(404, "Video generation not found", code="not_found")
    return vendor.found(request, NAME, request.match_info["id"], missing)


_PREFIX = f"/{NAME}/api/v1"
_ROUTES: tuple[tuple[str, str, Callable[[web.Request], Any]], ...] = (
    ("POST", f"{_PREFIX}/images", images),
    ("POST", f"{_PREFIX}/videos", videos),
    ("GET", f"{_PREFIX}/videos/{{id}}", video),
    ("GET", f"{_PREFIX}/videos/{{id}}/content", content),
    ("POST", f"{_PREFIX}/chat/completions", chat.completions),
)
register(Dialect(NAME, _ROUTES, refusal=refusal))
