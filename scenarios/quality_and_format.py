"""What does dropping the quality knob buy, and what the format?

The article: switching from high to medium saves 60 to 120 seconds a call, and JPEG is quicker than PNG. Read p50
and p95 of the delivered images, and the dollars for each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from whocut.load import ImageUser, wanted

SCENARIO = {
    "chain": "direct",
    "modes": {
        "high-png": "1024x1024, high quality, PNG",
        "medium-png": "1024x1024, medium quality, PNG",
        "medium-jpeg": "1024x1024, medium quality, JPEG",
        "low-jpeg": "1024x1024, low quality, JPEG",
    },
    "requests": 30,
}

if TYPE_CHECKING:
    import openai

    from whocut.load import Order


class QualityAndFormat(ImageUser):
    """Asks for one image of the mode's quality and format."""

    def ask(self, client: openai.OpenAI, order: Order) -> None:
        """Wait for it; nothing on the way cuts."""
        quality, output_format = order.mode.split("-")
        upstream = self.session.topology.upstream
        client.images.generate(**wanted(upstream, order, quality=quality, output_format=output_format))
