"""Can this chain carry these images at all, and who cuts when it cannot?

The main job: one image per request through the chain, plain, streamed, or with the SDK's retries off. Read the
verdicts by layer first. Then read the generations per request: what the SDK's retries cost. Then read the gap
sentence of the streamed mode: whether partial images came often enough to keep the chain's idle timers quiet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from whocut.load import ImageUser, wanted

SCENARIO = {
    "chain": "article",
    "modes": {
        "plain": "one answer at the end, the SDK's default retries",
        "stream": "server-sent events with partial images, the SDK's default retries",
        "no-retry": "one answer at the end, max_retries=0",
    },
    "run": ["plain"],
}

if TYPE_CHECKING:
    import openai

    from whocut.load import Order


class ImageGeneration(ImageUser):
    """Asks for one image."""

    def ask(self, client: openai.OpenAI, order: Order) -> None:
        """Ask for it as the mode says, and take all of it."""
        options = wanted(self.session.topology.upstream, order)
        if order.mode != "stream":
            client.images.generate(**options)
            return
        for _event in client.images.generate(
            **options, stream=True, partial_images=self.session.load.partial_images
        ):
            pass
