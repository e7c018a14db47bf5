"""What does a long, unsteady path do to a stream that lasts minutes?

The article's argument for a nearer endpoint, made measurable: a path between neighbours, and one across the Pacific
with its latency, loss and hiccups. Read the share delivered; what is lost here no timer cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from whocut.load import ImageUser, wanted

SCENARIO = {
    "chain": "direct",
    "modes": {
        "near": "a path between neighbours",
        "trans-pacific": "220 ms, 1 % loss, a hiccup every ten minutes",
    },
    "requests": 60,
    "partial_images": 2,
    "upstream": {"network": {"preset": "near"}},
    "upstream_in": {
        "trans-pacific": {"network": {"preset": "trans-pacific"}},
    },
}

if TYPE_CHECKING:
    import openai

    from whocut.load import Order


class NetworkPath(ImageUser):
    """Streams one image over the mode's path."""

    def retries(self, mode: str) -> int | None:
        """None: what is counted is what the path does to one attempt."""
        del mode
        return 0

    def ask(self, client: openai.OpenAI, order: Order) -> None:
        """Take every event as it comes."""
        stream = client.images.generate(
            **wanted(self.session.topology.upstream, order),
            stream=True,
            partial_images=self.session.load.partial_images,
        )
        for _event in stream:
            pass
