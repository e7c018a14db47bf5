"""Generation times and silences, read from the ledger."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.reports.made_run import MadeRun, delivered, nginx_cut, stream_cut
from whocut.verdict.censored import Sample
from whocut_reports.generations import durations, silences


def row(**facts: Any) -> dict[str, Any]:
    """A ledger row with what a test cares about."""
    return {
        "state": "settled",
        "started_s": 0.0,
        "finished_s": None,
        "trace_id": "t",
        "partials_s": [],
        **facts,
    }


def test_orphans_count_with_their_true_duration() -> None:
    """A generation that ran on for nobody ran to its end: it is seen, not censored."""
    made = MadeRun()
    made.request("plain", nginx_cut(195.0), nginx_cut(280.0))

    sample = durations(made.ledger, end_s=1000.0)

    assert sample.seen_s == pytest.approx((195.0, 280.0))
    assert sample.censored_s == ()


def test_a_generation_without_an_end_is_censored() -> None:
    """It took at least as long as the run saw of it, and no refusal ever began."""
    ledger = [
        row(finished_s=50.0),
        row(state="stopped", started_s=10.0),
        row(state="refused", started_s=None),
    ]

    sample = durations(ledger, end_s=90.0)

    assert sample == Sample((50.0,), (80.0,))


def test_the_share_beyond_a_limit() -> None:
    """Beyond means longer than: a generation that takes exactly the limit is done in time."""
    sample = Sample((30.0, 60.0, 90.0, 120.0))

    assert sample.beyond(60.0) == pytest.approx(0.5)
    assert sample.beyond(10.0) == 1.0
    assert sample.beyond(500.0) == pytest.approx(0.0)


def test_censored_durations_make_an_estimate() -> None:
    """Kaplan and Meier by hand: of 4, one done at 10, one lost at 20, one done at 30: 1 - 3/4 * 1/2."""
    sample = Sample((10.0, 30.0), (20.0, 40.0))

    assert sample.beyond(30.0) == pytest.approx(0.375)
    assert sample.quantile(0.5) == 30.0
    assert sample.quantile(0.9) is None  # so many were never seen to finish


def test_nothing_seen_is_unknown() -> None:
    """Of no generation, or only of unfinished ones, no share is claimed."""
    assert Sample(()).beyond(60.0) is None
    assert Sample((), (10.0, 20.0)).beyond(60.0) is None


def test_silences_of_a_stream() -> None:
    """The wait runs from the start to the first event; the longest gap is between two events."""
    made = MadeRun()
    made.request("plain", nginx_cut())
    made.request("stream", stream_cut(195.0, 10.0), delivered(100.0, (20.0, 40.0)))

    found = silences(made.ledger, made.attempts)

    assert found is not None
    assert found.modes == ("stream",)
    assert found.waits.seen_s == pytest.approx((10.0, 20.0))
    assert found.longest_gaps.seen_s == pytest.approx((92.5, 60.0))


def test_heartbeats_end_the_wait_and_bound_the_gaps() -> None:
    """A stream that begins at once and says something every 15 s has no wait and no longer silence."""
    made = MadeRun()
    made.request(
        "stream", delivered(100.0, (20.0, 40.0)), replace(delivered(100.0, (20.0,)), heartbeat_s=15.0)
    )

    found = silences(made.ledger, made.attempts)

    assert found is not None
    assert found.waits.seen_s == pytest.approx((20.0, 0.0))
    assert found.longest_gaps.seen_s == pytest.approx((60.0, 15.0))


def test_no_stream_no_silences() -> None:
    """A run of plain requests has no second distribution."""
    made = MadeRun()
    made.request("plain", nginx_cut())

    assert silences(made.ledger, made.attempts) is None
