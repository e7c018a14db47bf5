"""Several requests in one paste: told apart where their ends exclude each other, and whole otherwise."""

from __future__ import annotations

import json

import pytest

from whocut.verdict.triage import Cause, Retry, triage

PAID = (
    '2026/11/02 10:11:12 Post "https://h/v1": context deadline exceeded '
    "(Client.Timeout exceeded while awaiting headers)"
)
REFUSED = '2026/11/02 10:14:12 Post "https://h/v1": dial tcp 192.0.2.44:443: connect: connection refused'


def test_a_refused_connection_does_not_answer_for_a_request_that_was_paid() -> None:
    """Both are told; the one that pays again comes first, in whichever order they stand."""
    for text in (f"{PAID}\n{REFUSED}", f"{REFUSED}\n{PAID}"):
        found = triage(text)

        assert (found.layer, found.retry) == ("go-http", Retry.PAYS_AGAIN)
        assert [(one.cause, one.retry) for one in found.others] == [(Cause.CONNECTION, Retry.SAFE)]


def test_a_chain_of_causes_stays_one_request() -> None:
    """Lines without a time of their own explain each other."""
    found = triage(
        "httpx.ConnectError: [Errno 111] Connection refused\n\nopenai.APITimeoutError: Request timed out."
    )

    assert found.others == ()


def test_lines_that_agree_stay_one_request() -> None:
    """Two lines of which neither says that nothing was sent are read together."""
    found = triage(f"{PAID}\n2026/11/02 10:11:12 took 30s in all")

    assert (found.others, found.elapsed_s) == ((), 30)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("attempt 1: ", "attempt 2: "),
        ("1. ", "2. "),
        ("- ", "- "),
        ("[job=1] ", "[job=2] "),
        ("08:31:02 ", "08:32:03 "),
    ],
)
def test_tries_without_a_date_are_told_apart_too(first: str, second: str) -> None:
    """A try that got no connection does not make another one safe, whose request was sent and paid for."""
    timed_out, refused = "timeout of 60000ms exceeded", "connect ECONNREFUSED 192.0.2.9:443"
    for texts in ((timed_out, refused), (refused, timed_out)):
        found = triage(f"{first}{texts[0]}\n{second}{texts[1]}")

        assert found.retry is Retry.PAYS_AGAIN
        assert [one.retry for one in found.others] == [Retry.SAFE]


def test_a_record_around_several_lines_hides_none() -> None:
    """Lines that stand in a string of a record are told apart as they are outside of it."""
    found = triage(json.dumps({"level": "error", "msg": f"{REFUSED}\n{PAID}"}))

    assert (found.retry, len(found.others)) == (Retry.PAYS_AGAIN, 1)
