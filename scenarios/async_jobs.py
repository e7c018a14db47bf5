"""The article's second fix, measured: the same order plain, streamed, as a job by polls, and as a job by callback.

Behind an edge that ends every response after 100 s, no answer that takes longer than that arrives, streamed or not.
A job's submit and polls take a moment each, so no timer has to outlast the image. Read the share delivered and the
generations started beside each other: a retry after a timeout pays again, and a job is one generation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from whocut.load import ImageUser, jobs, wanted

SCENARIO = {
    "chain": "hard-100",
    "modes": {
        "plain": "one answer at the end, the SDK's default retries",
        "stream": "server-sent events with two partial images",
        "poll": "a background response, asked for by its id until it is over",
        "webhook": "a background response, fetched when its callback has come",
    },
    "clock": "scaled:50",
    "users": 10,
    "requests": 100,
}

if TYPE_CHECKING:
    import openai

    from whocut.load import Order


class AsyncJobs(ImageUser):
    """Asks for one image in the way of the mode."""

    def ask(self, client: openai.OpenAI, order: Order) -> None:
        """One order, in one of four ways."""
        options = wanted(self.session.topology.upstream, order)
        if order.mode == "plain":
            client.images.generate(**options)
        elif order.mode == "stream":
            for _event in client.images.generate(**options, stream=True, partial_images=2):
                pass
        elif order.mode == "poll":
            job = jobs.submit(client, options)
            jobs.image_of(jobs.wait_for(client, job.id, self.session.clock))
        else:
            receiver = self.receiver()  # it must be known before the job is over
            job = jobs.submit(client, options)
            receiver.over(job.id, self.session.clock.real_s(jobs.Polling().total_s))
            jobs.image_of(jobs.retrieve(client, job.id)[0])
