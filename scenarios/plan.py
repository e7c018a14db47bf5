"""What will be asked, in which order: pure, and the same for the same seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PLACES = ("ramen shop", "night market", "harbour", "greenhouse", "train station", "lighthouse", "workshop")
LIGHTS = ("neon reflections", "morning fog", "lantern light", "low winter sun", "rain on glass")


@dataclass(frozen=True, slots=True)
class Order:
    """One request to make. Its name tells mode and number; its prompt is its own, so that no two look alike."""

    request: str
    mode: str
    prompt: str


def orders(mode: str, requests: int, seed: int) -> Iterator[Order]:
    """`requests` orders of one mode: the same prompts in every mode, so that only the mode differs."""
    dice = random.Random(f"{seed}")
    for number in range(1, requests + 1):
        prompt = f"{dice.choice(PLACES)}, {dice.choice(LIGHTS)}, take {number} of {dice.getrandbits(32):08x}"
        yield Order(f"{mode}-{number:04d}", mode, prompt)
