"""Every wording of a cut, side by side: they name the same layer, timer and knob."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.reports.made_run import MadeRun, nginx_cut
from tests.verdict.made import cut
from whocut.chain.timers import Phase, TimerKind
from whocut.verdict import phrases
from whocut.verdict.verdict import Behind

NGINX = cut(
    18,
    timer=TimerKind.FIRST_BYTE,
    directive="proxy_read_timeout",
    limit_s=60.0,
    phase=Phase.WAIT,
)
TIED = replace(NGINX, tie=("edge", "nginx"))
KILLED = cut(2, layer="upstream", title="the upstream", reason=phrases.without_a_timer("killed"))
LONG = replace(NGINX, directive="route.timeout of the virtual host that matches first")


def test_one_cut_in_all_its_wordings() -> None:
    """A phrase, a name, a row of a list and the beginning of a sentence."""
    assert phrases.cut_phrase(NGINX, 60.04) == "nginx cut by first_byte after 60 s, while waiting"
    assert phrases.cut_name(NGINX) == "nginx cut by first_byte"
    assert phrases.cut_row(NGINX, "proven") == (
        "nginx cut by first_byte (proxy_read_timeout, 60 s) while waiting · proven"
    )
    assert phrases.cut_count(NGINX, 18, 60) == (
        "NGINX cut 18 of 60 attempts by first_byte (proxy_read_timeout, 60 s)"
    )


@pytest.mark.parametrize(
    ("attempts", "of", "said"),
    [
        (1, None, "NGINX cut 1 attempt by"),
        (2, None, "NGINX cut 2 attempts by"),
        (1, 1, "NGINX cut 1 of 1 attempt by"),
        (1, 60, "NGINX cut 1 of 60 attempts by"),
        (1800, 6000, "NGINX cut 1,800 of 6,000 attempts by"),
    ],
)
def test_attempts_are_counted_in_the_right_number(attempts: int, of: int | None, said: str) -> None:
    """One attempt, two attempts, one of sixty attempts."""
    assert phrases.cut_count(NGINX, attempts, of).startswith(said)


def test_a_tie_names_both_layers_and_no_timer_of_either_in_a_sentence() -> None:
    """Two layers, two knobs: a table has both."""
    assert phrases.cut_count(TIED, 3) == "Edge and nginx (a tie) cut 3 attempts"
    assert phrases.cut_name(TIED) == "edge and nginx cut by first_byte (a tie)"


def test_without_a_timer_the_reason_stands_in_its_place() -> None:
    """Wherever the timer would have stood."""
    assert phrases.cut_name(KILLED) == "upstream cut without a timer (killed)"
    assert phrases.cut_count(KILLED, 2) == "The upstream cut 2 attempts without a timer (killed)"
    assert phrases.cut_row(KILLED, "testified") == "upstream cut without a timer (killed) · testified"


@pytest.mark.parametrize(("stopped", "said"), [(True, "was stopped"), (False, "had finished")])
def test_a_generation_that_was_cancelled_is_not_said_to_have_finished(*, stopped: bool, said: str) -> None:
    """It is paid all the same."""
    behind = Behind(
        generation="gen-1",
        orphaned=False,
        ran_on_s=0.0,
        billed=True,
        billed_usd=0.2,
        delivered=False,
        stopped=stopped,
    )

    assert phrases.became(behind) == f"the generation {said} and was billed"


def test_a_long_knob_is_cut_short_in_a_sentence_only() -> None:
    """A list and a table have room for it."""
    assert "(route.timeout of the virtual host t…, 60 s)" in phrases.cut_count(LONG, 2)
    assert LONG.directive is not None
    assert LONG.directive in phrases.cut_row(LONG, "proven")


def test_what_followed_is_said_alike_beside_a_bar_and_under_a_verdict() -> None:
    """The note of a row is the verdict's own cascade."""
    made = MadeRun()
    made.request("plain", nginx_cut())
    (verdict,) = made.judged().verdicts

    assert [(then.layer, then.fact) for then in verdict.cascade] == [
        ("openai-python", phrases.passed_on(504, received=True)),
        ("cloudflare-free", phrases.passed_on(504)),
    ]
