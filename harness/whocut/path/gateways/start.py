"""The gateways by name, each found by its own file in this folder, and one door to all of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from whocut.chain.products import product
from whocut.errors import BadInput
from whocut.path.gateways import process
from whocut.registry import found_in

if TYPE_CHECKING:
    from pathlib import Path

    from whocut.chain.layers import Layer
    from whocut.chain.products import Product
    from whocut.clock import Clock
    from whocut.path.gateways.driver import Gateway
    from whocut.path.gateways.process import RunningGateway

_OFF: Final = 1 / 30
# By the preset's name, which may have hyphens; the file's name has underscores in their place.
GATEWAYS: Final[dict[str, Gateway]] = {
    file.replace("_", "-"): gateway for file, gateway in found_in("whocut.path.gateways", "GATEWAY").items()
}


async def start_gateway(
    name: str,
    layer: Layer,
    *,
    upstream: tuple[str, int],
    clock: Clock,
    port: int = 0,
    logs: Path | None = None,
) -> RunningGateway:
    """Start a real gateway with a layer's limits; its logs stay in the folder `logs`, or go with it.

    Raises:
        BadInput: there is no such gateway, or it cannot have these limits.
        NotInstalled: it is not on this machine; says what to install.
        ChildDied: it ended at once.
    """
    of = product(name)
    if not layer.config:  # else the product itself says what it cannot have
        of.refuse(layer)
        _refuse_too_fine(of, layer, clock)
    return await process.start(GATEWAYS[name], layer, upstream=upstream, clock=clock, port=port, logs=logs)


def _refuse_too_fine(of: Product, layer: Layer, clock: Clock) -> None:
    """Say no to limits that the product's units do not bear on this clock.

    Raises:
        BadInput: a limit would be off by more than a thirtieth; says the scale that fits.
    """
    for kind, directive in of.knobs.items():
        limit_s = layer.limit_s(kind)
        if limit_s is None or not of.unit_real_s:
            continue
        real_s = clock.real_s(limit_s)
        units = round(real_s / of.unit_real_s)
        if units and abs(units * of.unit_real_s - real_s) <= _OFF * real_s:
            continue
        most = math.floor(limit_s / of.unit_real_s)
        raise BadInput(
            f"{layer.name}: {of.title} counts {directive} in units of {of.unit_real_s:g} s, and {limit_s:g} s at "
            f"1:{clock.scale:g} are {real_s:g} s. Choose --clock scaled:{most} or a divisor of it."
        )
