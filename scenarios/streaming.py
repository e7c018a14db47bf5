"""How many partial images keep the chain's idle timers quiet?

One mode for each number of partial images. Read the gap sentence of each mode: a stream survives an idle limit
only while its longest silence is shorter, and more partial images make the silences shorter. A `total` limit
takes no notice of any of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scenarios.image_user import ImageUser, wanted

SCENARIO = {
    "chain": "article",
    "modes": {
        "partials-0": "streamed, one event at the end",
        "partials-1": "streamed, one partial image",
        "partials-2": "streamed, two partial images",
        "partials-3": "streamed, three partial images",
    },
    "requests": 30,
}

if TYPE_CHECKING:
    import openai

    from scenarios.plan import Order


class Streaming(ImageUser):
    """Streams one image."""

    def ask(self, client: openai.OpenAI, order: Order) -> None:
        """Take every event as it comes."""
        partials = int(order.mode.removeprefix("partials-"))
        stream = client.images.generate(
            **wanted(self.session.topology.upstream, order), stream=True, partial_images=partials
        )
        for _event in stream:
            pass
