"""When each request of an open stage is due: pure, and the same for the same seed.

Due by the clock, even while all users are busy. A closed load slows down with the service it measures, and so
leaves out the very requests that would have waited ("coordinated omission"). Here the latency counts from the due
time. The dispatch delay is by how much a request went out later than that.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whocut.chain.load import Arrivals


def due_times(arrivals: Arrivals, requests: int, seed: int) -> Iterator[float]:
    """Model seconds since the stage began, one for each request, never falling."""
    dice = random.Random(f"arrivals {seed}")
    due_s = 0.0
    for _ in range(requests):
        yield due_s
        due_s += dice.expovariate(arrivals.per_s) if arrivals.kind == "poisson" else 1 / arrivals.per_s
