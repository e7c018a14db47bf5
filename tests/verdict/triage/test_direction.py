"""Which way a connection went: a server that lost its caller is no client whose timer fired."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from whocut.verdict.triage import Cause, EndedBy, triage
from whocut.verdict.verdict import Grade

SERVERS = st.integers(1, 32767)
CALLERS = st.integers(32768, 65535)
WHYS = st.sampled_from(["i/o timeout", "connection reset by peer", "broken pipe"])


@given(does=st.sampled_from(["read", "write"]), own=SERVERS, other=CALLERS, why=WHYS)
def test_a_connection_that_was_accepted_ends_with_its_caller(
    does: str, own: int, other: int, why: str
) -> None:
    """Its own port is a server's, the other is a caller's: the caller left, and no layer is named."""
    found = triage(f"{does} tcp 172.18.0.7:{own}->172.18.0.2:{other}: {does}: {why}")

    assert (found.cause, found.ended_by, found.layer) == (Cause.CALLER_LEFT, EndedBy.CLIENT, None)
    assert found.grade is Grade.UNATTRIBUTED


@given(own=CALLERS, other=SERVERS)
def test_a_connection_that_the_program_opened_is_its_own_call(own: int, other: int) -> None:
    """A read that took too long there is the program's own deadline."""
    found = triage(f"read tcp 172.18.0.7:{own}->172.18.0.2:{other}: i/o timeout")

    assert (found.cause, found.layer) == (Cause.TIMEOUT_CHAIN, "go-http")


def test_two_ports_of_one_range_tell_nothing() -> None:
    """A server may listen on a high port: then the words alone decide."""
    found = triage(
        "Post http://127.0.0.1:62279/completion: read tcp 127.0.0.1:62281->127.0.0.1:62279: forcibly closed"
    )

    assert found.cause is not Cause.CALLER_LEFT
