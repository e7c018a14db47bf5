"""Images by chat completions: `modalities` with `image` in it, as aggregators and Gemini's own models answer.

The picture is a data URL in `message.images`; a stream carries it in one delta. Shapes as OpenRouter documents
them; OpenAI's own chat makes no pictures, so a plain chat with an image model stays the wrong door.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson
from aiohttp import web

from whocut_mock import errors, models, moderation, parameters, pictures, shelf, uploads
from whocut_mock.arrival import OrderReader, files_of, read_arrival, reading_for
from whocut_mock.errors import ApiError
from whocut_mock.generation import Generation
from whocut_mock.models import Model
from whocut_mock.moderation import Block
from whocut_mock.parameters import Order
from whocut_mock.reply import Reply
from whocut_mock.service import serve_arrival
from whocut_mock.settings import Settings
from whocut_mock.stream import CONTENT_TYPE, DONE_MARKER
from whocut_mock.upstream import UPSTREAM, Upstream, caller_of

CHAT = "chat.completions"
_KNOWN = frozenset(
    [
        "frequency_penalty",
        "image_config",
        "include_reasoning",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "metadata",
        "modalities",
        "model",
        "models",
        "n",
        "parallel_tool_calls",
        "plugins",
        "presence_penalty",
        "provider",
        "reasoning",
        "reasoning_effort",
        "response_format",
        "route",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "transforms",
        "usage",
        "user",
    ]
)
# The shapes of `image_config.aspect_ratio` and the nearest size that every model makes.
_RATIOS = {"1:1": (1024, 1024), "2:3": (1024, 1536), "3:2": (1536, 1024)}


async def completions(request: web.Request) -> web.StreamResponse:
    """One picture for what the messages say; without `image` among the modalities, the wrong door."""
    upstream = request.app[UPSTREAM]
    asked: dict[str, Any] = {}
    find = files_of(upstream, caller_of(request).key_hash)

    def reader(fields: dict[str, Any]) -> OrderReader:
        asked.update({name: value for name, value in fields.items() if name != "messages"})
        return lambda settings: read_chat_order(fields, settings, find)

    async def answer(
        reply: Reply, upstream: Upstream, order: Order, generation: Generation, block: Block | None
    ) -> web.StreamResponse:
        answering = _stream if order.stream else _plain
        return await answering(reply, upstream, order, generation, block)

    arrival = await read_arrival(request, upstream, CHAT, reader)
    answering = serve_arrival(request, upstream, arrival, answer)
    del arrival  # it holds the body
    return await answering


def read_chat_order(fields: Mapping[str, Any], settings: Settings, find: uploads.FindFile) -> Order:
    """The order that the messages make.

    Raises:
        ApiError: the refusal that the body has earned.
    """
    name = fields.get("model")
    if name is None:
        raise errors.missing_parameter("model")
    if not isinstance(name, str):
        raise errors.wrong_type("model", "a string", errors.kind_of(name))
    modalities = fields.get("modalities")
    if not isinstance(modalities, list) or "image" not in modalities:
        raise errors.model_not_found(name) if models.find(name) is None else errors.not_a_chat_model()
    unknown = next((key for key in fields if key not in _KNOWN), None)
    if unknown is not None and not settings.lenient:
        raise errors.unknown_parameter(unknown)
    if not isinstance(fields.get("stream"), bool | None):
        raise errors.wrong_type("stream", "a boolean", errors.kind_of(fields["stream"]))
    prompt, links = _read_messages(fields.get("messages"))
    reading = reading_for(CHAT, settings, is_form=False)
    order = replace(
        parameters.read_order({}, reading),
        model=_model(name),
        model_name=name,
        prompt=prompt,
        size=_size(fields.get("image_config")),
        stream=bool(fields.get("stream")),
    )
    references = tuple(
        uploads.read_link(link, "messages", index, find, lenient=True) for index, link in enumerate(links)
    )
    return parameters.with_references(order, references) if references else order


def _model(name: str) -> Model:
    """The model of this name. Another vendor's is worked on and billed as the default one is (unverified)."""
    return models.find(name) or models.MODELS[models.DEFAULT_MODEL]


