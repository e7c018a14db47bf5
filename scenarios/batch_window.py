"""What waiting buys: the same order now, and in a batch that the API works off within a day at half the price.

No timer on the way has to outlast a batch either: a file is uploaded, the batch is made and asked for now and then,
and its answers are fetched as a file. Read the dollars per image beside the median wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from whocut.load import ImageUser, jobs, wanted

SCENARIO = {
    "chain": "hard-100",
    "modes": {
        "now": "one answer at the end, the SDK's default retries",
        "batch": "a batch of one line, asked for every five minutes",
    },
    "clock": "scaled:100",
    "users": 6,
    "requests": 6,
}

if TYPE_CHECKING:
    import openai

    from whocut.load import Order

EVERY = jobs.Polling(first_s=300.0, factor=1.0, most_s=300.0, total_s=86_400.0)


class BatchWindow(ImageUser):
    """Asks for one image, now or within a day."""

    def ask(self, client: openai.OpenAI, order: Order) -> None:
        """One order in the way of the mode."""
        options = wanted(self.session.topology.upstream, order)
        if order.mode == "now":
            client.images.generate(**options)
            return
        batch = jobs.submit_batch(client, [(order.request, options)])
        jobs.answers_of(client, jobs.wait_for_batch(client, batch.id, self.session.clock, EVERY))
