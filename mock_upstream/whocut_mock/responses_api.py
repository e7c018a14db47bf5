"""`POST /v1/responses` with the `image_generation` tool, plain and streamed.

Only the tool is real here: the model that would write the text around it says nothing. A stream opens at
once, so its first byte comes long before its first picture; that is what sets it apart from the images
endpoints. Reference "OpenAI Images API", section 1; the shapes are those of the official SDK 3.54.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import orjson
from aiohttp import web

from whocut_mock import errors, moderation, parameters, pictures, uploads
from whocut_mock.arrival import OrderReader, read_arrival, reading_for
from whocut_mock.generation import Generation
from whocut_mock.moderation import Block
from whocut_mock.parameters import RESPONSES, Order
from whocut_mock.reply import Reply
from whocut_mock.service import serve_arrival
from whocut_mock.settings import Settings
from whocut_mock.stream import CONTENT_TYPE
from whocut_mock.upstream import UPSTREAM, Upstream

TOOL = "image_generation"
DEFAULT_TOOL_MODEL = "gpt-image-2.6-sunburst"  # the reference: "default now", November 2026
_ACTIONS = ("generate", "edit", "auto")
_CALL = f"response.{TOOL}_call"

# The keys of a request that the SDK knows; what they say about text makes no difference here.
_KNOWN = frozenset(
    [
        "background",
        "conversation",
        "include",
        "input",
        "instructions",
        "max_output_tokens",
        "max_tool_calls",
        "metadata",
        "model",
        "parallel_tool_calls",
        "previous_response_id",
        "prompt",
        "prompt_cache_key",
        "reasoning",
        "safety_identifier",
        "service_tier",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "text",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "truncation",
        "user",
    ]
)
_TOOL_ONLY = ("type", "action", "input_image_mask")


async def responses(request: web.Request) -> web.StreamResponse:
    """One request, from its first byte to its last."""
    upstream = request.app[UPSTREAM]
    asked: dict[str, Any] = {}

    def reader(fields: dict[str, Any]) -> OrderReader:
        asked.update(fields)
        return lambda settings: read_tool_order(fields, settings)

    arrival = await read_arrival(request, upstream, RESPONSES, reader)

    async def answer(
        reply: Reply, upstream: Upstream, order: Order, generation: Generation, block: Block | None
    ) -> web.StreamResponse:
        told = Telling(asked, order, generation, block, upstream)
        return await (_stream(reply, told) if order.stream else _plain(reply, told))

    return await serve_arrival(request, upstream, arrival, answer)


def read_tool_order(fields: Mapping[str, Any], settings: Settings) -> Order:
    """The order that the tool's parameters and the input's text and images make."""
    if "messages" in fields:
        raise errors.moved_to_input()
    unknown = next((name for name in fields if name not in _KNOWN), None)
    if unknown is not None:
        raise errors.unknown_parameter(unknown)
    if not isinstance(fields.get("model"), str):
        raise errors.missing_parameter("model")
    if not isinstance(fields.get("stream"), bool | None):
        raise errors.wrong_type("stream", "a boolean", errors.kind_of(fields["stream"]))
    place, tool = _image_tool(fields.get("tools"))
    prompt, links = _read_input(fields.get("input"))
    wanted = {name: value for name, value in tool.items() if name not in _TOOL_ONLY}
    reading = replace(reading_for(RESPONSES, settings, is_form=False), prefix=f"tools[{place}].")
    order = parameters.read_order({"model": DEFAULT_TOOL_MODEL} | wanted, reading)
    references = tuple(
        uploads.read_link(link, "input", index, lenient=True) for index, link in enumerate(links)
    )
    if references:
        order = parameters.with_references(order, references)
    return replace(order, prompt=prompt, stream=bool(fields.get("stream")))


def _image_tool(tools: Any) -> tuple[int, Mapping[str, Any]]:
    if tools is None:
        raise errors.missing_parameter("tools")
    if not isinstance(tools, list):
        raise errors.wrong_type("tools", "an array", errors.kind_of(tools))
    for place, tool in enumerate(tools):
        if isinstance(tool, dict) and tool.get("type") == TOOL:
            action = tool.get("action", "auto")
            if action not in _ACTIONS:
                raise errors.bad_choice(f"tools[{place}].action", str(action), _ACTIONS)
            return place, tool
    raise errors.no_image_tool()


def _read_input(given: Any) -> tuple[str, list[dict[str, Any]]]:
    """The text and the images of the input, a string or a list of messages."""
    if given is None:
        raise errors.missing_parameter("input")
    if isinstance(given, str):
        return given, []
    if not isinstance(given, list):
        raise errors.wrong_type("input", "a string or an array", errors.kind_of(given))
    texts: list[str] = []
    links: list[dict[str, Any]] = []
    for part in _parts(given):
        if isinstance(part, str):
            texts.append(part)
        elif part.get("type") == "input_image":
            key = "file_id" if isinstance(part.get("file_id"), str) else "image_url"
            links.append({key: part.get(key)})
        elif isinstance(part.get("text"), str):
            texts.append(part["text"])
    return "\n".join(texts), links


def _parts(messages: list[Any]) -> Iterator[Any]:
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, str):
            yield content
        elif isinstance(content, list):
            yield from (part for part in content if isinstance(part, dict))


@dataclass(frozen=True, slots=True)
class Telling:
    """All that the answer is made of."""

    asked: Mapping[str, Any]
    order: Order
    generation: Generation
    block: Block | None
    upstream: Upstream

    @property
    def name(self) -> str:
        """The generation's own name, in every id of the answer."""
        return self.generation.row.generation.removeprefix("gen_")

    def response(self, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
        """The response object."""
        asked, text_in = self.asked, self.generation.usage.text_in
        done = status in ("completed", "failed")
        return {
            "id": f"resp_{self.name}",
            "object": "response",
            "created_at": int(self.upstream.clock.epoch_unix_s + (self.generation.row.accepted_s or 0)),
            "status": status,
            "error": self._error() if status == "failed" else None,
            "incomplete_details": None,
            "instructions": asked.get("instructions"),
            "max_output_tokens": asked.get("max_output_tokens"),
            "model": asked["model"],
            "output": output,
            "parallel_tool_calls": True,
            "previous_response_id": asked.get("previous_response_id"),
            "store": asked.get("store", True),
            "temperature": asked.get("temperature", 1.0),
            "text": {"format": {"type": "text"}},
            "tool_choice": asked.get("tool_choice", "auto"),
            "tools": asked["tools"],
            "top_p": asked.get("top_p", 1.0),
            "truncation": asked.get("truncation", "disabled"),
            "usage": _text_usage(text_in) if done else None,
            "tool_usage": self._tool_usage() if done else None,
            "metadata": asked.get("metadata") or {},
        }

    def _tool_usage(self) -> dict[str, Any]:
        return {"image_gen": self.generation.usage.json, "web_search": {"num_requests": 0}}

    def item(self, status: str) -> dict[str, Any]:
        """The tool's call; its picture stands in it when it is completed."""
        item = {"id": f"ig_{self.name}", "type": f"{TOOL}_call", "status": status, "result": None}
        if status == "completed":
            facts = pictures.described(self.order)
            return item | {"result": pictures.PICTURE, "revised_prompt": self.order.prompt, **facts}
        if status == "failed":
            return item | {"error": self._refusal().envelope()["error"]}
        return item

    def filled(self, text: bytes, pictures_in_it: int) -> list[bytes]:
        """The text with the final picture wherever it belongs."""
        names = [f"{self.name}/0"] * pictures_in_it
        return pictures.filled(text, self.order, self.upstream.press, names)

    def _refusal(self) -> errors.ApiError:
        assert self.block is not None
        return moderation.refusal(self.block, self.generation.row.request_id)

    def _error(self) -> dict[str, Any]:
        return {"code": "image_content_policy_violation", "message": self._refusal().message}


def _text_usage(text_in: int) -> dict[str, Any]:
    """What the model around the tool used: it read the input and wrote nothing."""
    return {
        "input_tokens": text_in,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 0,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": text_in,
    }


async def _plain(reply: Reply, told: Telling) -> web.StreamResponse:
    await reply.work_begun()
    await told.generation.finished()
    status = "completed" if told.block is None else "failed"
    body = orjson.dumps(told.response(status, [told.item(status)]), option=orjson.OPT_INDENT_2)
    buffers = told.filled(body, int(told.block is None))
    await reply.begin("application/json", length_bytes=sum(map(len, buffers)))
    await reply.last(buffers)
    return await _end(reply, told)


async def _stream(reply: Reply, told: Telling) -> web.StreamResponse:
    numbers = count()
    row, clock = told.generation.row, told.upstream.clock

    def event(kind: str, **facts: Any) -> bytes:
        return pictures.event(kind, {"type": kind, "sequence_number": next(numbers), **facts})

    def call(kind: str, **facts: Any) -> bytes:
        return event(f"{_CALL}.{kind}", output_index=0, item_id=f"ig_{told.name}", **facts)

    await reply.work_begun()
    await reply.begin(CONTENT_TYPE)
    begun = told.response("in_progress", [])
    item = told.item("in_progress")
    opening = [event("response.created", response=begun), event("response.in_progress", response=begun)]
    opening += [event("response.output_item.added", output_index=0, item=item)]
    await reply.write([*opening, call("in_progress"), call("generating")])
    for index, planned_s in enumerate(row.partials_s):
        await clock.sleep_until_s(planned_s)
        told.generation.partial_sent(index)
        facts = pictures.described(told.order)
        text = call("partial_image", partial_image_index=index, partial_image_b64=pictures.PICTURE, **facts)
        names = [f"{told.name}/partial/{index}"]
        await reply.write(pictures.filled(text, told.order, told.upstream.press, names))
    await told.generation.finished()
    status = "completed" if told.block is None else "failed"
    if told.block is None:
        await reply.write([call("completed")])
    with_picture = int(told.block is None)
    done = event("response.output_item.done", output_index=0, item=told.item(status))
    await reply.write(told.filled(done, with_picture))
    last = event(f"response.{status}", response=told.response(status, [told.item(status)]))
    await reply.last(told.filled(last, with_picture))
    return await _end(reply, told)


async def _end(reply: Reply, told: Telling) -> web.StreamResponse:
    if told.block is None:
        return await reply.end()
    return await reply.end_without_picture("moderation_blocked")
