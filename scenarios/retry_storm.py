"""What do default retries make of an overloaded upstream?

The upstream answers 503 as soon as it has so much in hand. Read the attempts a request in each mode. The SDK's
default retries come back within a second or so, long before an image could have been finished. They find the
upstream as full as before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from whocut.load import ImageUser, wanted

SCENARIO = {
    "chain": "direct",
    "modes": {
        "plain": "the SDK's default retries",
        "no-retry": "max_retries=0",
    },
    "users": 20,
    "requests": 40,
    "upstream": {"quota": {"overloaded_at": 8}},
}

if TYPE_CHECKING:
    import openai

    from whocut.load import Order


class RetryStorm(ImageUser):
    """Asks for one image of an upstream that has too much to do."""

    def ask(self, client: openai.OpenAI, order: Order) -> None:
        """Take the image, or the refusal."""
        client.images.generate(**wanted(self.session.topology.upstream, order))
