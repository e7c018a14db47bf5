"""Which parameters of third-party clients does the API refuse, and how?

One mode for each thing that wrappers like Cherry Studio send besides what the API takes. Read the error of each
mode: the code of a 400 that comes at once, is never retried by the SDK, and bills nothing. Its words are in the
error report of plain `locust -f`; a run directory keeps the code alone. The mode `clean` is what is left when they
are stripped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from whocut.load import ImageUser, wanted

SCENARIO = {
    "chain": "direct",
    "modes": {
        "response-format": "response_format, which gpt-image models do not take",
        "messages": "chat-style messages",
        "quality": "quality=standard, DALL-E's word",
        "size": "size=512x512, below the smallest",
        "fidelity": "input_fidelity, which only edits know",
        "clean": "the same request without any of them",
    },
    "requests": 5,
    "users": 5,
}
SENT: dict[str, dict[str, Any]] = {
    "response-format": {"response_format": "b64_json"},
    "messages": {"extra_body": {"messages": [{"role": "user", "content": "a cat"}]}},
    "quality": {"quality": "standard"},
    "size": {"size": "512x512"},
    "fidelity": {"extra_body": {"input_fidelity": "high"}},
    "clean": {"quality": "low"},
}

if TYPE_CHECKING:
    import openai

    from whocut.load import Order


class Parameters(ImageUser):
    """Asks for one image with what a wrapper adds."""

    def ask(self, client: openai.OpenAI, order: Order) -> None:
        """Take the image, or the refusal."""
        client.images.generate(**wanted(self.session.topology.upstream, order, **SENT[order.mode]))
