"""Clients that do nothing wrong are accused of nothing, whatever else they do."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pytest

from tests.contract import good_sync
from tests.contract.good import ASYNC, PROGRAMS, SYNC, AroundAsync, lists_models
from whocut.contract.checks import BY_ID
from whocut.contract.client import Candidate, client_of, command_client
from whocut.contract.hold import hold
from whocut.contract.judgement import Ruling
from whocut.contract.judges import jittered
from whocut.stage.memory import MemoryLoop
from whocut.stage.pace import library

if TYPE_CHECKING:
    from collections.abc import Collection

    from whocut.contract.trial import Trial

shortened = pytest.mark.skipif(library() is None, reason="no waits can be shortened on this machine")
# A call that blocks cannot be cancelled.
UNCANCELLED = frozenset({"cancel-waiting", "cancel-between"})


def others(target: Candidate, **options: Any) -> dict[str, str]:
    """What is not kept, with the reason."""
    card = hold(target, **options)
    return {result.id: result.why for result in card.results if result.ruling is not Ruling.KEPT}


def accused(target: Candidate, lacks: Collection[str] = (), **options: Any) -> dict[str, str]:
    """What it is said to break, and does not do without on purpose."""
    return {
        result.id: result.why
        for result in hold(target, **options).results
        if result.ruling is Ruling.BROKEN and result.id not in lacks
    }


def test_there_are_forty_of_them() -> None:
    """Async, sync and as programs."""
    assert len(ASYNC) + len(SYNC) + len(PROGRAMS) >= 40


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if one.quick else pytest.mark.long) for name, one in ASYNC.items()]
)
def test_a_harmless_habit_is_not_accused(name: str) -> None:
    """All is kept, but what it does without; what it refuses to send at all was not tried."""
    one = ASYNC[name]

    # Whether a client returns awaitables is found out on a real socket.
    found = others(client_of(one.make, name), loop_factory=MemoryLoop)

    left = {check: why for check, why in found.items() if check not in one.lacks | one.untried}
    assert left == {}


@pytest.mark.long
@pytest.mark.timeout(900)  # on a busy machine
@pytest.mark.sockets
@shortened
@pytest.mark.parametrize("name", SYNC)
def test_a_harmless_habit_of_a_sync_client_is_not_accused(name: str) -> None:
    """In a process of its own, whose waits pass quickly."""
    written = f"tests.contract.good_sync:made_{name}"

    assert accused(client_of(good_sync.maker(name), written)) == {}


@pytest.mark.long
@pytest.mark.timeout(900)  # on a busy machine
@pytest.mark.sockets
@shortened
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_harmless_habit_of_a_program_is_not_accused(name: str) -> None:
    """As a program, put to every check."""
    assert accused(command_client(PROGRAMS[name], asks=True)) == {}


@pytest.mark.sockets
@shortened
def test_a_program_that_a_client_starts_keeps_the_clients_clock() -> None:
    """While it starts, computes or waits for less than the client does, no wait of the client's passes it by."""
    target = client_of(good_sync.maker("as_a_program"), "tests.contract.good_sync:made_as_a_program")

    results = hold(target, checks=[BY_ID["total-bounded"], BY_ID["deadline-kept"]]).results

    assert {result.id: result.why for result in results if result.ruling is not Ruling.KEPT} == {}


@pytest.mark.parametrize(
    ("largest_s", "ruling"), [(5.1, Ruling.KEPT), (5.03, Ruling.KEPT), (5.0, Ruling.BROKEN)]
)
def test_a_little_chance_in_a_wait_is_chance(largest_s: float, ruling: Ruling) -> None:
    """Half a second of back-off leaves an eighth of a second to it; eight waits without any are one wait."""

    @dataclass
    class Waits:
        """As much of a trial in virtual time as the judge looks at."""

        waits_by_request_s: tuple[tuple[float, ...], ...]
        exact: bool = True
        ended: bool = True

    waits_s = tuple((wait_s,) for wait_s in (5.0,) * 7 + (largest_s,))

    assert jittered(cast("Trial", Waits(waits_s))).ruling is ruling


def test_what_a_client_refuses_to_send_was_not_tried() -> None:
    """Its own error is the reason."""
    make = ASYNC["refuses parameters itself"].make
    found = others(client_of(make, "x"), checks=[BY_ID["strip-style"]], loop_factory=MemoryLoop)

    assert found["strip-style"] == (
        "no request for an image reached the upstream: TypeError: this client has no parameter 'style'"
    )


def test_requests_beside_the_attempts_are_named_and_not_judged() -> None:
    """A list of models takes no planted answer, is no second attempt, and is in the evidence."""
    make = ASYNC["lists models first"].make
    (result,) = hold(client_of(make, "x"), checks=[BY_ID["never-401"]]).results

    assert (result.ruling, result.why) == (Ruling.KEPT, "one attempt")
    assert result.evidence[-1] == "beside: GET /v1/models (200)"


def test_a_habit_that_asks_twice_is_found() -> None:
    """The table's own frame hides no fault."""

    async def twice(client: AroundAsync, wanted: dict[str, Any]) -> Any:
        try:
            return await lists_models(client, wanted)
        except Exception:  # noqa: BLE001  # that is the fault
            await asyncio.sleep(700)
            return await client.ask(**wanted)

    target = client_of(lambda base_url, api_key: AroundAsync(base_url, api_key, habit=twice), "x")

    assert set(accused(target, checks=[BY_ID["unknown-504"]], loop_factory=MemoryLoop)) == {"unknown-504"}
