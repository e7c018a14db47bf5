"""The breaker as it is written: off, a share, a share of so many attempts."""

from __future__ import annotations

import pytest

from whocut.client.spending.breaker import Breaker, parse_breaker
from whocut.errors import BadInput


def test_without_a_word_it_is_half_of_twenty() -> None:
    """The guard's own, which money was agreed to with."""
    assert parse_breaker(None) == Breaker(window=20, at_least=10, share=0.5)


def test_off_never_opens() -> None:
    """Whatever fails."""
    off = parse_breaker("off")

    assert off.off
    assert not off.opens([True] * 100)


@pytest.mark.parametrize(
    ("written", "failures", "opens"),
    [("80%", 15, False), ("80%", 17, True), ("80%/50", 39, False), ("80%/50", 41, True), ("0%", 1, True)],
)
def test_a_share_opens_it_where_more_fail(written: str, failures: int, opens: bool) -> None:  # noqa: FBT001  # a case
    """Of the last attempts, so many as are written."""
    breaker = parse_breaker(written)
    results = [False] * (breaker.window - failures) + [True] * failures

    assert breaker.opens(results) is opens
    assert not breaker.opens(results[-breaker.at_least + 1 :])


@pytest.mark.parametrize("written", ["", "on", "100%", "-1%", "80", "80%/0", "80%/101", "80%/", "8e1%"])
def test_what_is_no_breaker_is_named(written: str) -> None:
    """With the forms that are."""
    with pytest.raises(BadInput, match="Write off, or the share of failures like 80%"):
        parse_breaker(written)
