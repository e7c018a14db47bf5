"""Each gateway between two taps: a few requests in each way of ending, and not one wrong `proven`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.path.gateways import needed
from tests.worlds.gateways.cells import CELLS, Truth, Who
from tests.worlds.gateways.judge import accuses_wrongly, judge_world
from tests.worlds.gateways.play import INNER, OUTER, Asked, play
from whocut.chain.products import products
from whocut.chain.timers import TimerKind
from whocut.clock import run_real

if TYPE_CHECKING:
    from pathlib import Path

GATEWAY = Truth(Who.GATEWAY, TimerKind.IDLE)


# One that tells its caller and one that lets it hang: these are held to it always, the others where time is given.
ALWAYS = ("nginx", "http-proxy-middleware")


def held_to(name: str, folder: Path, *, requests: int) -> None:
    """No layer is accused wrongly above `inferred`; said or unsaid, nothing is lost and nothing falls over."""
    needed(name)

    world = run_real(play(name, CELLS, folder / name, requests=requests, at_once=20))

    for said in (True, False):
        for cell, score in judge_world(world, said=said).items():
            assert not score.wrong["proven"], (cell, said, score.told)
            assert not score.wrong["testified"], (cell, said, score.told)
            assert (score.lost, score.tracebacks) == (0, 0), (cell, said, score.told)
            assert not said or score.named == score.cuts, (cell, score.told)


@pytest.mark.gateway
@pytest.mark.sockets
@pytest.mark.parametrize("name", ALWAYS)
def test_each_way_of_ending_is_judged_rightly(name: str, tmp_path: Path) -> None:
    """A request of each cell, through the gateway between two taps."""
    held_to(name, tmp_path, requests=1)


@pytest.mark.gateway
@pytest.mark.sockets
@pytest.mark.skipif(not os.environ.get("WHOCUT_LONG"), reason="a longer proof: set WHOCUT_LONG=1")
@pytest.mark.parametrize("name", sorted(products()))
def test_a_gateway_between_two_taps_is_judged_rightly(name: str, tmp_path: Path) -> None:
    """Each gateway that is installed."""
    held_to(name, tmp_path, requests=2)


def row(**facts: object) -> dict[str, object]:
    """A verdict as `whocut attribute --json` writes it."""
    usual = {
        "kind": "cut",
        "layer": "nginx",
        "timer": "idle",
        "outcome": "reset",
        "tie": [],
        "grade": "proven",
    }
    return usual | facts


WRONG = {
    "another layer": row(layer="upstream"),
    "a tap": row(layer=OUTER),
    "another timer": row(timer="first_byte"),
    "nobody": row(kind="none", layer=None, timer=None),
}


@pytest.mark.parametrize("case", WRONG)
def test_the_judge_of_the_worlds_sees_a_wrong_verdict(case: str) -> None:
    """What it lets pass would not be found by it."""
    assert accuses_wrongly(WRONG[case], GATEWAY, "nginx", said=True)
    assert not accuses_wrongly(row(), GATEWAY, "nginx", said=True)
    assert not accuses_wrongly(row(timer=None), GATEWAY, "nginx", said=True)


@pytest.mark.parametrize("layer", [INNER, OUTER, "client", "upstream"])
def test_an_unsaid_gateway_may_have_any_name_but_that_of_a_neighbour(layer: str) -> None:
    """Its place is all that can be known of it."""
    unsaid = row(layer="what is between outer and inner", timer=None)

    assert accuses_wrongly(row(layer=layer, timer=None), GATEWAY, "nginx", said=False)
    assert not accuses_wrongly(unsaid, GATEWAY, "nginx", said=False)


def test_a_delivery_that_was_none_is_wrong_and_a_cut_that_was_a_delivery_too() -> None:
    """Both ways."""
    delivered = row(kind="none", layer=None, timer=None, outcome="delivered")
    nobody = Truth(Who.NOBODY)

    assert accuses_wrongly(row(), nobody, "nginx", said=True)
    assert not accuses_wrongly(delivered, nobody, "nginx", said=True)
    assert accuses_wrongly(delivered, Truth(Who.UPSTREAM), "nginx", said=True)


def asked(who: Who, *, saw: str, gave_up: str = "", took_s: float = 1.0) -> Asked:
    """A request that began at 10 s of this process's loop."""
    return Asked(CELLS[0], Truth(who), "a" * 32, 10.0, 10.0 + took_s, saw, gave_up)


STALLED = [(10.2, 10.9)]
BESIDE = {
    "never connected": (
        asked(Who.UPSTREAM, saw="APITimeoutError", gave_up="ConnectTimeout"),
        [],
        {Who.CLIENT},
    ),
    "the gateway's 504": (asked(Who.NOBODY, saw="status 504"), [], {Who.GATEWAY}),
    "left too late": (asked(Who.CLIENT, saw="left", took_s=2.1), [], {Who.CLIENT, Who.GATEWAY}),
    "waited in vain": (
        asked(Who.NOBODY, saw="APITimeoutError", gave_up="ReadTimeout"),
        [],
        {Who.CLIENT, Who.GATEWAY},
    ),
    "stood still and left": (asked(Who.CLIENT, saw="left"), STALLED, {Who.CLIENT, Who.GATEWAY}),
    "a 504 for an end": (asked(Who.UPSTREAM, saw="status 504"), [], {Who.UPSTREAM, Who.GATEWAY}),
    "as meant": (asked(Who.GATEWAY, saw="APITimeoutError", gave_up="ReadTimeout"), [], {Who.GATEWAY}),
    "stood still before": (asked(Who.CLIENT, saw="left"), [(1.0, 9.9)], {Who.CLIENT}),
}


@pytest.mark.parametrize("case", BESIDE)
def test_a_busy_machine_makes_other_truths_and_they_are_seen(case: str) -> None:
    """By what the client's library says, by a status that only a gateway writes, by how long this process slept."""
    request, stalls, who = BESIDE[case]

    assert {truth.who for truth in request.truths(stalls)} == who


def test_every_cell_says_what_happens_without_its_timer() -> None:
    """A product without a timer for silence has a truth of its own in each cell."""
    assert all(cell.truth_for({TimerKind.FIRST_BYTE: "knob"}) for cell in CELLS)
