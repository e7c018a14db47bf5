"""The products that can stand in a chain in person, and which limits each of them can have.

A layer written as ``gateway: nginx`` is the catalogue's preset of that name, and in a run the real thing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from whocut.chain.timers import TimerKind
from whocut.errors import BadInput, nearest

if TYPE_CHECKING:
    from whocut.chain.layers import Layer


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One of them. `silence` is its one knob for the wait and for silence later on.

    `lazy_real_s`: a byte that comes sooner than this after a timer was set does not set it anew, in real seconds.
    """

    name: str
    title: str
    silence: str
    lazy_real_s: float = 0.0

    def refuse(self, layer: Layer) -> None:
        """Say no to limits that the product cannot have.

        Raises:
            BadInput: a total, or two limits where it has one knob.
        """
        if layer.limit_s(TimerKind.TOTAL) is not None:
            raise BadInput(
                f"{layer.name}: {self.title} has no timer for the whole response; take `total` away"
            )
        if layer.limit_s(TimerKind.FIRST_BYTE) != layer.limit_s(TimerKind.IDLE):
            raise BadInput(
                f"{layer.name}: {self.title}'s {self.silence} is `first_byte` and `idle` at once; make them one"
            )


PRODUCTS: Final = {
    product.name: product
    for product in (
        Product(name="haproxy", title="HAProxy", silence="`timeout server`"),
        # NGX_TIMER_LAZY_DELAY in ngx_event_timer.h; seen with 1.22.1.
        Product(name="nginx", title="nginx", silence="proxy_read_timeout", lazy_real_s=0.3),
    )
}


def product(name: str) -> Product:
    """The product of that name.

    Raises:
        BadInput: none of that name can be started; names the nearest one.
    """
    known = PRODUCTS.get(name)
    if known is None:
        raise BadInput(
            f"there is no gateway '{name}'{nearest(name, PRODUCTS)}; there are {', '.join(PRODUCTS)}"
        )
    return known
