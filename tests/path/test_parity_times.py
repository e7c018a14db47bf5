"""Cut times to three hundredths: preset, file read and real product, for each gateway and each of its timers."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.path.gateways import needed
from tests.path.test_parity import MADE_UP
from tests.path.timed import OFF, Ended, Party, chain_of, limits_of, read_from, standing
from whocut.chain.products import product, products
from whocut.clock import run_real

if TYPE_CHECKING:
    from pathlib import Path

    from whocut.chain.timers import TimerKind

pytestmark = [pytest.mark.gateway, pytest.mark.sockets]

ROUNDS = 30  # the machine may stand still in any of them


def alike(ended: Ended) -> Ended:
    """Without what is another each time: how long it took, a version, a number of a request."""
    body = ended.body
    for made_up, plain in MADE_UP:
        body = re.sub(made_up, plain, body)
    return replace(ended, took_s=0.0, body=body)


@pytest.mark.parametrize("name", sorted(products()))
def test_a_file_is_read_with_each_limit_that_is_written_in_it(name: str, tmp_path: Path) -> None:
    """So that the times of all four are held to the same limits."""
    read = read_from(chain_of(name, tmp_path))

    written = limits_of(name)
    assert {kind: read.limit_s(kind) for kind in written} == written


@pytest.mark.parametrize(
    ("name", "kind"), [(name, kind) for name in sorted(products()) for kind in product(name).knobs]
)
def test_each_is_cut_at_its_limit_in_the_same_way(name: str, kind: TimerKind, tmp_path: Path) -> None:
    """Never earlier by more than three hundredths; and, where the machine does not stand still, not later."""
    needed(name)
    limit_s = limits_of(name)[kind]

    async def main() -> list[Party]:
        async with standing(name, chain_of(name, tmp_path), kind) as parties:
            for _ in range(ROUNDS):
                late = [
                    party for party in parties if not party.tries or party.best.took_s > limit_s * (1 + OFF)
                ]
                await asyncio.gather(*(party.cut(kind) for party in late))
            return parties

    parties = run_real(main())

    for party in parties:
        assert limit_s * (1 - OFF) <= party.best.took_s <= limit_s * (1 + OFF), (party.what, party.tries)
    assert {party.what: alike(party.best) for party in parties} == {
        party.what: alike(parties[0].best) for party in parties
    }
