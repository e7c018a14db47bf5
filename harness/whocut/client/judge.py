"""The decisions on one request: asked by tenacity after each attempt, and remembered for its next question."""

from __future__ import annotations

import logging
import random
import uuid
from typing import TYPE_CHECKING

from whocut.client.ending import failure_of
from whocut.client.policy import Decision, Failure, Policy, Stop, TryAgain
from whocut.words import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable

    import tenacity

log = logging.getLogger(__name__)


class Judge:
    """The decisions on one request. `now_s` is the clock of its time, `decide` the policy."""

    def __init__(self, policy: Policy, now_s: Callable[[], float], decide: Callable[..., Decision]) -> None:
        self._policy = policy
        self._decide = decide
        self._now_s = now_s
        self._key = uuid.uuid4().hex
        self.began_s = now_s()
        self.attempts = 0
        self.decision: Decision | None = None

    @property
    def total_s(self) -> float:
        """The request's time."""
        return self._policy.total_s

    @property
    def left_s(self) -> float:
        """What is left of it."""
        return max(0.001, self.began_s + self.total_s - self._now_s())

    @property
    def headers(self) -> dict[str, str]:
        """What tells the layers upstream that this is a retry, and of which request."""
        return {"x-stainless-retry-count": str(self.attempts - 1), "idempotency-key": self._key}

    def again(self, state: tenacity.RetryCallState) -> bool:
        """Whether the attempt that just ended is to be followed by another."""
        outcome = state.outcome
        error = outcome.exception() if outcome is not None and outcome.failed else None
        if error is None:
            return False
        self.judge(error)
        return isinstance(self.decision, TryAgain)

    def judge(self, error: BaseException, *, in_stream: bool = False) -> None:
        """Decide about a failure, and write the reason beside it."""
        failure = failure_of(error, in_stream=in_stream)
        self.decision = None
        if failure is None:
            return
        decision = self.decide(failure)
        if isinstance(decision, Stop):
            error.add_note(f"not tried again: {decision.why}")

    def decide(self, failure: Failure) -> Decision:
        """What is to be done after this failure; a wait before another attempt is logged."""
        self.decision = self._decide(
            failure,
            attempt=self.attempts,
            elapsed_s=self._now_s() - self.began_s,
            chance=random.random(),
            policy=self._policy,
        )
        if isinstance(self.decision, TryAgain):
            wait = format_duration(round(self.decision.after_s, 2))
            log.warning("attempt %d failed; the next one in %s: %s", self.attempts, wait, self.decision.why)
        return self.decision

    def wait_s(self, state: tenacity.RetryCallState) -> float:
        """How long to wait before the next attempt."""
        del state
        return self.decision.after_s if isinstance(self.decision, TryAgain) else 0.0
