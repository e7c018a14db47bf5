"""How an image is asked for: plain, streamed with so many partial images, as a job, without retries."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from whocut.chain.catalogue import preset
from whocut.errors import BadInput, nearest
from whocut.words import plural

if TYPE_CHECKING:
    from whocut.chain.layers import Topology

# Clients that can be next to the upstream and call it; a browser or a no-code tool cannot.
OFFICIAL = frozenset({"openai-python", "azure-openai-python", "openai-node"})

# How often a caller asks for its job: ours, and far below every limit in the catalogue.
POLL_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """One way to ask. A `job` is worked on next to the upstream, and its caller polls; None keeps the tries."""

    name: str
    says: str
    stream: bool = False
    partials: int = 0
    job: bool = False
    tries: int | None = None


MODES = {
    mode.name: mode
    for mode in (
        Mode(name="plain", says="one answer at the end, the client's own retries"),
        Mode(name="no-retry", says="one answer at the end, never retried", tries=1),
        *(
            Mode(
                name=f"stream-{partials}",
                says=f"server-sent events with {plural(partials, 'partial image')}",
                stream=True,
                partials=partials,
            )
            for partials in range(4)
        ),
        Mode(
            name="async",
            says=f"a worker next to the upstream makes the call, its caller polls every {POLL_S:g} s",
            job=True,
        ),
    )
}
_ALSO = {"stream": "stream-2", "job": "async"}


def parse_mode(written: str) -> Mode:
    """A mode by name; ``stream`` is ``stream-2``.

    Raises:
        BadInput: there is no such mode; names the nearest one.
    """
    mode = MODES.get(_ALSO.get(written, written))
    if mode is None:
        raise BadInput(
            f"there is no mode '{written}'{nearest(written, MODES)}; there are {', '.join(MODES)}",
            field="mode",
        )
    return mode


def seen_in(mode: Mode, topology: Topology) -> Topology:
    """The layers that see a generation: all of them, or of a job the worker alone.

    The worker calls as the chain's client would; where that is no SDK, as the official one.
    """
    if not mode.job:
        return topology
    worker = topology.client if topology.client.preset in OFFICIAL else preset("openai-python")
    return replace(topology, client=worker, hops=())
