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
from tests.verdict.made import cut, figures
from whocut.chain.timers import TimerKind
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
        "3 orphaned generations ran on and cost $0.63."
    )


@pytest.mark.parametrize(
    ("requests", "expected"),
    [
        ((), "No attempt was made."),
        (((delivered(),),), "No layer cut: the only attempt was delivered."),
        (((delivered(),), (delivered(),)), "No layer cut: all 2 attempts were delivered."),
        (((censored(),), (censored(),)), "The run ended before any of 2 attempts did."),
        (
            ((rejected(),), (delivered(),)),
            "No layer cut any of 2 attempts. 1 was delivered. 1 was rejected by the API.",
        ),
        (
            ((unattributed(),),),
            (
                "No layer is known to have cut any of 1 attempt. 1 was ended by an unknown layer. "
                "1 orphaned generation ran on and cost $0.21."
            ),
        ),
        (
            ((nginx_cut(), delivered()), (unattributed(),)),
            (
                "NGINX cut 1 of 3 attempts by first_byte (proxy_read_timeout, 60 s). 1 was delivered. "
                "1 was ended by an unknown layer. 2 orphaned generations ran on and cost $0.42."
            ),
        ),
        (
            ((nginx_cut(),), (nginx_cut(),), (stream_cut(),)),
            (
                "NGINX cut 2 of 3 attempts by first_byte (proxy_read_timeout, 60 s). "
                "NGINX cut 1 by idle (proxy_read_timeout, 60 s). "
                "3 orphaned generations ran on and cost $0.63."
            ),
        ),
    ],
)
def test_other_stories(requests: tuple[tuple[Try, ...], ...], expected: str) -> None:
    """Every way a run can have gone is a true sentence, in the right number."""
    assert told(*requests) == expected


def test_a_tie_names_both() -> None:
    """Two layers that cannot be told apart are both named, and the tie is said."""
    tied = cut(1, layer="edge", title="Edge", timer=TimerKind.IDLE, tie=("edge", "nginx"))

    said = story.headline(figures(attempts=1, verdicts=(tied,)), story.Orphans(0, 0.0))

    assert said == "Edge and nginx (a tie) cut 1 of 1 attempt."


def test_two_reasons_without_a_timer_are_two() -> None:
    """An upstream that was killed, and refused from then on, did not refuse everybody."""
    rows = (
        cut(40, layer="upstream", title="upstream", reason="without a timer (refused)"),
        cut(20, layer="upstream", title="upstream", reason="without a timer (killed)"),
    )

    assert story.headline(figures(attempts=60, verdicts=rows), story.Orphans(0, 0.0)) == (
        "Upstream cut 40 of 60 attempts without a timer (refused). Upstream cut 20 without a timer (killed)."
    )
