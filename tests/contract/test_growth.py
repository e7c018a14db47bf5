"""Whether waits grow is decided from many requests, and the decision does not hang on the day."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from whocut.contract.growth import growth
from whocut.contract.judgement import Ruling

if TYPE_CHECKING:
    from collections.abc import Callable

Waits = list[float]
REQUESTS = 24


def doubling(dice: random.Random) -> Waits:
    """The official SDK's: half a second, then a second, less up to a quarter."""
    return [0.5 * 2**n * (1 - 0.25 * dice.random()) for n in range(2)]


def full_jitter(dice: random.Random) -> Waits:
    """Anything up to a bound that doubles."""
    return [dice.uniform(0, 2.0**n) for n in range(6)]


def equal(dice: random.Random) -> Waits:
    """Two seconds, spread by three per cent."""
    return [2.0 * dice.uniform(0.97, 1.03) for _ in range(3)]


def fixed(dice: random.Random) -> Waits:
    """A second, always."""
    del dice
    return [1.0, 1.0]


def growth_below_its_jitter(dice: random.Random) -> Waits:
    """Stamina with three attempts: 0.1 s, then 0.2 s, each with up to a second of jitter on top."""
    return [0.1 * 2**n + dice.random() for n in range(2)]


def capped(dice: random.Random) -> Waits:
    """Long from the beginning, and never longer."""
    return [10.0 * dice.uniform(0.97, 1.03) for _ in range(3)]


CLIENTS: dict[Callable[[random.Random], Waits], Ruling] = {
    doubling: Ruling.KEPT,
    full_jitter: Ruling.KEPT,
    capped: Ruling.KEPT,
    equal: Ruling.BROKEN,
    fixed: Ruling.BROKEN,
    growth_below_its_jitter: Ruling.NOT_TRIED,
}


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
def test_thirty_runs_of_one_client_have_one_verdict(client: Callable[[random.Random], Waits]) -> None:
    """Growth that chance hides is not decided at all, rather than by a coin."""
    rulings = []
    for seed in range(30):
        dice = random.Random(seed)
        rulings.append(growth([client(dice) for _ in range(REQUESTS)]).ruling)

    assert set(rulings) == {CLIENTS[client]}


@pytest.mark.parametrize(
    ("requests", "why"),
    [
        ([], "no request was tried again twice"),
        ([[1.0]] * 24, "no request was tried again twice"),
        ([[1.0, 1.0]] * 4, "too few to tell growth from chance"),
    ],
)
def test_too_little_to_judge_is_said(requests: list[Waits], why: str) -> None:
    """Nothing is kept by default."""
    judgement = growth(requests)

    assert judgement.ruling is Ruling.NOT_TRIED
    assert why in judgement.why


def test_a_broken_one_says_its_error() -> None:
    """The sentence carries the figures and how often it is wrong."""
    assert growth([[1.0, 1.0]] * 24).why == (
        "it waited 1 s at first and 1 s at last (means of 24): nothing grew, which is wrong once in 1,000"
    )
