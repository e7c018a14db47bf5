"""Which request is drawn, by which rule."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.reports.made_run import MadeRun, delivered, nginx_cut, unattributed
from whocut.verdict.pick import RULES, Pick, pick_request


@pytest.fixture
def made() -> MadeRun:
    """Five plain requests: three alike, one delivered after a cut, one unattributed; and a stream."""
    made = MadeRun()
    made.request("plain", nginx_cut(150.0), nginx_cut(150.0))  # plain-0001
    made.request("plain", nginx_cut(280.0), nginx_cut(280.0))  # plain-0002: ran on longest
    made.request("plain", nginx_cut(195.0), nginx_cut(195.0))  # plain-0003: in the middle
    made.request("plain", nginx_cut(100.0), nginx_cut(100.0), delivered(50.0))  # plain-0004: took longest
    made.request("plain", unattributed())  # plain-0005
    made.request("stream", delivered(30.0, (9.0,)))
    return made


@pytest.mark.parametrize(
    ("pick", "request_id"),
    [
        (Pick.TYPICAL, "plain-0003"),  # three share its verdicts, and it is the middle one of them
        (Pick.CUT, "plain-0001"),  # the first with two attempts cut
        (Pick.ORPHAN, "plain-0002"),
        (Pick.SLOWEST, "plain-0004"),
        (Pick.DELIVERED, "plain-0004"),
        (Pick.UNATTRIBUTED, "plain-0005"),
    ],
)
def test_each_rule_picks_its_request(made: MadeRun, pick: Pick, request_id: str) -> None:
    """A rule names one request, says itself, and counts how many are alike."""
    picked = pick_request(made.judged().verdicts, made.attempts, pick=pick, mode="plain")

    assert picked is not None
    assert picked.request == request_id
    assert picked.rule == RULES[pick]
    assert picked.among == 5


def test_typical_counts_its_like(made: MadeRun) -> None:
    """Three of five requests have the commonest sequence of verdicts."""
    picked = pick_request(made.judged().verdicts, mode="plain")

    assert picked is not None
    assert picked.alike == 3


def test_a_tie_can_be_asked_for(made: MadeRun) -> None:
    """The rule finds the request whose verdict is a tie, and none where no verdict is."""
    verdicts = list(made.judged().verdicts)
    assert pick_request(verdicts, pick=Pick.TIE) is None
    verdicts[4] = replace(verdicts[4], tie=("cloudflare-free", "nginx"))

    picked = pick_request(verdicts, pick=Pick.TIE)

    assert picked is not None
    assert picked.request == verdicts[4].request


def test_nothing_fits() -> None:
    """Where no request has what is asked for, none is drawn instead."""
    made = MadeRun()
    made.request("plain", delivered())

    assert pick_request(made.judged().verdicts, made.attempts, pick=Pick.CUT) is None
    assert pick_request((), pick=Pick.TYPICAL) is None
    assert pick_request(made.judged().verdicts, mode="stream") is None
