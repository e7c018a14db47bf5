"""Several requests in one paste: told apart where their ends exclude each other, and whole otherwise."""

from __future__ import annotations

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
