"""The gateways by name, and one door to all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.errors import BadInput, nearest
from harness.path.gateways import process
from harness.path.gateways.haproxy import Haproxy
from harness.path.gateways.nginx import Nginx

if TYPE_CHECKING:
    from harness.chain.layers import Layer
    from harness.clock import Clock
    from harness.path.gateways.process import Gateway, RunningGateway

GATEWAYS: Final[dict[str, Gateway]] = {"haproxy": Haproxy(), "nginx": Nginx()}


async def start_gateway(
    name: str, layer: Layer, *, upstream: tuple[str, int], clock: Clock, port: int = 0
) -> RunningGateway:
    """Start a real gateway with a layer's limits.

    Raises:
        BadInput: there is no such gateway, or it cannot have these limits.
        NotInstalled: it is not on this machine; says what to install.
        ChildDied: it ended at once.
    """
    gateway = GATEWAYS.get(name)
    if gateway is None:
        raise BadInput(
            f"there is no gateway '{name}'{nearest(name, GATEWAYS)}; there are {', '.join(GATEWAYS)}"
        )
    return await process.start(gateway, layer, upstream=upstream, clock=clock, port=port)
