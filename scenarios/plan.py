"""What will be asked, in which order: pure, and the same for the same seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PLACES = ("ramen shop", "night market", "harbour", "greenhouse", "train station", "lighthouse", "workshop")
LIGHTS = ("neon reflections", "morning fog", "lantern light", "low winter sun", "rain on glass")
MODES = {
    "plain": "one answer at the end, the SDK's default retries",
    "stream": "server-sent events with partial images, the SDK's default retries",
    "no-retry": "one answer at the end, max_retries=0",
}


@dataclass(frozen=True, slots=True)
class Order:
    """One request to make. Its name tells mode and number; its prompt is its own, so that no two look alike."""

    request: str
    mode: str
    prompt: str


def orders(modes: Sequence[str], requests: int, seed: int) -> Iterator[Order]:
    """`requests` orders for each mode, one mode after the other."""
    for mode in modes:
        dice = random.Random(f"{seed}")  # the same prompts in every mode: only the mode differs
        for number in range(1, requests + 1):
            prompt = (
                f"{dice.choice(PLACES)}, {dice.choice(LIGHTS)}, take {number} of {dice.getrandbits(32):08x}"
            )
            yield Order(f"{mode}-{number:04d}", mode, prompt)
