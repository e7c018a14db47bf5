"""What will be asked, in which order: pure, and the same for the same seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from whocut.load.arrivals import due_times

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whocut.chain.load import LoadStage

PLACES = ("ramen shop", "night market", "harbour", "greenhouse", "train station", "lighthouse", "workshop")
LIGHTS = ("neon reflections", "morning fog", "lantern light", "low winter sun", "rain on glass")


@dataclass(frozen=True, slots=True)
class Order:
    """One request to make.

    Its name tells its label and number; its prompt is its own, so that no two look alike. `mode` is how the
    scenario asks for it, `label` what its records carry. `due_s` counts from the stage's beginning; None is as
    soon as a user is free.
    """

    request: str
    mode: str
    prompt: str
    label: str
    due_s: float | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """Which part of a stage is asked here: process `index` of `of`, every `of`-th order from its own on."""

    index: int = 0
    of: int = 1

    def count(self, stage: LoadStage) -> int:
        """How many orders of the stage that is."""
        return len(range(self.index, stage.requests, self.of))

    def places(self, stage: LoadStage, users: int) -> int:
        """How many of this process's users take part."""
        if stage.at_once is None:
            return max(1, users)
        return len(range(self.index, stage.at_once, self.of))


def orders(stage: LoadStage, seed: int, share: Share = Share()) -> Iterator[Order]:  # it is frozen
    """One process's orders: the same prompts in every stage, so that only the way of asking differs."""
    return islice(_all_orders(stage, seed), share.index, None, share.of)


def _all_orders(stage: LoadStage, seed: int) -> Iterator[Order]:
    dice = random.Random(f"{seed}")
    which = random.Random(f"mix {seed}")
    modes, weights = list(stage.mix), list(stage.mix.values())
    due = due_times(stage.arrivals, stage.requests, seed) if stage.arrivals else None
    for number in range(1, stage.requests + 1):
        prompt = f"{dice.choice(PLACES)}, {dice.choice(LIGHTS)}, take {number} of {dice.getrandbits(32):08x}"
        mode = stage.mode or which.choices(modes, weights)[0]
        label = stage.name if stage.mode else mode
        yield Order(f"{label}-{number:04d}", mode, prompt, label, next(due) if due else None)
