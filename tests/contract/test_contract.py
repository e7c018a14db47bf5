from __future__ import annotations

import openai
import pytest

from tests.contract.faulty import FAULTS
from whocut.client import around, async_reference
from whocut.contract.checks import BY_ID, CHECKS
from whocut.contract.client import client_of
from whocut.contract.hold import hold
from whocut.contract.judgement import Ruling
from whocut.stage.memory import MemoryLoop


def test_the_reference_client_keeps_the_contract() -> None:
    """Every check is tried on the reference client, and kept."""
    card = hold(client_of(async_reference, "reference"))

    assert {result.id: result.why for result in card.results if result.ruling is not Ruling.KEPT} == {}


def test_the_policy_around_a_client_one_has_keeps_the_contract() -> None:
    """The SDK with its defaults, which asks three times, keeps all of it once the policy is around it."""
    few = [
        BY_ID[name]
        for name in ("unknown-504", "never-quota", "rate-121", "deadline-kept", "stream-incomplete-told")
    ]

    card = hold(
        client_of(lambda **given: around(openai.AsyncOpenAI(**given)), "around"),
        checks=few,
        loop_factory=MemoryLoop,
    )

    assert {result.id: result.why for result in card.results if result.ruling is not Ruling.KEPT} == {}


def test_there_is_a_faulty_client_for_each_check() -> None:
    """No check is without a client that breaks it; those for jobs have theirs beside their own tests."""
    assert set(FAULTS) == {check.id for check in CHECKS}
    assert len(CHECKS) >= 30


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found_by_its_check(fault: str) -> None:
    """A client with one fault breaks the check that is about it."""
    card = hold(client_of(FAULTS[fault], fault), checks=[BY_ID[fault]], loop_factory=MemoryLoop)

    found = {result.id: result.why for result in card.results if result.ruling is Ruling.BROKEN}
    assert set(found) == {fault}, found


# Some of those that each check's neighbours might mistake; `make long` plays all of them.
FEW = sorted(FAULTS)[::9]


@pytest.mark.parametrize(
    "fault", [pytest.param(fault, marks=() if fault in FEW else pytest.mark.long) for fault in FAULTS]
)
def test_a_planted_fault_is_found_by_its_check_alone(fault: str) -> None:
    """A client with one fault breaks the check that is about it, and no other."""
    card = hold(client_of(FAULTS[fault], fault), loop_factory=MemoryLoop)

    found = {result.id: result.why for result in card.results if result.ruling is Ruling.BROKEN}
    assert set(found) == {fault}, found
