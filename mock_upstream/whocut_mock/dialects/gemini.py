"""Gemini: pictures by `generateContent` and `predict`, Veo's films by operations that are asked for until done.

From the official client google-genai 3.6.1, which asks under `/v1` by itself and sends a timeout of its caller's as
`X-Server-Timeout`; errors with their canonical status as clients have met them. What becomes of work whose deadline
has passed is unverified: here it runs on and is billed.
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from aiohttp import web

from whocut_mock import answers, pictures, shelf, vendor
from whocut_mock.arrival import Arrival
from whocut_mock.caller import bearer
from whocut_mock.dialects import register
from whocut_mock.errors import ApiError
from whocut_mock.generation import Generation
from whocut_mock.jobs import Job, State
from whocut_mock.moderation import Block
from whocut_mock.parameters import Order
from whocut_mock.reply import Reply
from whocut_mock.service import serve_arrival
from whocut_mock.speech import Dialect
from whocut_mock.stream import CONTENT_TYPE
from whocut_mock.upstream import UPSTREAM, Upstream
from whocut_mock.vendor import Wish
from whocut_mock.visits import RESULT, Visit, submitted, visited

NAME = "gemini"
CONTENT, PREDICT, VEO = "gemini.generateContent", "gemini.predict", "gemini.predictLongRunning"
_CANONICAL = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_INTERNAL, _CANCELLED = 13, 1  # google.rpc.Code
_RATIOS = {
    "1:1": (1024, 1024),
    "2:3": (1024, 1536),
    "3:4": (1024, 1536),
    "9:16": (1024, 1536),
    "3:2": (1536, 1024),
    "4:3": (1536, 1024),
    "16:9": (1536, 1024),
}
_FILTERED = (
    "We encountered an issue with the prompt you submitted, which could violate Google's usage guidelines."
    " Please try rephrasing the prompt."
)


def key(headers: Mapping[str, str]) -> str | None:
    """The `x-goog-api-key` header, or the token of an account."""
    return headers.get("x-goog-api-key") or bearer(headers)


def refusal(error: ApiError, headers: Mapping[str, str]) -> web.Response:
    """The envelope of google.rpc: code, message, canonical status; a wait is in the details."""
    status, message = error.status, error.message
    if status == 401:
        wrong = error.code == "invalid_api_key"
        status = 400 if wrong else 403
        message = (
            "API key not valid. Please pass a valid API key."
            if wrong
            else "Method doesn't allow unregistered callers (callers without established identity)."
            " Please use API Key or other form of API consumer identity to call this API."
        )
    told: dict[str, Any] = {"code": status, "message": message, "status": _CANONICAL.get(status, "UNKNOWN")}
    if "retry-after" in error.headers:
        retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo"}
        told["details"] = [retry | {"retryDelay": f"{error.headers['retry-after']}s"}]
    return web.json_response({"error": told}, status=status, headers=dict(headers))


def _texts_and_images(contents: Any) -> tuple[str | None, tuple[str, ...]]:
    texts: list[str] = []
    images: list[str] = []
    for content in contents if isinstance(contents, list) else [contents]:
        parts = content.get("parts") if isinstance(content, dict) else None
        for part in parts if isinstance(parts, list) else []:
            if not isinstance(part, dict):
                continue
            if isinstance(part.get("text"), str):
                texts.append(part["text"])
            inline = part.get("inlineData")
            if isinstance(inline, dict) and isinstance(inline.get("data"), str):
                images.append(f"data:{inline.get('mimeType')};base64,{inline['data']}")
    return "\n".join(texts) or None, tuple(images)


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _content_wish(fields: dict[str, Any], model: str) -> Wish:
    prompt, images = _texts_and_images(fields.get("contents"))
    config = _table(_table(fields.get("generationConfig")).get("imageConfig"))
    size = _RATIOS.get(str(config.get("aspectRatio")), (1024, 1024))
    return Wish(prompt=prompt, model=model, size=size, images=images)


def _instance_wish(fields: dict[str, Any], model: str, *, video: bool) -> Wish:
    instances, parameters = fields.get("instances"), _table(fields.get("parameters"))
    instance = _table(instances[0]) if isinstance(instances, list) and instances else {}
    image = _table(instance.get("image")).get("bytesBase64Encoded")
    return Wish(
        prompt=instance.get("prompt"),
        model=model,
        size=_RATIOS.get(str(parameters.get("aspectRatio")), (1536, 1024) if video else (1024, 1024)),
        n=1 if video else vendor.number(parameters.get("sampleCount"), 1),
        images=(f"data:image/png;base64,{image}",) if isinstance(image, str) else (),
        video=video,
    )


async def generate(request: web.Request) -> web.StreamResponse:
    """`POST models/{model}:generateContent`, and `:streamGenerateContent`, whose picture is its only chunk."""
    model, streams = request.match_info["model"], "stream" in request.match_info["verb"]

    async def answer(
        reply: Reply, upstream: Upstream, order: Order, generation: Generation, block: Block | None
    ) -> web.StreamResponse:
        await reply.work_begun()
        if late := await _deadline(request, reply, generation):
            return late
        await generation.finished()
        text = orjson.dumps(_candidates(order, generation, block))
        names = [] if block else [f"{generation.row.generation}/0"]
        buffers = pictures.filled(text, order, upstream.press, names)
        if streams:
            await reply.begin(f"{CONTENT_TYPE}")
            await reply.last([b"data: ", *buffers, b"\r\n\r\n"])
        else:
            await reply.begin("application/json; charset=UTF-8", length_bytes=sum(map(len, buffers)))
            await reply.last(buffers)
        return await (reply.end() if block is None else reply.end_without_picture("moderation_blocked"))

    return await _answered(request, CONTENT, lambda fields: _content_wish(fields, model), answer)


async def predict(request: web.Request) -> web.StreamResponse:
    """`POST models/{model}:predict`, as Imagen is asked."""
    model = request.match_info["model"]

    async def answer(
        reply: Reply, upstream: Upstream, order: Order, generation: Generation, block: Block | None
    ) -> web.StreamResponse:
        await reply.work_begun()
        if late := await _deadline(request, reply, generation):
            return late
        await generation.finished()
        one: dict[str, Any] = {"mimeType": shelf.media_type(order), "bytesBase64Encoded": pictures.PICTURE}
        made = [] if block else [one] * order.n
        names = [f"{generation.row.generation}/{index}" for index in range(len(made))]
        told = {"predictions": made} if made else {"predictions": [{"raiFilteredReason": _FILTERED}]}
        buffers = pictures.filled(orjson.dumps(told), order, upstream.press, names)
        await reply.begin("application/json; charset=UTF-8", length_bytes=sum(map(len, buffers)))
        await reply.last(buffers)
        return await (reply.end() if made else reply.end_without_picture("moderation_blocked"))

    return await _answered(
        request, PREDICT, lambda fields: _instance_wish(fields, model, video=False), answer
    )


async def _answered(
    request: web.Request, endpoint: str, wish: Callable[[dict[str, Any]], Wish], answer: Any
) -> web.StreamResponse:
    arrival, _ = await vendor.arrived(request, endpoint, wish)
    answering = serve_arrival(request, request.app[UPSTREAM], arrival, answer)
    del arrival
    try:
        return await answering
    except ApiError as error:
        if error.code != "moderation_blocked":
            raise
        # A prompt that the first filter stops is no error here: it is an answer without a candidate.
        body = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {}}
        return web.json_response(body)


async def _deadline(request: web.Request, reply: Reply, generation: Generation) -> web.StreamResponse | None:
    """The 504 of a deadline that the caller has sent and that this work does not keep."""
    text = request.headers.get("X-Server-Timeout", "")
    try:
        limit_s = float(text)
    except ValueError:
        return None
    if not 0 < limit_s < (generation.row.duration_s or 0.0):
        return None
    await reply.sleep_s(limit_s)
    return await reply.refuse(ApiError(504, "Deadline expired before operation could complete."))


def _candidates(order: Order, generation: Generation, block: Block | None) -> dict[str, Any]:
    used = generation.usage
    candidate: dict[str, Any] = {"index": 0, "finishReason": "IMAGE_SAFETY"}
    if block is None:
        inline = {"mimeType": shelf.media_type(order), "data": pictures.PICTURE}
        candidate |= {"content": {"role": "model", "parts": [{"inlineData": inline}]}, "finishReason": "STOP"}
    return {
        "candidates": [candidate],
        "usageMetadata": {
            "promptTokenCount": used.text_in + used.image_in,
            "candidatesTokenCount": used.image_out if block is None else 0,
            "totalTokenCount": used.tokens,
        },
        "modelVersion": order.model_name,
        "responseId": generation.row.generation.removeprefix("gen_"),
    }


async def film(request: web.Request) -> web.StreamResponse:
    """`POST models/{model}:predictLongRunning`: the name of an operation."""
    model = request.match_info["model"]
    arrival, _ = await vendor.arrived(request, VEO, lambda fields: _instance_wish(fields, model, video=True))

    async def said(reply: Reply, job: Job, _: Visit) -> web.StreamResponse:
        return await reply.whole([answers.pretty({"name": _operation(job)})])

    submitting = submitted(
        request, arrival, dialect=NAME, job_id=_job_id, said=said, asked={"model": model}, blocks_later=True
    )
    del arrival
    return await submitting


def _job_id(arrival: Arrival) -> str:
    return arrival.dice.hex("generation", 12)


def _operation(job: Job) -> str:
    return f"models/{job.asked['model']}/operations/{job.id}"


async def operation(request: web.Request) -> web.StreamResponse:
    """`GET models/{model}/operations/{id}`."""

    async def said(reply: Reply, job: Job, visit: Visit) -> web.StreamResponse:
        visit.tells_done = job.over
        told: dict[str, Any] = {"name": _operation(job)}
        if job.over:
            told |= {"done": True, **_ended(job, request)}
        return await reply.whole([answers.pretty(told)])

    return await visited(request, _find(request), said)


def _ended(job: Job, request: web.Request) -> dict[str, Any]:
    kind = {"@type": "type.googleapis.com/google.ai.generativelanguage.v1beta.PredictLongRunningResponse"}
    if vendor.succeeded(job):
        version = request.match_info["version"]
        uri = f"http://{request.host}/{NAME}/{version}/files/{job.id}:download?alt=media"
        return {"response": kind | {"generateVideoResponse": {"generatedSamples": [{"video": {"uri": uri}}]}}}
    if job.state is State.BLOCKED:
        filtered = {"raiMediaFilteredCount": 1, "raiMediaFilteredReasons": [_FILTERED]}
        return {"response": kind | {"generateVideoResponse": filtered}}
    if job.state is State.FAILED:
        return {"error": {"code": _INTERNAL, "message": "Internal error encountered."}}
    return {"error": {"code": _CANCELLED, "message": "The operation was cancelled."}}


async def cancel(request: web.Request) -> web.StreamResponse:
    """`POST models/{model}/operations/{id}:cancel`."""
    job = _find(request)
    job.cancel()

    async def said(reply: Reply, _: Job, __: Visit) -> web.StreamResponse:
        return await reply.whole([b"{}"])

    return await visited(request, job, said, "cancel")


async def download(request: web.Request) -> web.StreamResponse:
    """`GET files/{id}:download`: the film, for who has the key."""
    job = _find(request)
    if not vendor.succeeded(job):
        raise ApiError(404, "File not found.")

    async def said(reply: Reply, job: Job, visit: Visit) -> web.StreamResponse:
        visit.carries_picture = True
        content = shelf.printed(job.order, f"{job.row.generation}/0", reply.upstream.press)
        return await reply.whole([content], content_type="video/mp4")

    return await visited(request, job, said, RESULT)


def _find(request: web.Request) -> Job:
    return vendor.found(
        request, NAME, request.match_info["id"], ApiError(404, "Operation not found or expired.")
    )


_PREFIX = f"/{NAME}/{{version:v1|v1beta|v1alpha}}"
_MODEL = f"{_PREFIX}/models/{{model}}"
_ROUTES: tuple[tuple[str, str, Callable[[web.Request], Any]], ...] = (
    ("POST", f"{_MODEL}:{{verb:generateContent|streamGenerateContent}}", generate),
    ("POST", f"{_MODEL}:predict", predict),
    ("POST", f"{_MODEL}:predictLongRunning", film),
    ("GET", f"{_MODEL}/operations/{{id}}", operation),
    ("GET", f"{_PREFIX}/operations/{{id}}", operation),
    ("POST", f"{_MODEL}/operations/{{id}}:cancel", cancel),
    ("GET", f"{_PREFIX}/files/{{id}}:download", download),
)
register(Dialect(NAME, _ROUTES, key=key, refusal=refusal))
