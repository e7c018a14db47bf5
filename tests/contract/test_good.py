"""Clients that do nothing wrong are accused of nothing, whatever else they do."""

from __future__ import annotations

import pytest

from tests.contract.good import GOOD, ListsModelsAndBlocks
from whocut.contract.checks import BY_ID
from whocut.contract.client import client_of
from whocut.contract.hold import hold
from whocut.contract.judgement import Ruling
from whocut.stage.memory import MemoryLoop

# Two that the window allows a client that blocks, and that a request beside the attempts used to spoil.
FEW = [BY_ID[name] for name in ("unknown-504", "never-401", "rate-recovers")]


@pytest.mark.parametrize("habit", GOOD)
def test_a_harmless_habit_is_not_accused(habit: str) -> None:
    """All is kept; what a client refuses to send at all was not tried, and says so."""
    # Whether a client returns awaitables is found out on a real socket.
    card = hold(client_of(GOOD[habit], habit), loop_factory=MemoryLoop)

    others = {result.id: result.why for result in card.results if result.ruling is not Ruling.KEPT}
    if habit != "refuses parameters itself":
        assert others == {}
        return
    assert set(others) == {"strip-response-format", "strip-style"}
    assert others["strip-style"] == (
        "no request for an image reached the upstream: TypeError: this client has no parameter 'style'"
    )


def test_requests_beside_the_attempts_are_named_and_not_judged() -> None:
    """A list of models takes no planted answer, is no second attempt, and is in the evidence."""
    (result,) = hold(client_of(GOOD["lists models first"], "x"), checks=[BY_ID["never-401"]]).results

    assert (result.ruling, result.why) == (Ruling.KEPT, "one attempt")
    assert result.evidence[-1] == "beside: GET /v1/models (200)"


@pytest.mark.sockets
def test_a_client_that_blocks_may_list_models_too() -> None:
    """The same in a thread of its own."""
    card = hold(client_of(ListsModelsAndBlocks, "x"), checks=FEW)

    assert {result.id: result.why for result in card.results if result.ruling is not Ruling.KEPT} == {}
