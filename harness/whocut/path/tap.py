"""A tap: a hop without timers beside a real gateway, so that both of the gateway's edges are seen.

It hands on ends as they came: a close as a close, a reset as a reset, and never a word of its own. There is one on
either side, whoever the neighbour is: what stands further out must be seen leaving by somebody else than itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from whocut.chain.layers import Layer
from whocut.trace.records import TapSide

if TYPE_CHECKING:
    from whocut.clock import Clock


@dataclass(frozen=True, slots=True)
class Tap:
    """On which side of the gateway it stands.

    `lazy_s`: how much sooner than its limit a timer of the gateway may fire on a live stream, in model seconds.
    """

    side: TapSide
    lazy_s: float = 0.0


def taps_beside(lazy_real_s: float, clock: Clock) -> tuple[Tap, Tap]:
    """The one towards the caller, and the one towards the model."""
    return Tap(TapSide.OUTSIDE), Tap(TapSide.INSIDE, clock.model_s(lazy_real_s))


def watching(layer: Layer) -> Layer:
    """A layer of the gateway's name that only watches."""
    return Layer(name=layer.name, title=layer.title, silent=True)
