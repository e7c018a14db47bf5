"""The article's shortest path to "stops failing", measured step by step on the same seed.

Each mode keeps what the one before it changed. The steps: streaming, at most three at once with a gap, prompts
checked first, no retry after a timeout. Then: a steady path, raised limits, a job that is polled. One in five
prompts names what the output filter catches. The path is the long one until the sixth step, and the upstream limits
concurrency as the article found it. Read the table from the top: what each step adds to the share delivered,
and takes from the 429s, the orphans and the dollars. A 429 at three at once comes from the orphans: what a
layer cut runs on and keeps its place upstream, and no semaphore counts it. On the article's chain most images
take longer than both gateways allow. So the rung that delivers is the last: no answer of a job has to outlast a
timer.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from whocut.load import Gate, ImageUser, jobs, wanted

SCENARIO = {
    "chain": "article",
    "modes": {
        "1-defaults": "plain, the SDK's defaults, everybody at once",
        "2-streaming": "and streamed, with two partial images",
        "3-three-at-once": "and at most three at once, two seconds between",
        "4-prompts-checked": "and prompts checked first",
        "5-no-retry": "and no retry after a timeout",
        "6-steady-path": "and over a steady path",
        "7-limits-raised": "and every limit of the chain raised to 300 s, where its vendor allows that",
        "8-as-a-job": "and as a background response, polled by its id",
    },
    "steps": True,
    "users": 10,
    "requests": 20,
    "upstream": {
        "quota": {"concurrency": "article"},
        "network": {"preset": "trans-pacific"},
    },
    "upstream_in": {
        "6-steady-path": {"network": {"preset": "near"}},
        "7-limits-raised": {"network": {"preset": "near"}},
        "8-as-a-job": {"network": {"preset": "near"}},
    },
    "raised_in": {"7-limits-raised": 300},
}

if TYPE_CHECKING:
    import openai

    from whocut.load import Order

AT_ONCE = Gate(3, gap_s=2.0)
RISKY = "taylor swift and elon musk"
# "A simple regex pass that flags celebrity names … covers most of it": the article's own advice, as far as these
# prompts need it.
CHECK = re.compile(r"\b(taylor swift|elon musk|donald trump|mickey mouse)\b")


class FixLadder(ImageUser):
    """Asks for one image in the way of the mode's step."""

    def retries(self, mode: str) -> int | None:
        """The SDK cannot tell a timeout from another error, so that the step turns its retries off."""
        return 0 if mode[0] >= "5" else None

    def before(self, order: Order) -> Gate | None:
        """From the third step on at most three at once."""
        return AT_ONCE if order.mode[0] >= "3" else None

    def ask(self, client: openai.OpenAI, order: Order) -> None:
        """Ask as the step says."""
        step = order.mode[0]
        prompt = f"{RISKY}, {order.prompt}" if int(order.request[-4:]) % 5 == 0 else order.prompt
        if step >= "4" and CHECK.search(prompt):
            prompt = CHECK.sub("somebody", prompt)
        options = wanted(self.session.topology.upstream, order, prompt=prompt)
        if step == "1":
            client.images.generate(**options)
            return
        if step == "8":
            job = jobs.submit(client, options)
            jobs.image_of(jobs.wait_for(client, job.id, self.session.clock))
            return
        for _event in client.images.generate(**options, stream=True, partial_images=2):
            pass
