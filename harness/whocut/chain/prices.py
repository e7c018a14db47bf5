"""What an image costs: its tokens by the published tables and formula, and the prices of a token.

Every figure is from the reference "OpenAI Images API" (section 5; state of 22 November 2026), which names the
documents it was read in; what is ours says so. The mock upstream bills by the same figures, but imports nothing of
whocut. So it has its own table of them, and a parity test holds the two together. Money is counted in nano-dollars,
so that no sum is ever rounded twice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from whocut.errors import BadInput

QUALITIES_2 = {"low": 16, "medium": 48, "high": 96}
QUALITIES_25 = {"low": 16, "medium": 24, "high": 48, "xhigh": 64, "max": 96}
FIXED_SIZES = ("1024x1024", "1024x1536", "1536x1024")
_FIXED = {
    ("low", "1024x1024"): 272,
    ("low", "1024x1536"): 408,
    ("low", "1536x1024"): 400,
    ("medium", "1024x1024"): 1056,
    ("medium", "1024x1536"): 1584,
    ("medium", "1536x1024"): 1568,
    ("high", "1024x1024"): 4160,
    ("high", "1024x1536"): 6240,
    ("high", "1536x1024"): 6208,
}
PARTIAL_TOKENS = 100  # "each partial image will incur an additional 100 image output tokens"
# The list price of gpt-image-1-mini does not give its published price per image; the latter is what people pay.
_MINI = "gpt-image-1-mini"
_MINI_IMAGE_NANO_USD = {"low": 5_000_000, "medium": 11_000_000, "high": 36_000_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPrices:
    """Nano-dollars a token: five dollars a million tokens are 5,000."""

    text_in: int
    image_in: int
    image_out: int


_FROM_2_ON = TokenPrices(text_in=5_000, image_in=8_000, image_out=30_000)
PRICES = {
    _MINI: TokenPrices(text_in=2_000, image_in=2_500, image_out=8_000),
    "gpt-image-1.5": TokenPrices(text_in=5_000, image_in=8_000, image_out=32_000),
    "gpt-image-2": _FROM_2_ON,
    "gpt-image-2.5-sunburst": _FROM_2_ON,
    "gpt-image-2.5-flare": _FROM_2_ON,
    "gpt-image-2.6-sunburst": _FROM_2_ON,
    "gpt-image-2.6-flare": _FROM_2_ON,
}
# gpt-image-1, shut down in October 2026: no GPT image model has cost more a token.
DEAREST = TokenPrices(text_in=5_000, image_in=10_000, image_out=40_000)
# Models whose tokens are not published, although their prices are.
UNPUBLISHED_TOKENS = ("gpt-image-2.6",)


def family_of(model: str) -> str:
    """A model's name without an aggregator's route (`openai/…`) and without its date."""
    name = model.rpartition("/")[2]
    head, _, day = name.rpartition("-20")
    return head if head and day[:2].isdigit() else name


def qualities_of(family: str) -> tuple[str, ...]:
    """The qualities a family takes."""
    return tuple(QUALITIES_2 if family in {_MINI, "gpt-image-1.5", "gpt-image-2"} else QUALITIES_25)


def fixed_sizes(family: str) -> bool:
    """Whether only the three sizes of the table are taken."""
    return family in {_MINI, "gpt-image-1.5"}


def output_tokens(model: str, size: str, quality: str) -> int:
    """Image output tokens of one image, by the published table or formula.

    Raises:
        BadInput: no such size or quality is published for this model.
    """
    family = family_of(model)
    try:
        if fixed_sizes(family):
            return _FIXED[quality, size]
        base = (QUALITIES_2 if family == "gpt-image-2" else QUALITIES_25)[quality]
        width, height = (int(edge) for edge in size.split("x"))
        units = round(base / (max(width, height) / min(width, height)))  # half to even, as theirs does
        return math.ceil(base * units * (2_000_000 + width * height) / 4_000_000)
    except (KeyError, ValueError, ZeroDivisionError):
        raise BadInput(
            f"no tokens are published for {model} at {size}, {quality}", field="upstream"
        ) from None


def output_nano_usd(model: str, quality: str | None, tokens: int, *, unknown: TokenPrices = DEAREST) -> int:
    """The price of so many output tokens; an unknown quality, where it matters, is the dearest."""
    family = family_of(model)
    if family == _MINI:
        of = (quality,) if quality in _MINI_IMAGE_NANO_USD else tuple(_MINI_IMAGE_NANO_USD)
        return max(math.ceil(_MINI_IMAGE_NANO_USD[each] * tokens / _FIXED[each, "1024x1024"]) for each in of)
    return tokens * PRICES.get(family, unknown).image_out


def usd(model: str, size: str, quality: str, *, partials: int = 0, text_tokens: int = 10) -> float:
    """What one image costs, most likely, input images apart: an unknown model as those from gpt-image-2 on."""
    tokens = output_tokens(model, size, quality) + PARTIAL_TOKENS * partials
    text_in = PRICES.get(family_of(model), _FROM_2_ON).text_in
    image = output_nano_usd(model, quality, tokens, unknown=_FROM_2_ON)
    return (text_tokens * text_in + image) / 1e9
