"""The retry policy: pure. What was seen of a failed attempt goes in; `TryAgain` or `Stop` comes out, with its why.

The rule above all others: an image costs money when it is begun, not when it arrives. So nothing is tried again
while the work behind the first attempt may still be going on; only what certainly did no work is, and then as
politely as the answer asks. The rules are a table, read from the top; the first that applies decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from whocut.chain.refusals import MODERATION, NEVER_STATUS, NO_MONEY, unknown_page
from whocut.trace.records import Outcome
from whocut.words import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What the client knows of an attempt that brought no image.

    `sent` is False where the request certainly never left: no connection was made.
    """

    outcome: Outcome
    status: int | None = None
    code: str | None = None
    kind: str | None = None  # the envelope's `type`
    retry_after_s: float | None = None
    should_retry: bool | None = None  # x-should-retry
    sent: bool = True


@dataclass(frozen=True, slots=True)
class TryAgain:
    """Try again, after so long."""

    after_s: float
    why: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Do not try again; `why` is for the person who reads the error."""

    why: str


Decision = TryAgain | Stop


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How often, how long, how far apart. Waits double from `first_wait_s` to `most_wait_s`.

    `jitter` is the share of a wait that is left to chance; after a Retry-After it is added, never taken away.
    """

    attempts: int = 5
    total_s: float = 900.0
    first_wait_s: float = 2.0
    most_wait_s: float = 60.0
    jitter: float = 0.25

    def wait_s(self, attempt: int, asked_s: float | None, chance: float) -> float:
        """How long to wait after the n-th attempt; `chance` is between 0 and 1."""
        doubled_s = min(self.most_wait_s, self.first_wait_s * 2.0 ** (attempt - 1))
        if asked_s is None:
            return doubled_s * (1 - self.jitter * chance)
        return asked_s + min(doubled_s, max(asked_s, 1.0)) * self.jitter * chance


@dataclass(frozen=True, slots=True)
class RetryRule:
    """One kind of failure. `again` says whether it is tried again, and `why` whatever is decided."""

    holds: Callable[[Failure], bool]
    again: bool
    why: str


RULES = (
    RetryRule(
        lambda f: f.code in NO_MONEY or f.kind in NO_MONEY,
        again=False,
        why="the account has no money or has reached its limit: waiting does not fill it",
    ),
    RetryRule(
        lambda f: f.code in MODERATION,
        again=False,
        why="moderation blocks the same prompt the same way every time: change the scene, not the wording",
    ),
    RetryRule(
        lambda f: f.kind == "image_generation_user_error",
        again=False,
        why="the API calls it the user's error: the same request gets the same answer",
    ),
    RetryRule(
        lambda f: f.outcome is Outcome.REJECTED and f.status in NEVER_STATUS,
        again=False,
        why="the API refuses this request, key or organisation: the same request gets the same answer",
    ),
    RetryRule(lambda f: f.should_retry is False, again=False, why="the answer asks not to be retried"),
    RetryRule(
        lambda f: not f.sent or f.outcome is Outcome.REFUSED,
        again=True,
        why="no connection was made, so no work was begun",
    ),
    RetryRule(
        lambda f: f.outcome is Outcome.REJECTED and f.status == 200,
        again=False,
        why="the stream had begun, so the work had too, and is billed",
    ),
    RetryRule(
        lambda f: f.outcome is Outcome.GATEWAY_ERROR and unknown_page(f.status),
        again=False,
        why="a gateway gave up waiting; the generation behind it may still be running, and is billed",
    ),
    RetryRule(lambda f: f.status == 429, again=True, why="the rate limit let it wait; no work was begun"),
    RetryRule(lambda f: f.status == 503, again=True, why="the model is overloaded; no work was begun"),
    RetryRule(
        lambda f: f.outcome is Outcome.REJECTED and (f.status or 0) >= 500,
        again=True,
        why="the API itself failed, and says so: nothing runs on behind it",
    ),
    RetryRule(
        lambda f: f.outcome.unknown or f.outcome is Outcome.CENSORED,
        again=False,
        why="what became of the generation is unknown: it may still be running, and is billed",
    ),
    RetryRule(lambda _: True, again=False, why="the same request gets the same answer"),
)


def decide(
    failure: Failure, *, attempt: int, elapsed_s: float, chance: float, policy: Policy | None = None
) -> Decision:
    """What to do after the n-th attempt failed, `elapsed_s` after the first began."""
    policy = policy or Policy()
    rule = next(rule for rule in RULES if rule.holds(failure))
    if not rule.again:
        return Stop(rule.why)
    if attempt >= policy.attempts:
        return Stop(f"{rule.why}; {attempt} attempts are enough")
    wait_s = policy.wait_s(attempt, failure.retry_after_s, chance)
    if elapsed_s + wait_s >= policy.total_s:
        left = format_duration(max(0.001, round(policy.total_s - elapsed_s, 1)))
        return Stop(
            f"{rule.why}; the next attempt would be in {format_duration(round(wait_s, 1))}, and {left} are left"
        )
    return TryAgain(wait_s, rule.why)
