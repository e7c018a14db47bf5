"""The network path in front: what it costs, what it kills, and that the books stay right behind it."""

import asyncio
from typing import Any

import aiohttp
import pytest

from tests.mock_upstream.stage import MINIMAL, Stage, on_stage
from whocut_mock import Settings
from whocut_mock.dice import Dice
from whocut_mock.network import Path
from whocut_mock.settings import Network

STREAM = {**MINIMAL, "stream": True, "partial_images": 2}


def settings(**network: Any) -> Settings:
    """Generations of 100 s behind this path."""
    return Settings.model_validate({"latency": {"constant_s": 100.0}, "network": network})


def path(**network: Any) -> Path:
    """The path of these settings."""
    found = Path.of(Network.model_validate(network))
    assert found is not None
    return found


def test_no_path_is_no_relay() -> None:
    """Without a network in the settings nothing stands in front of the mock."""
    assert Path.of(Network()) is None


def test_round_trip_is_paid() -> None:
    """A path of one second costs half of it to connect, to ask and to answer, and more for each window."""

    async def play(stage: Stage) -> None:
        begun_s = stage.now_s()

        answer = await stage.post(MINIMAL)

        assert answer.status == 200
        assert 101.5 <= stage.now_s() - begun_s <= 103.5
        [row] = stage.ledger.rows()
        assert row.delivered
        assert row.finished_s is not None
        assert row.delivered_s is not None
        assert 0.5 <= row.delivered_s - row.finished_s <= 2.5

    on_stage(play, settings(rtt_s=1.0))


def test_leaving_is_noticed_half_a_round_trip_later() -> None:
    """The mock hears of a caller's leaving when the news has come through."""

    async def play(stage: Stage) -> None:
        begun_s = stage.now_s()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(20):
                await stage.post(MINIMAL)
        await asyncio.sleep(200)

        [row] = stage.ledger.rows()
        assert row.orphaned
        assert row.caller_gone_s is not None
        assert row.caller_gone_s - begun_s == pytest.approx(21, abs=0.01)

    on_stage(play, settings(rtt_s=2.0))


def test_loss_costs_retransmissions() -> None:
    """More loss, more delay: one retransmission is at least 200 ms, and each further one doubles it."""

    def mean_s(loss: float) -> float:
        lossy = path(rtt_s=0.05, loss=loss)
        return sum(lossy.delay_s(65_536, Dice(b"x"), str(at)) for at in range(400)) / 400

    assert mean_s(0.0) == pytest.approx(0.025)
    assert mean_s(0.001) > 0.025 + 0.005
    assert mean_s(0.01) > mean_s(0.001)


def test_hiccup_kills_the_stream() -> None:
    """A hiccup resets the connection; the generation runs on, is billed, and nobody gets it."""

    async def play(stage: Stage) -> None:
        async def many() -> None:
            for number in range(20):
                await stage.post({**STREAM, "prompt": f"cat {number}"})

        with pytest.raises(aiohttp.ClientError):
            await many()
        await asyncio.sleep(200)

        row = stage.ledger.rows()[-1]
        assert (row.state, row.delivered, row.billed) == ("settled", False, True)
        assert row.caller_gone_s is not None

    on_stage(play, settings(rtt_s=0.2, hiccups_per_min=1.0))


def test_presets_differ_where_the_article_says() -> None:
    """Near is quick and safe, trans-Pacific is neither."""
    near, far = path(preset="near"), path(preset="trans-pacific")

    assert far.rtt_s > 5 * near.rtt_s
    assert near.loss == near.hiccups_per_min == 0
    assert far.loss > 0
    assert path(preset="trans-pacific", loss=0.0).loss == 0


@pytest.mark.parametrize("preset", ["near", "trans-pacific"])
def test_bytes_come_through_whole(preset: str) -> None:
    """A stream over either preset is the stream, if nothing kills it."""

    async def play(stage: Stage) -> None:
        answers = await asyncio.gather(*(stage.post({**STREAM, "prompt": str(n)}) for n in range(3)))

        assert all(answer.events[-1][0] == "image_generation.completed" for answer in answers)
        assert all(row.delivered for row in stage.ledger.rows())

    on_stage(play, settings(preset=preset, hiccups_per_min=0.0))
