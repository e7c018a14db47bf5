"""Cut times to three hundredths: preset, file read and real product, for each gateway and each of its timers."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.path.gateways import marks_of, needed
from tests.path.test_parity import MADE_UP
from tests.path.timed import (
    MID_BODY,
    OFF,
    OWN,
    Ended,
    Party,
    chain_of,
    limits_of,
    read_from,
    standing,
    written_in,
)
from whocut.chain.catalogue import preset
from whocut.chain.products import product, products
from whocut.chain.timers import TimerKind
from whocut.clock import run_real

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.gateway, pytest.mark.sockets]

# LiteLLM's total ends streams of a chat. Its limit of the connection is the wait's, three times before it is told.
# Envoy lets an idle caller drain for six seconds of real time after its limit: no cut of an answer.
UNSEEN = {("litellm", "total"), ("litellm", "connect"), ("envoy", "keepalive")}
ROUNDS = 30  # the machine may stand still in any of them


def alike(ended: Ended, kind: TimerKind, *, told: bool) -> Ended:
    """Without what is another each time: how long it took, a version, a number of a request.

    Of a connection on which a whole answer came the end says nothing.
    """
    body = ended.body
    for made_up, plain in MADE_UP:
        body = re.sub(made_up, plain, body)
    body = re.sub(rb"(?:\| )+", b"| ", body)  # as many as there was time for
    if kind not in MID_BODY or not told:
        return replace(ended, took_s=0.0, body=body, upstream_saw="", caller_saw="")
    return replace(ended, took_s=0.0, body=body)


@pytest.mark.parametrize("name", sorted(OWN))
def test_a_file_is_read_with_each_limit_that_is_written_in_it(name: str, tmp_path: Path) -> None:
    """So that the times of all four are held to the same limits."""
    read = read_from(chain_of(name, tmp_path))

    written = written_in(name)
    assert {kind: read.limit_s(kind) for kind in written} == written


@pytest.mark.long  # it asserts times, which a busy machine breaks: `make long`, and not `make test`
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        pytest.param(name, kind, marks=marks_of(name))
        for name in sorted(products())
        for kind in product(name).knobs
        if (name, kind) not in UNSEEN
    ],
)
def test_each_is_cut_at_its_limit_in_the_same_way(name: str, kind: TimerKind, tmp_path: Path) -> None:
    """Never earlier by more than three hundredths; and, where the machine does not stand still, not later."""
    needed(name)
    limit_s = limits_of(name)[kind]

    async def main() -> list[Party]:
        own = chain_of(name, tmp_path) if kind in written_in(name) else None
        async with standing(name, own, kind) as parties:
            for _ in range(ROUNDS):
                late = [
                    party for party in parties if not party.tries or party.best.took_s > limit_s * (1 + OFF)
                ]
                await asyncio.gather(*(party.cut(kind) for party in late))
            return parties

    parties = run_real(main())

    for party in parties:
        assert limit_s * (1 - OFF) <= party.best.took_s <= limit_s * (1 + OFF), (party.what, party.tries)
    assert {party.what: alike(party.best, kind, told=party.tells) for party in parties} == {
        party.what: alike(parties[0].best, kind, told=party.tells) for party in parties
    }


@pytest.mark.long
@pytest.mark.parametrize(
    ("written", "tries"), [("", 4), ("    retries 1\n", 2)], ids=["omitted", "retries 1"]
)
def test_haproxy_waits_for_as_many_connections_as_it_does_emulated(
    written: str, tries: int, tmp_path: Path
) -> None:
    """Four where its file says nothing of it; from the preset, from the file as it was read, and in person."""
    needed("haproxy")
    kind = TimerKind.CONNECT
    wanted_s = tries * limits_of("haproxy")[kind]
    retries = replace(preset("haproxy").retries, connects=tries)
    own = chain_of("haproxy", tmp_path)
    config = tmp_path / "haproxy.cfg"
    config.write_text(config.read_text().replace("    retries 0\n", written))
    assert read_from(own).retries.connects == tries

    async def main() -> list[Party]:
        async with standing("haproxy", own, kind, retries) as parties:
            for _ in range(ROUNDS):
                late = [one for one in parties if not one.tries or one.best.took_s > wanted_s * (1 + OFF)]
                await asyncio.gather(*(party.cut(kind) for party in late))
            return parties

    parties = run_real(main())

    assert [party.what for party in parties] == [
        "the preset",
        "the product from limits",
        "the file as it was read",
        "the product from the file",
    ]
    for party in parties:
        assert wanted_s * (1 - OFF) <= party.best.took_s <= wanted_s * (1 + OFF), (party.what, party.tries)
    assert len({alike(party.best, kind, told=party.tells) for party in parties}) == 1