def _size(config: Any) -> tuple[int, int]:
    ratio = config.get("aspect_ratio", "1:1") if isinstance(config, dict) else "1:1"
    return _RATIOS.get(ratio, models.SQUARE) if isinstance(ratio, str) else models.SQUARE


def _read_messages(given: Any) -> tuple[str, list[dict[str, Any]]]:
    if given is None:
        raise errors.missing_parameter("messages")
    if not isinstance(given, list):
        raise errors.wrong_type("messages", "an array", errors.kind_of(given))
    if not given:
        raise errors.array_too_short("messages", 0, 1)
    texts: list[str] = []
    links: list[dict[str, Any]] = []
    for part in _parts(given):
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif isinstance(part.get("image_url"), dict) and isinstance(part["image_url"].get("url"), str):
            links.append({"image_url": part["image_url"]["url"]})
    return "\n".join(texts), links


def _parts(messages: Sequence[Any]) -> Iterator[Any]:
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, str):
            yield content
        elif isinstance(content, list):
            yield from (part for part in content if isinstance(part, dict))


def _images(order: Order) -> list[dict[str, Any]]:
    url = {"url": f"data:{shelf.media_type(order)};base64,{_MARK}"}
    return [{"type": "image_url", "image_url": url}]


_MARK = "\0base64\0"  # takes the place of the picture's base64 in a JSON text
_MARK_JSON = orjson.dumps(_MARK)[1:-1]


def _filled(text: bytes, order: Order, upstream: Upstream, name: str) -> list[bytes]:
    before, _, after = text.partition(_MARK_JSON)
    return [before, *pictures.plate_for(order, upstream.press).print(f"{name}/0"), after]


def _usage(generation: Generation) -> dict[str, Any]:
    used = generation.usage
    return {
        "prompt_tokens": used.text_in + used.image_in,
        "completion_tokens": used.image_out,
        "total_tokens": used.tokens,
        "completion_tokens_details": {"image_tokens": used.image_out, "reasoning_tokens": 0},
        "cost": used.usd,
    }


def _object(kind: str, generation: Generation, order: Order, upstream: Upstream) -> dict[str, Any]:
    return {
        "id": f"gen-{generation.row.generation.removeprefix('gen_')}",
        "object": kind,
        "created": int(upstream.clock.epoch_unix_s + (generation.row.accepted_s or 0)),
        "model": order.model_name,
    }


async def _plain(
    reply: Reply, upstream: Upstream, order: Order, generation: Generation, block: Block | None
) -> web.StreamResponse:
    await reply.work_begun()
    await generation.finished()
    if block is not None:
        return await reply.refuse(moderation.refusal(block, generation.row.request_id))
    message = {"role": "assistant", "content": "", "refusal": None, "images": _images(order)}
    choice = {"index": 0, "finish_reason": "stop", "native_finish_reason": "STOP", "message": message}
    told = _object("chat.completion", generation, order, upstream)
    text = orjson.dumps(told | {"choices": [choice], "usage": _usage(generation)})
    return await reply.whole(_filled(text, order, upstream, generation.row.generation))


async def _stream(
    reply: Reply, upstream: Upstream, order: Order, generation: Generation, block: Block | None
) -> web.StreamResponse:
    """Headers and the role at once, the picture in one delta, then the bill."""
    told = _object("chat.completion.chunk", generation, order, upstream)

    def chunk(delta: Mapping[str, Any], finish: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return b"data: %b\n\n" % orjson.dumps(told | {"choices": [choice]} | more)

    def failing(error: ApiError) -> list[bytes]:
        said = {"error": {"code": error.status, "message": error.message}}
        return [chunk({"role": "assistant", "content": ""}, "error", **said)]

    reply.streams(failing)
    await reply.work_begun()
    await reply.begin(CONTENT_TYPE)
    await reply.write([chunk({"role": "assistant", "content": ""})])
    await generation.finished()
    if block is not None:
        refusal = moderation.refusal(block, generation.row.request_id)
        await reply.write(failing(refusal))
        return await reply.end_without_picture(refusal.code)
    picture = chunk({"role": "assistant", "content": "", "images": _images(order)})
    last = [*_filled(picture, order, upstream, generation.row.generation)]
    last += [chunk({"role": "assistant", "content": ""}, "stop", usage=_usage(generation)), DONE_MARKER]
    await reply.last(last)
    return await reply.end()
