"""What is sent: the parameters the API takes, without those it rejects; and what it would be wise to send.

Pure. A parameter that is taken out is named, with the reason, because a caller who asked for it should know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PARTIAL_IMAGES: Final = 2  # the article: "two partials is usually enough", at about 100 tokens each

_KNOWN: Final = frozenset(
    {
        "prompt", "model", "n", "size", "quality", "output_format", "output_compression", "background",
        "moderation", "stream", "partial_images", "user", "safety_identifier", "complexity", "frame_count",
        "frame_duration_ms", "svg", "image", "mask", "markup", "input_fidelity",
    }
)  # fmt: skip
# What the SDK's methods take beside the body.
_OF_THE_SDK: Final = frozenset({"extra_headers", "extra_query", "timeout"})


@dataclass(frozen=True, slots=True)
class Strip:
    """One parameter that some request must not carry."""

    name: str
    when: Callable[[Mapping[str, Any]], bool]
    why: str


def _model(sent: Mapping[str, Any]) -> str:
    return str(sent.get("model") or "").rpartition("/")[2]


STRIPS: Final = (
    Strip("response_format", lambda _: True, "GPT image models always answer in base64"),
    Strip("style", lambda _: True, "it belonged to DALL·E"),
    Strip("messages", lambda _: True, "it belongs to chat completions; an image takes a prompt"),
    Strip(
        "input_fidelity",
        lambda sent: _model(sent).startswith("gpt-image-2") or "image" not in sent,
        "gpt-image-2 and later always work at high fidelity",
    ),
    Strip("quality", lambda sent: sent["quality"] in {"standard", "hd"}, "it is a quality of DALL·E"),
    Strip("stream", lambda sent: (sent.get("n") or 1) > 1, "a stream carries one image"),
    Strip("partial_images", lambda sent: not sent.get("stream"), "only a stream has partial images"),
    Strip(
        "output_compression",
        lambda sent: sent.get("output_format") in {None, "png"},
        "only JPEG and WebP are compressed so",
    ),
)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request ready to be sent, what was taken out of it, and what could be better about it."""

    sent: dict[str, Any]
    removed: dict[str, str]
    advice: tuple[str, ...]


def prepare(wanted: Mapping[str, Any], *, stream: bool = True) -> Prepared:
    """What to send for these arguments; `stream`: ask for partial images where the caller says nothing."""
    sent = {name: value for name, value in wanted.items() if name != "extra_body"} | dict(
        wanted.get("extra_body") or {}
    )
    if stream and "stream" not in sent and (sent.get("n") or 1) == 1:
        sent["stream"] = True
    if sent.get("stream"):
        sent.setdefault("partial_images", PARTIAL_IMAGES)
    removed = {}
    for strip in STRIPS:
        if strip.name in sent and strip.when(sent):
            removed[strip.name] = strip.why
            del sent[strip.name]
    for name in [name for name in sent if name not in _KNOWN | _OF_THE_SDK]:
        removed[name] = "the Images API knows no such parameter, and answers 400"
        del sent[name]
    return Prepared(sent, removed, tuple(advice(sent)))


def advice(sent: Mapping[str, Any]) -> list[str]:
    """What would be quicker, cheaper or safer, in sentences (the article, section 1)."""
    found = []
    if sent.get("quality") in {"high", "xhigh", "max"}:
        found.append("quality='medium' saves 60 to 120 s and most of the price; few prompts need more")
    if sent.get("quality") in {None, "auto"}:
        found.append("quality is left to the API, which may choose 'high': name one to know time and price")
    if sent.get("output_format") in {None, "png"} and sent.get("background") != "transparent":
        found.append("output_format='jpeg' is encoded faster than PNG")
    if not sent.get("stream"):
        found.append("without stream=True no byte comes before the image is done, and gateways give up first")
    elif sent.get("partial_images") == 0:
        found.append("partial_images=0 keeps the stream silent until the end, as without streaming")
    if (sent.get("n") or 1) > 1:
        found.append(f"n={sent['n']} counts as {sent['n']} images against the rate limit")
    return found
