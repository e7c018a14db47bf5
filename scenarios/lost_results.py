"""Each way in which the result of a job is made, paid, and comes to no one.

A poller gives up, or a result expires before it is fetched. A receiver redirects, refuses, answers late or is
gone. A job is cancelled while it runs, or a worker dies with the image that it has made. Read the verdicts:
each names who lost the result, by which of the job's own clocks. The generation was billed all the same. The
last mode loses nothing: it resumes by the id that it kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from whocut.load import ImageUser, jobs, wanted

SCENARIO = {
    "chain": "direct",
    "modes": {
        "gave-up": "polled for 30 s, and then no more",
        "never-asked": "submitted, and never asked for",
        "expired": "called back, and fetched when its data is kept no more",
        "redirected": "called back at a URL that has moved (302)",
        "refused": "called back at a receiver that refuses each time (500)",
        "gone": "called back at a receiver that is gone (410)",
        "unanswered": "called back at a receiver that answers after 20 s, when no sender waits any more",
        "cancelled": "cancelled while it runs",
        "job-restarted": "polled until it is there; its worker died with the first image, and made it again",
        "resumed": "polled for 30 s, and asked for again by its id later",
    },
    "users": 4,
    "requests": 4,
    "upstream_in": {"job-restarted": {"faults": [{"fault": "job_restarts"}]}},
}

if TYPE_CHECKING:
    import openai

    from whocut.load import Order

ANSWERS = {"expired": 200, "redirected": 302, "refused": 500, "gone": 410, "unanswered": 200}
LATE_S = 20.0  # a sender waits for 15 s
IMPATIENT_S = 30.0
OVER_S = 400.0  # longer than the slowest generation
KEPT_S = 600.0  # how long a response's data is kept


class LostResults(ImageUser):
    """Loses one result in the way of the mode."""

    def ask(self, client: openai.OpenAI, order: Order) -> None:
        """Submit, and then do what loses it."""
        mode, clock = order.mode, self.session.clock
        if mode in ANSWERS:
            self.receiver(ANSWERS[mode], late_s=LATE_S if mode == "unanswered" else 0.0)
        job = jobs.submit(client, wanted(self.session.topology.upstream, order))
        if mode in {"gave-up", "resumed"}:
            try:
                jobs.wait_for(client, job.id, clock, jobs.Polling(total_s=IMPATIENT_S))
            except jobs.PollGaveUpError:
                if mode == "gave-up":
                    raise
            jobs.image_of(jobs.wait_for(client, job.id, clock))
        elif mode == "job-restarted":
            jobs.image_of(jobs.wait_for(client, job.id, clock))
        elif mode == "cancelled":
            clock.sleep(IMPATIENT_S)
            jobs.cancel(client, job.id)
        elif mode == "expired":
            clock.sleep(OVER_S + KEPT_S)
            jobs.retrieve(client, job.id)
        elif mode in ANSWERS:
            clock.sleep(OVER_S)
