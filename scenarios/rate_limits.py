"""How many at once before the 429s come?

The article: three at once with a gap of two seconds is stable, five meet an occasional 429, ten nearly always. The
mock's concurrency model is calibrated to it; no retries, so that each 429 is one request. Read the share of 429s of
each mode.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from whocut.load import Gate, ImageUser, wanted

SCENARIO = {
    "chain": "direct",
    "modes": {
        "three": "three at once, two seconds between",
        "five": "five at once",
        "ten": "ten at once",
    },
    "users": 10,
    "requests": 40,
    "upstream": {"quota": {"concurrency": "article"}},
}

if TYPE_CHECKING:
    import openai

    from whocut.load import Order

GATES = {"three": Gate(3, gap_s=2.0), "five": Gate(5, gap_s=0.0), "ten": Gate(10, gap_s=0.0)}


class RateLimits(ImageUser):
    """Asks for one image, with so many others at the same time."""

    def retries(self, mode: str) -> int | None:
        """None: what is counted is the answer to the first attempt."""
        del mode
        return 0

    def before(self, order: Order) -> Gate:
        """Only so many at once."""
        return GATES[order.mode]

    def ask(self, client: openai.OpenAI, order: Order) -> None:
        """Wait for it, or for its 429."""
        client.images.generate(**wanted(self.session.topology.upstream, order, quality="medium"))
