"""Clients that block, and programs, are watched on a clock of their own: an hour of back-off takes seconds."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.contract import planted
from whocut.contract.checks import BY_ID, CHECKS
from whocut.contract.client import client_of, command_client
from whocut.contract.hold import hold
from whocut.contract.judgement import Ruling
from whocut.stage.pace import library

pytestmark = [
    pytest.mark.sockets,
    pytest.mark.skipif(library() is None, reason="no waits can be shortened on this machine"),
]
SCRIPT = Path(planted.__file__)
# The longest ones say the most; those between are for `make long`.
PAUSES_S = (1.0, 600.0, *(pytest.param(pause_s, marks=pytest.mark.long) for pause_s in (13.0, 60.0)))


def sync(name: str = "by_check") -> Any:
    """A sync client that a child process finds too."""
    return client_of(getattr(planted, name), f"tests.contract.planted:{name}")


def program(*fault: str) -> Any:
    """The same client as a program."""
    return command_client(" ".join([sys.executable, "-I", str(SCRIPT), *fault]), asks=True)


def test_there_is_a_sync_fault_for_each_check() -> None:
    """All but those that cancel, for a call that blocks cannot be cancelled, and one that is as its neighbour."""
    others = {check.id for check in CHECKS} - set(planted.FAULTS)

    assert others == {"cancel-waiting", "cancel-between", "never-moderation-output"}


def test_a_sync_client_that_keeps_the_contract_is_accused_of_nothing() -> None:
    """All that can be tried of a client that blocks is tried, those that take minutes too."""
    card = hold(sync("none"))

    others = {result.id: result.why for result in card.results if result.ruling is not Ruling.KEPT}
    assert set(others) == {"cancel-waiting", "cancel-between"}, others


@pytest.mark.parametrize("pause_s", PAUSES_S)
def test_every_sync_fault_is_found_however_late_its_second_attempt_comes(
    pause_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten minutes are waited in seconds, and the wait that is told is the client's own."""
    monkeypatch.setenv("PLANTED_PAUSE_S", str(pause_s))
    faults = planted.FAULTS if pause_s == PAUSES_S[0] else tuple(planted.AGAIN)

    card = hold(sync(), checks=[BY_ID[fault] for fault in faults])

    missed = {result.id: result.why for result in card.results if result.ruling is not Ruling.BROKEN}
    assert missed == {}
    assert all(result.shortened for result in card.results if result.id in planted.AGAIN)


def test_a_program_that_keeps_the_contract_is_put_to_every_check() -> None:
    """A program that reads what it shall ask for is tried with all of them; its caller cancels with SIGTERM."""
    card = hold(program("none"))

    assert {result.id: result.why for result in card.results if result.ruling is not Ruling.KEPT} == {}


@pytest.mark.parametrize("pause_s", PAUSES_S)
def test_every_fault_of_a_program_is_found_however_late_its_second_attempt_comes(
    pause_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same client as a program of its own."""
    monkeypatch.setenv("PLANTED_PAUSE_S", str(pause_s))
    faults = planted.FAULTS if pause_s == PAUSES_S[0] else tuple(planted.AGAIN)

    card = hold(program(), checks=[BY_ID[fault] for fault in faults])

    missed = {result.id: result.why for result in card.results if result.ruling is not Ruling.BROKEN}
    assert missed == {}


def test_the_wait_that_is_told_is_the_one_that_was_waited() -> None:
    """A client that is asked to wait 121 s and waits them is not one that waited half a second."""
    (result,) = hold(sync("none"), checks=[BY_ID["rate-121"]]).results

    assert result.ruling is Ruling.KEPT
    assert result.why.startswith("2 attempts; it waited 1")
    assert result.watched_s is not None
    assert 320 < result.watched_s < 420  # with the 200 s of its image


NODE = """
const ask = () => fetch(process.env.OPENAI_BASE_URL + "/images/generations", {
  method: "POST", body: JSON.stringify({model: "gpt-image-2", prompt: "a cat"}),
  headers: {Authorization: `Bearer ${process.env.OPENAI_API_KEY}`, "Content-Type": "application/json"}});
for (let number = 0; number < 3; number++) {
  if ((await ask()).ok) process.exit(0);
  await new Promise((later) => setTimeout(later, 60000));
}
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not here")
def test_a_program_in_another_language_has_its_waits_shortened(tmp_path: Path) -> None:
    """Node waits a minute after each error, and all three attempts are seen."""
    script = tmp_path / "client.mjs"
    script.write_text(NODE)

    (result,) = hold(command_client(f"node {script}"), checks=[BY_ID["never-401"]]).results

    assert (result.ruling, result.at_least) == (Ruling.BROKEN, None)
    assert "it asked again twice, 60" in result.why


@pytest.mark.long
def test_runs_of_one_client_agree() -> None:
    """The checks that are decided from many waits are decided alike in every run."""
    checks = [BY_ID[name] for name in ("rate-growing", "rate-spread", "rate-storm", "never-401")]

    runs = [hold(sync("none"), checks=checks) for _ in range(3)]

    assert len({tuple(result.ruling for result in card.results) for card in runs}) == 1
