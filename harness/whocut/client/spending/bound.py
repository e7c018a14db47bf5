"""The most one attempt can cost, from what it asks for. Never too little: what is not said is the dearest.

What no published price bounds is not priced at all, and so does not go out: `NotPriced` says why.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from email.parser import BytesParser
from email.policy import HTTP
from typing import TYPE_CHECKING, Any, Final

import orjson

from whocut.chain.prices import (
    DEAREST,
    FIXED_SIZES,
    PARTIAL_TOKENS,
    PRICES,
    UNPUBLISHED_TOKENS,
    family_of,
    fixed_sizes,
    output_nano_usd,
    output_tokens,
    qualities_of,
)
from whocut.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# The API's own bounds (reference, section 1): at most 10 images, 3 partial images, and for free sizes edges of
# 16 to 3840 pixels, a ratio of 1:3 to 3:1 and 8,294,400 pixels: no size costs more than the largest square.
_MOST_IMAGES: Final = 10
_MOST_PARTIALS: Final = 3
_LARGEST: Final = "2880x2880"
_SMALLEST: Final = "467x1401"  # just below the least pixels, at the ratio with the fewest tokens
_LEAST_PX, _MOST_PX, _MOST_EDGE, _MOST_RATIO = 655_360, 8_294_400, 3840, 3
# A tokenizer that works on bytes makes no more tokens than bytes. Ours: room for what the API puts around a prompt.
_AROUND_THE_PROMPT: Final = 64
# The published rule of gpt-image-1 at high fidelity, on the image's own size (the API scales it down first). From
# gpt-image-2 on the rule is not published.
_IMAGE_BASE, _IMAGE_TILE, _TILE_PX, _FIDELITY = 65, 129, 512, 6240
# Parameters whose price is not published: animations and vector graphics.
_UNPRICED: Final = ("frame_count", "frame_duration_ms", "svg")
_UNPRICED_FORMATS: Final = frozenset({"gif", "svg"})
# No answer uses so many: what says more is a lie or an error, and counts as so many, that sums stay in bounds.
_MOST_TOKENS: Final = 1_000_000_000
_NO_STREAM: Final = frozenset({"none", "false"})  # of JSON and of a form
_FREE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class NotPriced(BadInput):
    """Nothing published bounds what this request costs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """The most one attempt costs, and what is needed to price what the API says it used.

    `least_in` and `least_out` are tokens that a delivered answer cannot have stayed below. `by_usage` is False
    where an answer's `usage` may be that of one image among several.
    """

    nano_usd: int
    model: str = ""
    quality: str | None = None
    least_in: int = 0
    least_out: int = 0
    by_usage: bool = True


FREE: Final = Price(nano_usd=0)


def price_of(method: str, path: str, content_type: str, body: bytes) -> Price:
    """The most that one HTTP request can cost.

    Raises:
        NotPriced: it asks for something that has no published price; says what, and what to do instead.
    """
    if method in _FREE_METHODS:
        return FREE
    if path.endswith("/images/generations"):
        return price_of_images(_object(body))
    if path.endswith("/images/edits") and content_type.startswith("multipart/form-data"):
        fields, images = _parts(content_type, body)
        return price_of_images(fields, images)
    raise NotPriced(
        f"{method} {path} has no price that could be known before it is sent, so the spend guard keeps it back; "
        "it prices images.generate, and images.edit with uploaded files"
    )


def price_of_images(asked: Mapping[str, Any], images: Sequence[bytes] = ()) -> Price:
    """The most that one call for images can cost; `images` are those it brings along.

    Raises:
        NotPriced: as `price_of`.
    """
    for name in _UNPRICED:
        if asked.get(name) is not None:
            raise NotPriced(f"'{name}' has no published price, so the spend guard keeps the request back")
    form = asked.get("output_format")
    if form is not None and (not isinstance(form, str) or form in _UNPRICED_FORMATS):
        raise NotPriced(
            f"output_format '{form}' has no published price, so the spend guard keeps the "
            "request back; ask for png, jpeg or webp"
        )
    model = str(asked.get("model") or "")
    family = family_of(model)
    prices = PRICES.get(family, DEAREST)
    count = max(1, _whole(asked.get("n"), nothing=1, otherwise=_MOST_IMAGES))
    partials = max(0, _whole(asked.get("partial_images"), nothing=0, otherwise=_MOST_PARTIALS))
    size, written = str(asked.get("size")), str(asked.get("quality"))
    quality = written if written in qualities_of(family) else None
    tokens = _most_tokens(family, size, quality) * count + PARTIAL_TOKENS * partials * count
    text = len(str(asked.get("prompt") or "").encode("utf-8", "surrogatepass")) + _AROUND_THE_PROMPT
    image_in = sum(_tokens_of_upload(image) for image in images)
    nano_usd = text * prices.text_in + image_in * prices.image_in + output_nano_usd(model, quality, tokens)
    return Price(
        nano_usd=nano_usd,
        model=model,
        quality=quality,
        least_in=1 + len(images),
        least_out=_least_tokens(family, size, quality) * count,
        by_usage=count == 1 or str(asked.get("stream")).lower() in _NO_STREAM,
    )


