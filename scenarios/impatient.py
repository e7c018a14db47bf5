"""What does an impatient caller pay for?

A caller that gives up after 60 seconds, with and without the SDK's retries, beside one that waits. No layer on the
path cuts: every image that was not received was given up by the caller. Read the generations a request and the
dollars.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from whocut.load import ImageUser, wanted

SCENARIO = {
    "chain": "direct",
    "modes": {
        "gives-up-and-retries": "timeout=60, the SDK's default retries",
        "gives-up": "timeout=60, max_retries=0",
        "waits": "the SDK's default of 600 s a read",
    },
    "requests": 30,
}
PATIENCE_S = 60.0

if TYPE_CHECKING:
    import openai

    from whocut.load import Order


class Impatient(ImageUser):
    """Asks for one image, and does not always wait for it."""

    def retries(self, mode: str) -> int | None:
        """None in the mode that only gives up."""
        return 0 if mode == "gives-up" else None

    def ask(self, client: openai.OpenAI, order: Order) -> None:
        """Wait as long as the mode's patience lasts."""
        options = wanted(self.session.topology.upstream, order)
        if order.mode != "waits":
            options["timeout"] = PATIENCE_S
        client.images.generate(**options)
