"""What does a prompt cost that was always going to be refused?

Half of the prompts name what the output filter catches: the image is made first, and refused after the whole
generation. The other half is refused by the input filter, fast. One mode sends them as they are, one sends the same
prompt again after each refusal, as people do: the filter is deterministic, so the same prompt blocks the same way.
Read the refusals and the dollars; no image comes of either.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import openai

from whocut.load import ImageUser, wanted

SCENARIO = {
    "chain": "direct",
    "modes": {
        "once": "each prompt once",
        "again": "each refused prompt twice more",
    },
    "requests": 20,
}

if TYPE_CHECKING:
    from whocut.load import Order

REFUSED_AT_ONCE = "a massacre in the rain"
REFUSED_AT_THE_END = "taylor swift and elon musk at a night market"


class Moderation(ImageUser):
    """Asks for one image that will be refused."""

    def ask(self, client: openai.OpenAI, order: Order) -> None:
        """Ask, and in one mode ask again."""
        risky = REFUSED_AT_ONCE if int(order.request[-4:]) % 2 else REFUSED_AT_THE_END
        options = wanted(self.session.topology.upstream, order, prompt=f"{risky}, {order.prompt}")
        if order.mode == "again":
            for _ in range(2):
                with suppress(openai.BadRequestError):
                    client.images.generate(**options)
        client.images.generate(**options)
