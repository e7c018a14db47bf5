"""An ordinary day: everything at once, in proportion, coming by the clock and not when a user is free.

Twelve requests a minute arrive at random instants (open arrivals), even while earlier ones wait. Their kinds:
finals, streamed finals, quick drafts, impatient callers, a wrapper that sends what the model refuses, prompts that
the output filter catches. The table has one row for each kind. Latency counts from the instant a request was due;
the dispatch delay says how late the load itself was, and a run whose load could not keep up is marked invalid. Try
`--arrivals 30/min` and see the quota of the tier (20 images a minute) answer before any timer does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from whocut.load import ImageUser, wanted

SCENARIO = {
    "chain": "edge-100",
    "modes": {
        "final": "plain, high quality, the SDK's defaults",
        "final-streamed": "high quality, streamed with two partial images",
        "draft": "low quality, JPEG",
        "impatient": "medium quality, timeout=60, the SDK's retries",
        "wrapper": "sends response_format, which the model refuses",
        "risky": "a prompt the output filter catches",
    },
    "mix": {
        "final": 0.30,
        "final-streamed": 0.20,
        "draft": 0.25,
        "impatient": 0.15,
        "wrapper": 0.05,
        "risky": 0.05,
    },
    "arrivals": "12/min",
    "users": 150,
    "requests": 120,
    "upstream": {"quota": {"tier": "2"}},
}

if TYPE_CHECKING:
    from typing import Any

    import openai

    from whocut.load import Order

ASKS: dict[str, dict[str, Any]] = {
    "final": {},
    "final-streamed": {"stream": True, "partial_images": 2},
    "draft": {"quality": "low", "output_format": "jpeg"},
    "impatient": {"quality": "medium", "timeout": 60.0},
    "wrapper": {"quality": "medium", "response_format": "url"},
    "risky": {"quality": "medium"},
}
RISKY = "taylor swift and elon musk"


class MixedDay(ImageUser):
    """Asks for one image in the way of its kind."""

    def ask(self, client: openai.OpenAI, order: Order) -> None:
        """Ask, and take whatever comes."""
        prompt = f"{RISKY}, {order.prompt}" if order.mode == "risky" else order.prompt
        came = client.images.generate(
            **wanted(self.session.topology.upstream, order, prompt=prompt, **ASKS[order.mode])
        )
        if order.mode == "final-streamed":
            for _event in came:
                pass
