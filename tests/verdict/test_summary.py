"""A run in figures: the order of its modes, and what is counted by requests and what by images."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from tests.reports.made_run import MadeRun, Try, chain_of, delivered, layer, nginx_cut
from tests.verdict.made import summary
from whocut.chain.load import Load, LoadStage
from whocut.chain.timers import TimerKind
from whocut.show.run import print_summary
from whocut.trace.generations import generation_span
from whocut.trace.records import Outcome
from whocut.verdict.of_run import judge_run
from whocut.verdict.summary import judge

if TYPE_CHECKING:
    from pathlib import Path


def test_modes_come_as_the_run_lists_them_and_others_after_them(tmp_path: Path) -> None:
    """Open arrivals let any kind come first; a mode that nobody asked for in time has no row."""
    made = MadeRun()
    for mode in ("stray", "risky", "final"):
        made.request(mode, delivered())
    stage = LoadStage(name="mix", mix={"final": 0.5, "draft": 0.3, "risky": 0.2}, requests=3)
    load = Load(
        base_url="",
        stages=(stage,),
        users=1,
        seed=7,
        partial_images=0,
        upstream_control=None,
    )
    run = made.write(tmp_path / "run", load=load.to_plain(), clock={"scale": 100.0})

    by_mode = judge_run(run, made.topology).figures.by_mode

    assert list(by_mode) == ["final", "risky", "stray"]


def test_modes_of_a_run_without_a_plan_come_by_their_first_attempt(tmp_path: Path) -> None:
    """What was kept up for any client was told no modes."""
    made = MadeRun()
    for mode in ("b", "a", "b"):
        made.request(mode, delivered())
    run = made.write(tmp_path / "run", clock={"scale": 100.0})

    assert list(judge_run(run, made.topology).figures.by_mode) == ["b", "a"]


def said_of(made: MadeRun, *, warnings: tuple[str, ...] = ()) -> str:
    """What the terminal shows of it."""
    console = Console(file=io.StringIO(), width=200)
    print_summary(console, summary(made.judged().figures, warnings=warnings), None)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_run_that_is_not_valid_says_so_above_its_figures() -> None:
    """Why comes first, before any verdict; a valid run begins with its figures."""
    made = MadeRun()
    made.request("plain", nginx_cut(), delivered())

    said, valid = said_of(made, warnings=("the layers' loop stalled",)), said_of(made)

    assert said.splitlines()[:2] == [
        "This run is not valid. What follows may be wrong:",
        "warning: the layers' loop stalled",
    ]
    assert valid.startswith("plain:")


def test_more_images_than_requests_are_explained() -> None:
    """One order asked for two images: the lines count attempts, the table requests, and it says so."""
    made = MadeRun()
    made.request("plain", delivered(), delivered())

    assert "Images: 2; requests delivered: 1. A request is one order" in said_of(made)


def test_one_image_a_request_needs_no_explanation() -> None:
    """A retry after a cut is no second image."""
    made = MadeRun()
    made.request("plain", nginx_cut(), delivered())

    assert "requests delivered:" not in said_of(made)


def test_an_estimate_counts_in_the_right_number_and_claims_no_more_than_it_is() -> None:
    """One attempt came, one was cut: the median attempt, not an image that takes longer than those that came."""
    made = MadeRun()
    made.request("plain", nginx_cut(), delivered())

    said = said_of(made)

    assert "(median of 1 cut)" in said
    assert "Without any cut, the median attempt would take" in said
    assert "(Kaplan–Meier, 1 attempt seen to its image, 1 cut before)." in said


def test_a_cost_that_is_not_known_to_its_end_is_a_lower_bound_wherever_it_stands() -> None:
    """The table says so of what was billed; so does the sentence about the retries."""
    made = MadeRun()
    made.request("plain", nginx_cut(), delivered())
    made.ledger[0].update(state="running", billed=None, billed_usd=None, finished_s=None)

    said = said_of(made)

    assert "≥ $" in said
    assert "the generations they gave up on cost at least $" in said


CUT_AT_60: dict[str, Any] = {
    "outcome": Outcome.TRUNCATED,
    "status": 200,
    "cutter": 1,
    "generation_s": 195.0,
    "partials_s": (50.0,),
    "after_s": 60.0,
}


@pytest.mark.parametrize(
    ("timers", "timer", "heartbeat_s", "sentence"),
    [
        (
            {"total": 60.0},
            TimerKind.TOTAL,
            15.0,
            "The whole answer would have taken 195 s (median of 1 cut); Envoy's envoy_total allows 60 s.",
        ),
        (
            {"total": 60.0},
            TimerKind.TOTAL,
            None,
            "The whole answer would have taken 195 s (median of 1 cut); Envoy's envoy_total allows 60 s.",
        ),
        (
            {"idle": 10.0},
            TimerKind.IDLE,
            15.0,
            (
                "The gap between two events of the stream would have been 15 s (median of 1 cut); "
                "Envoy's envoy_idle allows 10 s."
            ),
        ),
        (
            {"idle": 10.0},
            TimerKind.IDLE,
            None,
            (
                "The gap between two events of the stream would have been 145 s (median of 1 cut); "
                "Envoy's envoy_idle allows 10 s."
            ),
        ),
        ({"idle": 60.0}, TimerKind.IDLE, 15.0, None),  # no silence was as long: nothing here explains it
    ],
)
def test_a_cut_is_explained_by_what_its_timer_waits_for(
    timers: dict[str, Any], timer: TimerKind, heartbeat_s: float | None, sentence: str | None
) -> None:
    """A total limit cuts a stream whose gaps are short: the sentence speaks of the whole answer, not of a gap."""
    made = MadeRun(topology=chain_of(layer("envoy", **timers)))
    made.request("stream", Try(timer=timer, heartbeat_s=heartbeat_s, **CUT_AT_60))

    decided = made.judged().figures.by_mode["stream"].decided

    assert (decided.sentence if decided else None) == sentence


def test_a_wait_behind_a_layer_that_buffers_is_the_wait_for_the_whole_answer() -> None:
    """The upstream's first byte came after 20 s, and a buffer kept it: the first byte was the last."""
    made = MadeRun(topology=chain_of(layer("edge", first_byte=60.0), layer("buffer")))
    made.request(
        "stream",
        Try(
            outcome=Outcome.GATEWAY_ERROR,
            status=504,
            cutter=1,
            timer=TimerKind.FIRST_BYTE,
            after_s=60.0,
            generation_s=195.0,
            partials_s=(80.0,),
        ),
    )
    made.ledger[0]["partials_s"] = [made.ledger[0]["accepted_s"] + 20.0]
    made.spans[-2] = generation_span(made.ledger[0])

    decided = made.judged().figures.by_mode["stream"].decided
    assert decided is not None
    assert decided.median_s == 195.0


def test_without_a_ledger_an_image_costs_what_it_costs_with_one() -> None:
    """Two images of one request at $0.20 each are not one at $0.40."""
    made = MadeRun()
    made.request("plain", delivered(), delivered())
    for attempt in made.attempts:
        attempt.charged_usd = 0.2

    books = judge(made.attempts, made.spans, None, made.topology).figures.ledger

    assert books.usd_per_delivered == 0.2
