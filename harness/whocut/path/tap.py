"""A tap: a hop without timers, which hands on every byte and every end as it came, and never a word of its own.

Beside a real gateway there is one on either side, so that both of its edges are seen, whatever the neighbour is:
the layer further out must be seen leaving by another one than itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from whocut.chain.layers import Layer
from whocut.trace.records import TapSide

if TYPE_CHECKING:
    from whocut.clock import Clock
    from whocut.path.looks import Onlooker


@dataclass(frozen=True, slots=True)
class Tap:
    """The place of a tap, and what it does there.

    `side` is where, beside a real gateway. `lazy_s`: how much sooner than its limit a timer of the gateway may fire
    on a live stream, in model seconds. `onlooker` hears of each request; without one the tap writes spans.
    `waits_to_dial`: until there are bytes for the upstream; otherwise it dials when a caller has come. `blink_s` is
    how much later the last bytes of a response and its end go down, in the loop's seconds. `keeps_host`: the `Host`
    is handed on as it came. `clock` names its clock, where that is not the run's.
    """

    side: TapSide | None = None
    lazy_s: float = 0.0
    onlooker: Onlooker | None = None
    waits_to_dial: bool = False
    blink_s: float = 0.0
    keeps_host: bool = True
    clock: str | None = None


def taps_beside(lazy_real_s: float, clock: Clock) -> tuple[Tap, Tap]:
    """The one towards the caller, and the one towards the model."""
    return Tap(TapSide.OUTSIDE), Tap(TapSide.INSIDE, clock.model_s(lazy_real_s))


def watching(layer: Layer) -> Layer:
    """A layer of the gateway's name that only watches."""
    return Layer(name=layer.name, title=layer.title, silent=True)
