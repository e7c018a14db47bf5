"""What an attempt cost, by how it ended: a table, a row a way of ending."""

from __future__ import annotations

from typing import Any

import pytest

from whocut.client.spending.bound import FREE, Price
from whocut.client.spending.breaker import Breaker
from whocut.client.spending.settling import charge
from whocut.trace.records import Attempt, Outcome

PRICE = Price(nano_usd=1_000_000_000, model="gpt-image-2", quality="high")
USAGE = {
    "input_tokens": 10,
    "output_tokens": 7024,
    "input_tokens_details": {"text_tokens": 10, "image_tokens": 0},
}
COST = 10 * 5_000 + 7024 * 30_000
KEPT = None


def ended(outcome: Outcome, status: int | None = None, phase: str | None = None) -> Attempt:
    """An attempt that ended so."""
    return Attempt(
        request="plain-0001",
        number=1,
        mode="plain",
        trace_id="1" * 32,
        span_id="1" * 16,
        user=1,
        started_s=0,
        outcome=outcome,
        status=status,
        phase=phase,
    )


def moderated(stage: str | None) -> dict[str, Any]:
    """The API's block, by its stage."""
    details = {"moderation_details": {"moderation_stage": stage}} if stage else {}
    return {"code": "moderation_blocked", "message": "…"} | details


@pytest.mark.parametrize(
    ("attempt", "usage", "error", "cost", "failed"),
    [
        (ended(Outcome.DELIVERED, 200), USAGE, None, COST, False),
        (ended(Outcome.DELIVERED, 200), None, None, KEPT, False),
        (ended(Outcome.TIMEOUT, phase="wait"), None, None, KEPT, True),
        (ended(Outcome.TIMEOUT, phase="connect"), None, None, 0, True),
        (ended(Outcome.TIMEOUT, 200, phase="stream"), None, None, KEPT, True),
        (ended(Outcome.GATEWAY_ERROR, 504), None, None, KEPT, True),
        (ended(Outcome.GATEWAY_ERROR, 429), None, None, KEPT, True),
        (ended(Outcome.RESET), None, None, KEPT, True),
        (ended(Outcome.TRUNCATED, 200), USAGE, None, KEPT, True),
        (ended(Outcome.REFUSED, phase="connect"), None, None, 0, True),
        (ended(Outcome.CENSORED), None, None, KEPT, None),
        (ended(Outcome.REJECTED, 400), None, {"code": "invalid_value"}, 0, False),
        (ended(Outcome.REJECTED, 400), None, moderated("input"), 0, False),
        (ended(Outcome.REJECTED, 400), None, moderated("output"), KEPT, False),
        (ended(Outcome.REJECTED, 400), None, moderated(None), KEPT, False),
        (ended(Outcome.REJECTED, 200), None, moderated("output"), KEPT, False),
        (ended(Outcome.REJECTED, 401), None, {"code": "invalid_api_key"}, 0, True),
        (ended(Outcome.REJECTED, 403), None, {"code": None}, 0, True),
        (ended(Outcome.REJECTED, 429), None, {"code": "rate_limit_exceeded"}, 0, None),
        (ended(Outcome.REJECTED, 429), None, {"code": "insufficient_quota"}, 0, True),
        (ended(Outcome.REJECTED, 400), None, {"code": "billing_hard_limit_reached"}, 0, True),
        (ended(Outcome.REJECTED, 307), None, None, 0, None),
        (ended(Outcome.REJECTED, 500), None, {"code": "server_error"}, KEPT, True),
        (ended(Outcome.REJECTED, 503), None, {"code": "server_is_overloaded"}, KEPT, True),
        (ended(Outcome.REJECTED, 200), None, {"code": "server_error"}, KEPT, True),
    ],
    ids=lambda value: f"{value.outcome} {value.status}" if isinstance(value, Attempt) else None,
)
def test_the_end_decides_what_it_cost(
    attempt: Attempt, usage: object, error: dict[str, Any] | None, cost: int | None, failed: object
) -> None:
    """Only what the API says was used, or what certainly came before any work, costs less than the reservation."""
    found = charge(attempt, PRICE, usage, error)

    assert (found.nano_usd, found.failed) == (cost, failed)


def test_what_is_free_costs_nothing_whatever_its_answer_says() -> None:
    """The GET after a 303 reserves nothing: a `usage` in its answer would lock the account for every later run."""
    found = charge(ended(Outcome.DELIVERED, 200), FREE, USAGE, None)

    assert (found.nano_usd, found.failed) == (0, False)


@pytest.mark.parametrize(
    ("results", "opens"),
    [
        ([], False),
        ([True] * 9, False),
        ([True] * 10, True),
        ([True, False] * 10, False),
        ([True] * 11 + [False] * 9, True),
        ([True] * 100 + [False] * 20, False),
        ([False] * 100 + [True] * 11, True),
        ([False] * 100 + [True] * 10, False),
    ],
    ids=lambda value: f"{len(value)} ended" if isinstance(value, list) else None,
)
def test_the_breaker_opens_on_more_than_half_of_the_last_twenty(results: list[bool], opens: object) -> None:
    """Ten must have ended, and what is older than twenty is forgotten."""
    assert Breaker().opens(results) is opens
