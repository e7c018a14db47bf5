"""Every way of asking and of ending at once, with generations of 40 to 120 s: the load of a soak.

The mock answers, refuses, filters, meets quotas and loses its connections; the chain and impatient callers cut a
part of what takes too long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from whocut.load import ImageUser, wanted

SCENARIO = {
    "modes": {
        "final": "plain, high quality, no retries",
        "streamed": "high quality, two partial images, no retries",
        "draft": "medium quality, no retries",
        "retrying": "high quality, the SDK's default retries",
        "impatient": "high quality, the client waits 60 s, no retries",
        "filtered": "a prompt that the output filter catches",
        "refused": "a parameter that the model refuses",
    },
    "mix": {
        "final": 0.34,
        "streamed": 0.28,
        "draft": 0.15,
        "retrying": 0.08,
        "impatient": 0.08,
        "filtered": 0.04,
        "refused": 0.03,
    },
    "upstream": {
        "latency": {
            "rows": [
                {"quality": "high", "median_s": 78.0, "p95_s": 115.0},
                {"quality": "medium", "median_s": 48.0, "p95_s": 72.0},
            ]
        },
        "faults": [
            {"fault": "rate_limited=2", "rate": 0.02},
            {"fault": "server_error", "rate": 0.01},
            {"fault": "html_5xx", "rate": 0.01},
            {"fault": "reset_before_headers", "rate": 0.01},
            {"fault": "rst_mid_body", "rate": 0.01},
            {"fault": "truncated_json", "rate": 0.005},
            {"fault": "stream_without_completed", "rate": 0.02, "when": {"stream": True}},
            {"fault": "answer_lost", "rate": 0.005},
        ],
    },
}

if TYPE_CHECKING:
    from typing import Any

    import openai

    from whocut.load import Order

ASKS: dict[str, dict[str, Any]] = {
    "streamed": {"stream": True, "partial_images": 2},
    "draft": {"quality": "medium"},
    "impatient": {"timeout": 60.0},
    "refused": {"response_format": "url"},
}
CAUGHT = "taylor swift and elon musk"


class Soak(ImageUser):
    """Asks for one image in the way of its kind."""

    def retries(self, mode: str) -> int | None:
        """The SDK's own in one mode, none in the others."""
        return None if mode == "retrying" else 0

    def ask(self, client: openai.OpenAI, order: Order) -> None:
        """Ask, and take whatever comes."""
        prompt = f"{CAUGHT}, {order.prompt}" if order.mode == "filtered" else order.prompt
        asked = ASKS.get(order.mode, {})
        came = client.images.generate(**wanted(self.session.topology.upstream, order, prompt=prompt, **asked))
        if order.mode == "streamed":
            for _event in came:
                pass
