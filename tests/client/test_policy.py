from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whocut.client.policy import RULES, Failure, Policy, Stop, TryAgain, decide
from whocut.trace.records import Outcome


def decided(
    failure: Failure, *, attempt: int = 1, elapsed_s: float = 0.0, chance: float = 0.5
) -> TryAgain | Stop:
    """The decision of the default policy."""
    return decide(failure, attempt=attempt, elapsed_s=elapsed_s, chance=chance)


def rejected(status: int, code: str | None = None, **more: object) -> Failure:
    """The API said no."""
    return Failure(outcome=Outcome.REJECTED, status=status, code=code, **more)  # type: ignore[arg-type]


NEVER = {
    "a gateway's 504": Failure(outcome=Outcome.GATEWAY_ERROR, status=504),
    "a gateway's 524": Failure(outcome=Outcome.GATEWAY_ERROR, status=524),
    "a gateway's 499": Failure(outcome=Outcome.GATEWAY_ERROR, status=499),
    "a gateway's 408": Failure(outcome=Outcome.GATEWAY_ERROR, status=408),
    "a reset": Failure(outcome=Outcome.RESET),
    "a timeout": Failure(outcome=Outcome.TIMEOUT),
    "a body cut short": Failure(outcome=Outcome.TRUNCATED, status=200),
    "an error in a stream": rejected(200, "server_error"),
    "no money": rejected(429, "insufficient_quota", retry_after_s=1.0),
    "no money, by its type": rejected(429, None, kind="insufficient_quota"),
    "a blocked prompt": rejected(400, "moderation_blocked"),
    "a user's error at 500": rejected(500, None, kind="image_generation_user_error"),
    "a wrong request": rejected(400, "invalid_value"),
    "a wrong key": rejected(401, "invalid_api_key"),
    "a wall": rejected(403),
    "an order not to": rejected(503, "server_is_overloaded", should_retry=False),
    "something nobody has seen": rejected(418),
}
AGAIN = {
    "a rate limit": rejected(429, "rate_limit_exceeded"),
    "a gateway's rate limit": Failure(outcome=Outcome.GATEWAY_ERROR, status=429),
    "an overloaded model": rejected(503, "server_is_overloaded"),
    "an error of the API's own": rejected(500, "server_error"),
    "a refused connection": Failure(outcome=Outcome.REFUSED, sent=False),
}


@pytest.mark.parametrize("failure", NEVER.values(), ids=NEVER)
def test_what_may_be_going_on_or_is_useless_is_not_tried_again(failure: Failure) -> None:
    """No second attempt, and a reason for the person who reads the error."""
    decision = decided(failure)

    assert isinstance(decision, Stop)
    assert decision.why


@pytest.mark.parametrize("failure", AGAIN.values(), ids=AGAIN)
def test_what_did_no_work_is_tried_again(failure: Failure) -> None:
    """A second attempt, after a wait."""
    decision = decided(failure)

    assert isinstance(decision, TryAgain)
    assert decision.after_s > 0


@given(
    asked_s=st.floats(min_value=0, max_value=600),
    chance=st.floats(min_value=0, max_value=1),
    attempt=st.integers(min_value=1, max_value=4),
)
def test_retry_after_is_never_shortened(asked_s: float, chance: float, attempt: int) -> None:
    """Whatever chance says, the wait is at least what was asked for."""
    decision = decided(rejected(429, retry_after_s=asked_s), attempt=attempt, chance=chance)

    assert isinstance(decision, TryAgain)
    assert decision.after_s >= asked_s


@given(chance=st.floats(min_value=0, max_value=1), attempt=st.integers(min_value=1, max_value=40))
def test_waits_double_within_their_bounds(chance: float, attempt: int) -> None:
    """Without a Retry-After a wait is the doubled one, less at most a quarter, and never above the bound."""
    policy = Policy()

    wait_s = policy.wait_s(attempt, None, chance)

    full_s = min(policy.most_wait_s, policy.first_wait_s * 2.0 ** (attempt - 1))
    assert 0.75 * full_s <= wait_s <= full_s <= policy.most_wait_s


def test_there_is_an_end_by_number() -> None:
    """After the last attempt that is allowed there is no other."""
    decision = decided(rejected(429), attempt=5)

    assert isinstance(decision, Stop)
    assert "5 attempts are enough" in decision.why


def test_there_is_an_end_by_time() -> None:
    """A wait that does not fit into what is left is not begun, and both are told."""
    decision = decided(rejected(429, retry_after_s=121.0), elapsed_s=800.0, chance=0.0)

    assert decision == Stop(
        "the rate limit let it wait; no work was begun; the next attempt would be in 121 s, and 100 s are left"
    )


def test_the_last_rule_applies_always() -> None:
    """No failure is without a decision."""
    assert RULES[-1].holds(Failure(outcome=Outcome.DELIVERED))
