"""An order as a caller writes it: the fields that are taken, and the most that it can cost."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import orjson

from whocut.client.spending.bound import NotPriced, Price, price_of_images
from whocut.errors import BadInput
from whocut.path.target import is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping

MODEL: Final = "gpt-image-2"
PARTIAL_IMAGES: Final = 2
_PROMPT_CHARS: Final = 32_000
_TEXT: Final = ("model", "size", "quality", "output_format", "background", "moderation")
_WHOLE: Final = {"n": (1, 10), "output_compression": (0, 100), "partial_images": (0, 3)}
_TAKEN: Final = ("prompt", *_TEXT, *_WHOLE, "webhook")


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be made, where its end is reported, and the digest that tells equal orders."""

    wanted: Mapping[str, Any]
    webhook: str | None
    digest: str

    @property
    def price(self) -> Price | None:
        """The most that it can cost; None where no price is published."""
        try:
            return price_of_images(self.wanted)
        except NotPriced:
            return None


def read_order(body: bytes) -> Order:
    """Read the body of a submit.

    Raises:
        BadInput: it is no JSON object, a field is unknown or has a wrong value, or the prompt is missing.
    """
    fields = read_fields(body)
    for name in fields:
        if name not in _TAKEN:
            near = get_close_matches(name, _TAKEN, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"the fields are {', '.join(_TAKEN)}"
            raise BadInput(f"the field is unknown: '{name[:60]}'; {hint}", field=name[:60])
    wanted: dict[str, Any] = {"prompt": _prompt(fields.get("prompt")), "model": MODEL}
    wanted["partial_images"] = PARTIAL_IMAGES
    for name in _TEXT:
        if fields.get(name) is not None:
            wanted[name] = _text(name, fields[name])
    for name, (low, high) in _WHOLE.items():
        if fields.get(name) is not None:
            wanted[name] = _number(name, fields[name], low, high)
    if wanted.get("n", 1) > 1:
        del wanted["partial_images"]  # several images come without a stream
    webhook = _webhook(fields.get("webhook"))
    digest = hashlib.sha256(orjson.dumps([wanted, webhook], option=orjson.OPT_SORT_KEYS)).hexdigest()
    return Order(wanted, webhook, digest)


def read_fields(body: bytes) -> dict[str, Any]:
    """A body that is one JSON object.

    Raises:
        BadInput: it is not.
    """
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        fields = None
    if not isinstance(fields, dict):
        raise BadInput('the body is no JSON object; send {"prompt": "…"}')
    return fields


def _prompt(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise BadInput("the prompt is missing; say in words what the image shows", field="prompt")
    if len(value) > _PROMPT_CHARS:
        raise BadInput(f"the prompt is too long: {len(value)} characters of {_PROMPT_CHARS}", field="prompt")
    return value


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 100:
        raise BadInput(f"the value of '{name}' is no short text", field=name)
    return value


def _number(name: str, value: Any, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise BadInput(f"the value of '{name}' is no whole number from {low} to {high}", field=name)
    return value


def _webhook(value: Any) -> str | None:
    """A callback goes to this machine only: a submit must not make the service dial into a network."""
    if value is None:
        return None
    try:
        url = urlsplit(value) if isinstance(value, str) and len(value) <= 2_000 else None
        host = url.hostname if url is not None and url.scheme in {"http", "https"} else None
        _ = url.port if url is not None else None
    except ValueError:
        host = None
    if host is None or not is_loopback(host):
        raise BadInput(
            "the webhook is no URL of this machine; write http://127.0.0.1:PORT/…", field="webhook"
        )
    return str(value)
