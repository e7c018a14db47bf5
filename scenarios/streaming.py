"""How many partial images keep the chain's idle timers quiet?

One mode for each number of partial images, and one with heartbeats: the API sends none, but a server of your own in
front of it can write an SSE comment every 15 seconds. Read the gap sentence of each mode: a stream survives an idle
limit only while its longest silence is shorter, and more partial images make the silences shorter. A `total` limit
takes no notice of any of it: what heartbeats carry past the idle timers, it still cuts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from whocut.load import ImageUser, wanted

SCENARIO = {
    "chain": "article",
    "modes": {
        "partials-0": "streamed, one event at the end",
        "partials-1": "streamed, one partial image",
        "partials-2": "streamed, two partial images",
        "partials-3": "streamed, three partial images",
        "heartbeats": "streamed, no partial image, a comment every 15 s",
    },
    "requests": 30,
    "upstream_in": {"heartbeats": {"stream": {"heartbeat_s": 15.0}}},
}

if TYPE_CHECKING:
    import openai

    from whocut.load import Order


class Streaming(ImageUser):
    """Streams one image."""

    def ask(self, client: openai.OpenAI, order: Order) -> None:
        """Take every event as it comes."""
        partials = 0 if order.mode == "heartbeats" else int(order.mode.removeprefix("partials-"))
        stream = client.images.generate(
            **wanted(self.session.topology.upstream, order), stream=True, partial_images=partials
        )
        for _event in stream:
            pass
