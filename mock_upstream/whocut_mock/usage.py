"""What a generation used, and what that costs, by the published formulae.

Reference "OpenAI Images API", section 5. The text estimate is ours: the tokenizer of the image models is not
published, and four bytes a token is the usual rule of thumb.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from whocut_mock.models import PARTIAL_IMAGE_TOKENS, Model

_BYTES_PER_TEXT_TOKEN = 4

# Input images: 65 + 129 for each tile of 512 pixels; at high fidelity 4160 more (square) or 6240 (others).
_IMAGE_BASE, _IMAGE_TILE, _TILE_PX = 65, 129, 512
_FIDELITY_SQUARE, _FIDELITY_OTHER = 4160, 6240


@dataclass(frozen=True)
class Usage:
    """Tokens by kind, and the bill in nano-dollars."""

    text_in: int
    image_in: int
    image_out: int
    nano_usd: int

    @cached_property
    def json(self) -> dict[str, Any]:
        """The `usage` object of an answer; one for all callers, so it must not be changed."""
        return {
            "total_tokens": self.text_in + self.image_in + self.image_out,
            "input_tokens": self.text_in + self.image_in,
            "output_tokens": self.image_out,
            "input_tokens_details": {"text_tokens": self.text_in, "image_tokens": self.image_in},
            "output_tokens_details": {"image_tokens": self.image_out, "text_tokens": 0},
        }

    def at(self, price: float) -> "Usage":
        """The same use at a part of the price."""
        return replace(self, nano_usd=round(self.nano_usd * price))

    @property
    def tokens(self) -> int:
        """All of them."""
        return self.text_in + self.image_in + self.image_out

    @property
    def usd(self) -> float:
        """The bill in dollars."""
        return self.nano_usd / 1e9


def text_tokens(prompt: str) -> int:
    """An estimate; never less than one."""
    return max(1, math.ceil(len(prompt.encode("utf-8", "surrogatepass")) / _BYTES_PER_TEXT_TOKEN))


def reference_tokens(width: int, height: int, *, high_fidelity: bool) -> int:
    """Tokens of one input image."""
    tiles = math.ceil(width / _TILE_PX) * math.ceil(height / _TILE_PX)
    tokens = _IMAGE_BASE + _IMAGE_TILE * tiles
    if high_fidelity:
        tokens += _FIDELITY_SQUARE if width == height else _FIDELITY_OTHER
    return tokens


def usage_of(
    model: Model,
    *,
    prompt: str,
    quality: str,
    size: tuple[int, int],
    n: int,
    partial_images: int,
    image_in: int = 0,
) -> Usage:
    """What `n` images of this kind use; each partial image adds its hundred tokens."""
    text_in = text_tokens(prompt)
    image_out = model.output_tokens(quality, *size) * n + PARTIAL_IMAGE_TOKENS * partial_images
    prices = model.prices
    nano_usd = (
        text_in * prices.text_in + image_in * prices.image_in + model.output_nano_usd(quality, image_out)
    )
    return Usage(text_in, image_in, image_out, nano_usd)
