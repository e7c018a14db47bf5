"""What a body of `POST /v1/responses` asks for: the image tool's parameters, the text and images of the input.

Only the tool is real here: the model that would write the text around it says nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from whocut_mock import errors, parameters, uploads
from whocut_mock.arrival import reading_for
from whocut_mock.parameters import RESPONSES, Order
from whocut_mock.settings import Settings

TOOL = "image_generation"
DEFAULT_TOOL_MODEL = "gpt-image-2.6-sunburst"  # the reference: "default now", November 2026
_ACTIONS = ("generate", "edit", "auto")

# The keys of a request that the SDK knows; what they say about text makes no difference here.
KNOWN = frozenset(
    [
        "access_programs",
        "background",
        "background_options",
        "context_management",
        "conversation",
        "image",
        "include",
        "input",
        "instructions",
        "max_output_tokens",
        "max_tool_calls",
        "metadata",
        "model",
        "moderation",
        "parallel_tool_calls",
        "previous_response_id",
        "prompt",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
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
WINDOWS_S = {"soonest": 0.0, "2h": 7_200.0, "8h": 28_800.0}
_TOOL_ONLY = ("type", "action", "input_image_mask")


def read_tool_order(fields: Mapping[str, Any], settings: Settings, find: uploads.FindFile) -> Order:
    """The order that the tool's parameters and the input's text and images make.

    Raises:
        ApiError: the refusal that the body has earned.
    """
    if "messages" in fields:
        raise errors.moved_to_input()
    unknown = next((name for name in fields if name not in KNOWN), None)
    if unknown is not None:
        raise errors.unknown_parameter(unknown)
    if not isinstance(fields.get("model"), str):
        raise errors.missing_parameter("model")
    if not isinstance(fields.get("stream"), bool | None):
        raise errors.wrong_type("stream", "a boolean", errors.kind_of(fields["stream"]))
    if not isinstance(fields.get("background"), bool | None):
        raise errors.wrong_type("background", "a boolean", errors.kind_of(fields["background"]))
    window_s(fields)
    place, tool = _image_tool(fields.get("tools"))
    prompt, links = _read_input(fields.get("input"))
    wanted = {name: value for name, value in tool.items() if name not in _TOOL_ONLY}
    reading = replace(reading_for(RESPONSES, settings, is_form=False), prefix=f"tools[{place}].")
    order = parameters.read_order({"model": DEFAULT_TOOL_MODEL} | wanted, reading)
    references = tuple(
        uploads.read_link(link, "input", index, find, lenient=settings.lenient or "file_id" not in link)
        for index, link in enumerate(links)
    )
    if references:
        order = parameters.with_references(order, references)
    return replace(order, prompt=prompt, stream=bool(fields.get("stream")))


def window_s(fields: Mapping[str, Any]) -> float:
    """The completion window that a background response may take, in seconds; 0 is as soon as possible.

    What the SDK's types say of `background_options` (3.57): the long windows need `background` and no stream.

    Raises:
        ApiError: there is no such window, or it cannot be here (ours: no published wording).
    """
    options = fields.get("background_options")
    if options is None:
        return 0.0
    if not isinstance(options, dict):
        raise errors.wrong_type("background_options", "an object", errors.kind_of(options))
    window = options.get("completion_window", "soonest")
    if window not in WINDOWS_S:
        raise errors.bad_choice("background_options.completion_window", str(window), tuple(WINDOWS_S))
    if WINDOWS_S[window] and (not fields.get("background") or fields.get("stream")):
        raise errors.window_needs_background(window)
    return WINDOWS_S[window]


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


def echoed(tools: Any, order: Order) -> list[Any]:
    """The tools as an answer repeats them: the image tool resolved, every other one as it came."""
    return [_echoed_image_tool(tool, order) if _is_image_tool(tool) else tool for tool in tools]


def _is_image_tool(tool: Any) -> bool:
    return isinstance(tool, dict) and tool.get("type") == TOOL


def _echoed_image_tool(tool: Mapping[str, Any], order: Order) -> dict[str, Any]:
    return {
        "type": TOOL,
        "background": tool.get("background") or "auto",
        "model": order.model_name,
        "moderation": tool.get("moderation") or "auto",
        "n": 1,
        "output_compression": order.output_compression,
        "output_format": order.output_format,
        "quality": tool.get("quality") or "auto",
        "size": tool.get("size") or "auto",
    }


def action_of(tools: Any, order: Order) -> str:
    """What the tool did: as asked for, and with `auto` an edit where there was an image."""
    asked = next((tool.get("action", "auto") for tool in tools if _is_image_tool(tool)), "auto")
    if asked != "auto":
        return str(asked)
    return "edit" if order.references else "generate"


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
