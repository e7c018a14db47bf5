from __future__ import annotations

import pytest

from whocut.trace.records import Attempt, Outcome
from whocut.verdict.retry_audit import audit_retries, ending, unknown, useless
from whocut.verdict.verdict import Behind, Kind, Verdict


def attempt(number: int, start_s: float, end_s: float, outcome: Outcome, **more: object) -> Attempt:
    """One attempt of a request."""
    fields: dict[str, object] = {
        "request": "request-1",
        "mode": "plain",
        "trace_id": "t",
        "span_id": f"s{number}",
    }
    record = Attempt(number=number, user=0, started_s=start_s, **fields | more)  # type: ignore[arg-type]
    record.ended_s, record.outcome = end_s, outcome
    return record


def billed(number: int, usd: float) -> Verdict:
    """The verdict on an attempt behind which a generation is billed."""
    behind = Behind(
        generation=f"gen-{number}",
        orphaned=True,
        ran_on_s=135.0,
        billed=True,
        billed_usd=usd,
        delivered=False,
    )
    return Verdict(
        request="request-1",
        attempt=number,
        mode="plain",
        trace_id="t",
        outcome=None,
        kind=Kind.CUT,
        behind=behind,
    )


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("rate_limit_exceeded", "429 rate_limit_exceeded"),
        (
            "429 invalid_request_error",
            "429 invalid_request_error",
        ),  # no code: its type, with the status before
    ],
)
def test_a_status_is_said_once(error: str, words: str) -> None:
    """What an attempt ended with, in words."""
    assert ending(attempt(1, 0, 1, Outcome.REJECTED, status=429, error=error)) == words


def test_a_retry_after_a_504_is_a_finding_with_its_price() -> None:
    """The sentence says what it followed, how soon, and what it costs."""
    tries = [
        attempt(1, 0, 60, Outcome.GATEWAY_ERROR, status=504),
        attempt(2, 60.5, 120.5, Outcome.GATEWAY_ERROR, status=504),
    ]

    audit = audit_retries(tries, [billed(1, 0.21)])

    (found,) = audit.blind
    assert found.billed_usd == 0.21
    assert audit.figures()["after_unknown_usd"] == 0.21
    assert audit.sentences() == [
        (
            "request-1 was asked again (attempt 2) 500 ms after a gateway's 504: "
            "the generation behind it may still be running and costs $0.21"
        )
    ]


def test_what_follows_a_redirect_is_no_retry() -> None:
    """One request that was sent elsewhere once, and answered there."""
    tries = [
        attempt(1, 0, 1, Outcome.REJECTED, status=307),
        attempt(2, 1, 60, Outcome.DELIVERED, status=200),
    ]

    audit = audit_retries(tries)

    assert audit.retries == ()


def test_a_summary_holds_examples_of_the_findings_and_their_number() -> None:
    """A large run repeats one finding tens of thousands of times; a summary that lists them all is unreadable."""
    tries = [
        attempt(number, 61 * number, 61 * number + 60, Outcome.GATEWAY_ERROR, status=504)
        for number in range(1, 101)
    ]

    figures = audit_retries(tries).figures()

    assert figures["findings"] >= 99
    assert 20 <= len(figures["sentences"]) <= 40


@pytest.mark.parametrize(
    ("waited_s", "short_by_s"), [(12.0, 0.0), (13.0, 0.0), (11.995, 0.0), (2.0, 10.0)], ids=str
)
def test_retry_after_is_kept_or_broken_by_so_much(waited_s: float, short_by_s: float) -> None:
    """A wait that is short by less than a clock's error was kept."""
    tries = [
        attempt(1, 0, 1, Outcome.REJECTED, status=429, error="rate_limit_exceeded", retry_after_s=12.0),
        attempt(2, 1 + waited_s, 100, Outcome.DELIVERED, status=200),
    ]

    audit = audit_retries(tries)

    assert audit.retries[0].short_by_s == pytest.approx(short_by_s)
    assert audit.retries[0].waited_s == pytest.approx(waited_s)
    assert bool(audit.sentences()) is bool(short_by_s)


def test_retries_of_many_requests_at_once_are_a_storm() -> None:
    """Six requests that come again within a second were not spread; six within a minute were."""

    def crowd(apart_s: float) -> list[Attempt]:
        first = [attempt(1, 0, 1, Outcome.REJECTED, status=429, request=f"r{n}") for n in range(6)]
        again = [attempt(2, 5 + apart_s * n, 60, Outcome.DELIVERED, request=f"r{n}") for n in range(6)]
        return first + again

    assert [storm.requests for storm in audit_retries(crowd(0.1)).storms] == [6]
    assert audit_retries(crowd(10.0)).storms == ()


@pytest.mark.parametrize(
    ("one", "is_unknown", "is_useless"),
    [
        (attempt(1, 0, 1, Outcome.TIMEOUT), True, False),
        (attempt(1, 0, 1, Outcome.CENSORED), True, False),
        (attempt(1, 0, 1, Outcome.GATEWAY_ERROR, status=499), True, False),
        (attempt(1, 0, 1, Outcome.GATEWAY_ERROR, status=429), False, False),
        (attempt(1, 0, 1, Outcome.REJECTED, status=200, error="server_error"), True, False),
        (attempt(1, 0, 1, Outcome.REJECTED, status=200, error="moderation_blocked"), False, True),
        (attempt(1, 0, 1, Outcome.REJECTED, status=429, error="insufficient_quota"), False, True),
        (attempt(1, 0, 1, Outcome.REJECTED, status=401, error="invalid_api_key"), False, True),
        (attempt(1, 0, 1, Outcome.REJECTED, status=503, error="server_is_overloaded"), False, False),
        (attempt(1, 0, 1, Outcome.REFUSED), False, False),
        (attempt(1, 0, 1, Outcome.DELIVERED, status=200), False, False),
    ],
)
def test_endings_are_unknown_useless_or_neither(one: Attempt, is_unknown: bool, is_useless: bool) -> None:  # noqa: FBT001
    """What may be going on, what asking again does not change, and the rest."""
    assert (unknown(one), useless(one)) == (is_unknown, is_useless)
