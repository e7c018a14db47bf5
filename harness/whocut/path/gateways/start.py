"""The gateways by name, each found by its own file in this folder, and one door to all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whocut.chain.products import product
from whocut.path.gateways import process
from whocut.registry import found_in

if TYPE_CHECKING:
    from pathlib import Path

    from whocut.chain.layers import Layer
    from whocut.clock import Clock
    from whocut.path.gateways.process import Gateway, RunningGateway

GATEWAYS: Final[dict[str, Gateway]] = found_in("whocut.path.gateways", "GATEWAY")


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
    product(name).refuse(layer)
    return await process.start(GATEWAYS[name], layer, upstream=upstream, clock=clock, port=port, logs=logs)
