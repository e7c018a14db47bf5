"""The models as data: what each can make, how many tokens that is, and what a token costs.

Every figure is from the reference "OpenAI Images API" (sections 1 and 5; state of 22 November 2026), which
names its own sources; what is ours says so. Money is in nano-dollars, so that no bill is ever rounded twice.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

_DATE = re.compile(r"-\d{4}-\d{2}-\d{2}$")

FIXED_SIZES = ((1024, 1024), (1024, 1536), (1536, 1024))
SQUARE = (1024, 1024)

_FIXED_TOKENS = {
    ("low", 1024, 1024): 272,
    ("low", 1024, 1536): 408,
    ("low", 1536, 1024): 400,
    ("medium", 1024, 1024): 1056,
    ("medium", 1024, 1536): 1584,
    ("medium", 1536, 1024): 1568,
    ("high", 1024, 1024): 4160,
    ("high", 1024, 1536): 6240,
    ("high", 1536, 1024): 6208,
}

# The calculator's base table; the published readings follow from it exactly.
_BASE_2 = {"low": 16, "medium": 48, "high": 96}
_BASE_25 = {"low": 16, "medium": 24, "high": 48, "xhigh": 64, "max": 96}

PARTIAL_IMAGE_TOKENS = 100  # "each partial image will incur an additional 100 image output tokens"


@dataclass(frozen=True)
class Prices:
    """Nano-dollars a token: 5 dollars a million tokens are 5,000."""

    text_in: int
    image_in: int
    image_out: int


@dataclass(frozen=True)
class Model:
    """One model: its limits, its tokens, its price."""

    name: str
    prices: Prices
    created: int
    qualities: tuple[str, ...] = ("low", "medium", "high")
    formats: tuple[str, ...] = ("png", "jpeg", "webp")
    base_tokens: Mapping[str, int] | None = None  # None: the fixed table, and only the fixed sizes
    transparent: bool = False
    fidelities: tuple[str, ...] = ()  # empty: the parameter itself is refused
    markup: bool = False
    complexity: bool = False
    image_out_nano_usd: Mapping[str, int] | None = None  # a price per image that the token price contradicts
    pace: float = 1.0  # generation time against gpt-image-2's at the same tokens
    shutdown_date: str | None = None

    @property
    def family(self) -> str:
        """The name without its date."""
        return _DATE.sub("", self.name)

    @property
    def free_sizes(self) -> bool:
        """Whether any width and height within the published bounds will do."""
        return self.base_tokens is not None

    def output_tokens(self, quality: str, width: int, height: int) -> int:
        """Image output tokens of one image, without its partial images."""
        if self.base_tokens is None:
            return _FIXED_TOKENS[quality, width, height]
        base = self.base_tokens[quality]
        units = round(base / (max(width, height) / min(width, height)))  # rounds half to even, as theirs does
        return math.ceil(base * units * (2_000_000 + width * height) / 4_000_000)

    def output_nano_usd(self, quality: str, tokens: int) -> int:
        """The price of so many output tokens, made at this quality."""
        if self.image_out_nano_usd is None:
            return tokens * self.prices.image_out
        square = self.output_tokens(quality, *SQUARE)
        return self.image_out_nano_usd[quality] * tokens // square


_PRICES_2 = Prices(text_in=5_000, image_in=8_000, image_out=30_000)
_Q25 = ("low", "medium", "high", "xhigh", "max")
_APR_2026, _SEP_2026, _NOV_2026, _DEC_2025 = 1_776_729_600, 1_788_825_600, 1_793_491_200, 1_764_547_200
_FLARE_PACE = 0.7  # ours: the reference says only that flare is faster and sunburst slower

MODELS = {
    model.name: model
    for model in (
        Model(
            "gpt-image-1-mini",
            Prices(text_in=2_000, image_in=2_500, image_out=8_000),
            _DEC_2025,
            transparent=True,
            fidelities=("low",),
            # The list price does not give the published price per image; the latter is what people pay.
            image_out_nano_usd={"low": 5_000_000, "medium": 11_000_000, "high": 36_000_000},
        ),
        Model(
            "gpt-image-1.5",
            Prices(text_in=5_000, image_in=8_000, image_out=32_000),
            _DEC_2025,
            transparent=True,
            fidelities=("high", "low"),
            shutdown_date="2026-12-01",
        ),
        Model("gpt-image-2", _PRICES_2, _APR_2026, base_tokens=_BASE_2),
        Model("gpt-image-2-2026-04-21", _PRICES_2, _APR_2026, base_tokens=_BASE_2),
        *(
            Model(
                f"gpt-image-2.5-{variant}{dated}",
                _PRICES_2,
                _SEP_2026,
                qualities=_Q25,
                base_tokens=_BASE_25,
                transparent=True,
                markup=True,
                pace=pace,
            )
            for variant, pace in (("sunburst", 1.0), ("flare", _FLARE_PACE))
            for dated in ("", "-2026-09-08")
        ),
        *(
            Model(
                f"gpt-image-2.6-{variant}",
                _PRICES_2,
                _NOV_2026,
                qualities=_Q25,
                formats=("png", "jpeg", "webp", "gif", "svg"),
                base_tokens=_BASE_25,  # ours: the table of 2.6 is not published, its rates are those of 2.5
                transparent=True,
                markup=True,
                complexity=True,
                pace=pace,
            )
            for variant, pace in (("sunburst", 1.0), ("flare", _FLARE_PACE))
        ),
        # Which model it points at is not published; ours is the newest with a published table.
        Model(
            "chatgpt-image-latest",
            _PRICES_2,
            _SEP_2026,
            qualities=_Q25,
            base_tokens=_BASE_25,
            transparent=True,
        ),
    )
}

RETIRED = {"gpt-image-1": "2026-10-23", "dall-e-2": "2026-05-12", "dall-e-3": "2026-05-12"}

DEFAULT_MODEL = "gpt-image-2"  # ours: what an omitted model means today is unverified


def find(name: str) -> Model | None:
    """The model of this id, with or without an aggregator's route prefix (`openai/gpt-image-2`)."""
    return MODELS.get(name.rpartition("/")[2])
