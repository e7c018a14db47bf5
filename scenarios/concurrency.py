"""How much concurrency before the 429s? What `whocut sweep` asks, level by level.

The quickest image there is, without retries, so that each 429 is one request, and no gateway's timer is in the way.
The mock's concurrency model is calibrated to the article: three at once with a gap of two seconds is stable, five
meet an occasional 429, ten nearly always. Images a minute (``{"tier": "1"}``) depend on how long an image takes: to
sweep those, ask for the images you will want. At 1:100 the gap is 20 ms; on a much quicker clock the client's own
turn-round is a gap already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from whocut.load import ImageUser, wanted

SCENARIO = {
    "chain": "direct",
    "modes": {"plain": "one answer at the end, no retries"},
    "users": 10,
    "requests": 30,
    "upstream": {"quota": {"concurrency": "article"}},
}

if TYPE_CHECKING:
    import openai

    from whocut.load import Order


class Concurrency(ImageUser):
    """Asks for one image."""

    def retries(self, mode: str) -> int | None:
        """None: what is counted is the answer to the first attempt."""
        del mode
        return 0

    def ask(self, client: openai.OpenAI, order: Order) -> None:
        """Wait for it, or for its 429."""
        client.images.generate(**wanted(self.session.topology.upstream, order, quality="low"))