def cost_of(usage: object, price: Price) -> int | None:
    """What a delivered answer's `usage` costs in nano-dollars; None where it is not understood.

    One below what the images must have used is not understood either: a gateway that fills in zeros is no witness.
    """
    if not isinstance(usage, dict):
        return None
    prices = PRICES.get(family_of(price.model), DEAREST)
    came_in, went_out = _count(usage.get("input_tokens")), _count(usage.get("output_tokens"))
    details = usage.get("input_tokens_details")
    text = _count(details.get("text_tokens")) if isinstance(details, dict) else None
    if came_in is None or went_out is None:
        return None
    if text is None or text > came_in:
        text = 0  # then all of it at the dearer price
    cost = (
        text * prices.text_in
        + (came_in - text) * max(prices.text_in, prices.image_in)
        + output_nano_usd(price.model, price.quality, went_out)
    )
    if cost > price.nano_usd:
        return cost  # whatever else it says: no bound holds any more
    possible = price.by_usage and came_in >= price.least_in and went_out >= price.least_out
    return cost if possible else None


def _most_tokens(family: str, size: str, quality: str | None) -> int:
    """The most output tokens of one image; a quality of None, or a size the API does not name, is the dearest."""
    if family in PRICES and not family.startswith(UNPUBLISHED_TOKENS):
        sizes: tuple[str, ...]
        if fixed_sizes(family):
            sizes = (size,) if size in FIXED_SIZES else FIXED_SIZES
        else:
            sizes = (size,) if _is_a_free_size(size) else (_LARGEST,)
        qualities = (quality,) if quality else qualities_of(family)
        return max(output_tokens(family, each, of) for each in sizes for of in qualities)
    return max(_most_tokens("gpt-image-2", size, "high"), _most_tokens("gpt-image-1.5", size, "high"))


def _least_tokens(family: str, size: str, quality: str | None) -> int:
    """The fewest output tokens of one image; what is not named is the smallest and lowest there is."""
    if family not in PRICES or family.startswith(UNPUBLISHED_TOKENS):
        return output_tokens("gpt-image-2", _SMALLEST, "low")  # no published figure of any model is lower
    if fixed_sizes(family):
        size = size if size in FIXED_SIZES else FIXED_SIZES[0]
    else:
        size = size if _is_a_free_size(size) else _SMALLEST
    return output_tokens(family, size, quality or "low")


def _is_a_free_size(size: str) -> bool:
    width, _, height = size.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        return False
    short, long = sorted((int(width), int(height)))
    return _LEAST_PX <= short * long <= _MOST_PX and long <= _MOST_EDGE and long <= _MOST_RATIO * short


def _tokens_of_upload(image: bytes) -> int:
    from PIL import Image  # noqa: PLC0415  # only edits need it

    try:
        with Image.open(io.BytesIO(image)) as opened:
            width, height = opened.size
    except (OSError, ValueError, Image.DecompressionBombError):
        raise NotPriced(
            "an uploaded image cannot be read, so what it costs is not known; send png, jpeg or webp"
        ) from None
    tiles = math.ceil(width / _TILE_PX) * math.ceil(height / _TILE_PX)
    return _IMAGE_BASE + _IMAGE_TILE * tiles + _FIDELITY


def _object(body: bytes) -> dict[str, Any]:
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError:
        asked = None
    if not isinstance(asked, dict):
        raise NotPriced("the request's body is no JSON object, so what it costs is not known")
    return asked


def _parts(content_type: str, body: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """The text fields of a form and the files in it."""
    form = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    fields: dict[str, Any] = {}
    files: list[bytes] = []
    for part in form.iter_parts():
        data = part.get_payload(decode=True)
        if not isinstance(data, bytes):
            raise NotPriced("the request's form cannot be read, so what it costs is not known")
        if part.get_filename() is None:
            fields[str(part.get_param("name", header="content-disposition"))] = data.decode(
                "utf-8", "replace"
            )
        else:
            files.append(data)
    return fields, files


def _whole(value: object, *, nothing: int, otherwise: int) -> int:
    """A count as JSON or a form carries it; an invalid one counts as the most."""
    if value is None:
        return nothing
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else otherwise


def _count(value: object) -> int | None:
    """A number of tokens, at most `_MOST_TOKENS`; JSON readers make floats of what passes 64 bits."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not value >= 0:
        return None
    if value > _MOST_TOKENS:
        return _MOST_TOKENS
    return value if isinstance(value, int) else None
