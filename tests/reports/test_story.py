"""A run in sentences."""

from __future__ import annotations

import pytest

from tests.reports.made_run import (
    MadeRun,
    Try,
    censored,
    delivered,
    nginx_cut,
    rejected,
    stream_cut,
    unattributed,
)
from whocut_reports import story


def told(*requests: tuple[Try, ...]) -> str:
    """The headline of a run of these requests, all of one mode."""
    made = MadeRun()
    for tries in requests:
        made.request("plain", *tries)
    orphans = story.orphans_by_mode(made.ledger, made.attempts).get("plain", story.Orphans(0, 0.0))
    return story.headline(made.judged().figures, orphans)


def test_the_articles_story() -> None:
    """Who cut how many of how many, by which knob, and what ran on for nobody."""
    assert told((nginx_cut(), nginx_cut(), nginx_cut())) == (
        "NGINX cut 3 of 3 attempts by first_byte (proxy_read_timeout, 60 s). "
        "3 generations ran on for nobody and cost $0.63."
    )


@pytest.mark.parametrize(
    ("requests", "expected"),
    [
        ((), "No attempt was made."),
        (((delivered(),),), "Nobody cut: the only attempt was delivered."),
        (((delivered(),), (delivered(),)), "Nobody cut: all 2 attempts were delivered."),
        (((censored(),), (censored(),)), "The run ended before any of 2 attempts did."),
        (
            ((rejected(),), (delivered(),)),
            "Nobody cut any of 2 attempts. 1 was delivered. 1 was rejected by the API.",
        ),
        (
            ((unattributed(),),),
            (
                "Nobody is known to have cut any of 1 attempt. 1 was ended by a layer nobody can name. "
                "1 generation ran on for nobody and cost $0.21."
            ),
        ),
        (
            ((nginx_cut(), delivered()), (unattributed(),)),
            (
                "NGINX cut 1 of 3 attempts by first_byte (proxy_read_timeout, 60 s). 1 was delivered. "
                "1 was ended by a layer nobody can name. 2 generations ran on for nobody and cost $0.42."
            ),
        ),
        (
            ((nginx_cut(),), (nginx_cut(),), (stream_cut(),)),
            (
                "NGINX cut 2 of 3 attempts by first_byte (proxy_read_timeout, 60 s). "
                "NGINX cut 1 by idle (proxy_read_timeout, 60 s). "
                "3 generations ran on for nobody and cost $0.63."
            ),
        ),
    ],
)
def test_other_stories(requests: tuple[tuple[Try, ...], ...], expected: str) -> None:
    """Every way a run can have gone is a true sentence, in the right number."""
    assert told(*requests) == expected


def test_a_tie_names_both() -> None:
    """Two layers that cannot be told apart are both named, and the tie is said."""
    figures = {
        "attempts": 1,
        "attempt_outcomes": {},
        "unattributed": 0,
        "never_ended": 0,
        "verdicts": [
            {
                "layer": "edge",
                "title": "Edge",
                "timer": "idle",
                "directive": "edge_idle",
                "limit_s": 60.0,
                "attempts": 1,
                "tie": ["edge", "nginx"],
                "reason": "",
            }
        ],
    }

    assert story.headline(figures, story.Orphans(0, 0.0)) == ("Edge and nginx (a tie) cut 1 of 1 attempt.")


def test_two_reasons_without_a_timer_are_two() -> None:
    """An upstream that was killed, and refused from then on, did not refuse everybody."""
    row: dict[str, object] = {
        "layer": "upstream",
        "title": "upstream",
        "timer": None,
        "directive": None,
        "limit_s": None,
        "tie": [],
    }
    figures = {
        "attempts": 60,
        "attempt_outcomes": {},
        "unattributed": 0,
        "never_ended": 0,
        "verdicts": [
            {**row, "attempts": 40, "reason": "without a timer (refused)"},
            {**row, "attempts": 20, "reason": "without a timer (killed)"},
        ],
    }

    assert story.headline(figures, story.Orphans(0, 0.0)) == (
        "Upstream cut 40 of 60 attempts without a timer (refused). Upstream cut 20 without a timer (killed)."
    )
