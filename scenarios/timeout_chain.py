"""Which of the article's images can this chain carry, and who cuts the others?

One mode for each quality, from the quickest to the slowest, with the SDK's default retries. Read for each mode the
share delivered, and the layer that cut the rest: the limit that matters is the lowest one, not the last one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from whocut.load import ImageUser, wanted

SCENARIO = {
    "chain": "edge-100",
    "modes": {
        "low": "1024x1024, low quality",
        "medium": "1024x1024, medium quality: the article measured about 80 s",
        "high": "1024x1024, high quality: the article measured a median of 195 s",
    },
    "requests": 30,
}

if TYPE_CHECKING:
    import openai

    from whocut.load import Order


class TimeoutChain(ImageUser):
    """Asks for one image of the mode's quality."""

    def ask(self, client: openai.OpenAI, order: Order) -> None:
        """Wait for it as long as the chain lets us."""
        client.images.generate(**wanted(self.session.topology.upstream, order, quality=order.mode))
