"""A small picture, by the real SDK, as often as it is due: what one Locust process can hold.

``BENCH_SPANS=off`` leaves the spans out, ``BENCH_WATCH=off`` the attempts' records as well: what telemetry costs is
the difference.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import openai

from whocut.client.openai_client import shared_ssl_context
from whocut.client.transports import wire
from whocut.load import ImageUser

SCENARIO: dict[str, Any] = {
    "chain": "direct",
    "clock": "real",
    "modes": {"held": "a small picture"},
    "users": 1,
    "requests": 1,
}

if TYPE_CHECKING:
    from whocut.load import Order

SMALL: dict[str, Any] = {"model": "gpt-image-2", "output_format": "webp", "output_compression": 0}


class Held(ImageUser):
    """Asks for it and waits."""

    def on_start(self) -> None:
        """Leave out what the benchmark says."""
        super().on_start()
        if os.environ.get("BENCH_SPANS") == "off":
            self.session._spans = _nothing  # type: ignore[assignment]
        if os.environ.get("BENCH_WATCH") == "off":
            self.clients["held"] = openai.OpenAI(
                base_url=self.session.load.base_url,
                api_key="sk-bench",
                http_client=wire.Client(verify=shared_ssl_context(), trust_env=False, timeout=600.0),
            )

    def ask(self, client: openai.OpenAI, order: Order) -> None:
        """Wait for it."""
        client.images.generate(prompt=order.prompt, **SMALL)


def _nothing(_: object) -> None:
    """Where spans go when they are switched off."""
