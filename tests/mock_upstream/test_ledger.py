"""The books and the doors to them."""

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.mock_upstream.stage import MINIMAL, Stage, on_stage
from whocut_mock import Settings, ledger

CONSTANT = Settings.model_validate({"latency": {"constant_s": 100.0}})

FIELDS = [
    "generation",
    "state",
    "endpoint",
    "request_id",
    "trace_id",
    "parent_span_id",
    "span_id",
    "attempt",
    "key_hash",
    "prompt_sha256",
    "model",
    "size",
    "quality",
    "output_format",
    "n",
    "stream",
    "partial_images",
    "heartbeat_s",
    "profile",
    "duration_s",
    "accepted_s",
    "started_s",
    "partials_s",
    "first_byte_s",
    "finished_s",
    "sent_s",
    "delivered_s",
    "delivered",
    "delivery_evidence",
    "caller_gone_s",
    "orphaned",
    "orphaned_s",
    "status",
    "error_code",
    "fault",
    "moderation",
    "billed",
    "billed_usd",
    "usage",
    "duplicate_of",
    "job",
]


async def leave(stage: Stage, after_s: float, **fields: Any) -> None:
    """Ask and go."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(after_s):
            await stage.post({**MINIMAL, **fields})


def test_lines_are_whole_and_complete(tmp_path: Path) -> None:
    """Every line is one object with every field; the last line of an id is its end."""
    file = tmp_path / "ledger.jsonl"

    async def play(stage: Stage) -> None:
        await stage.post(MINIMAL)
        await leave(stage, 10, prompt="left")
        await stage.post({})
        await asyncio.sleep(200)

    on_stage(play, CONSTANT, ledger_file=file)

    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["state"] for line in lines] == ["running", "settled", "running", "refused", "settled"]
    assert all(list(line) == FIELDS for line in lines)
    assert [row["state"] for row in ledger.read(file)] == ["settled", "settled", "refused"]


def test_a_line_cut_short_is_left_out(tmp_path: Path) -> None:
    """A file whose last line a crash has cut can be read up to the line before."""
    file = tmp_path / "ledger.jsonl"
    row = ledger.line(ledger.Row("gen_1", "running", "images.generations", "req_1"))
    file.write_bytes(row + row.replace(b"gen_1", b"gen_2")[:40])

    assert [row["generation"] for row in ledger.read(file)] == ["gen_1"]


def test_totals() -> None:
    """The sums tell what a careless client costs."""

    async def play(stage: Stage) -> None:
        await stage.post(MINIMAL)
        await leave(stage, 10)
        await leave(stage, 10)
        await stage.post({**MINIMAL, "n": 0})
        await asyncio.sleep(200)
        running = asyncio.create_task(stage.post({**MINIMAL, "prompt": "stopped"}))
        await asyncio.sleep(10)
        await stage.running.close()
        with pytest.raises(aiohttp.ClientError):
            await running

        totals = stage.ledger.totals()
        assert (totals.started, totals.finished, totals.delivered) == (4, 3, 1)
        assert (totals.orphaned, totals.duplicates, totals.stopped, totals.refused) == (2, 2, 1, 1)
        assert totals.billed_usd == pytest.approx(3 * totals.orphaned_usd / 2)

    on_stage(play, CONSTANT)


def test_idempotency_key_changes_nothing() -> None:
    """The API knows no idempotency: the same key is new work, and a second bill."""

    async def play(stage: Stage) -> None:
        for _ in range(2):
            await stage.post(MINIMAL, Idempotency_Key="one")

        assert stage.ledger.totals().billed == 2

    on_stage(play, CONSTANT)


def test_control_doors() -> None:
    """Ledger and health can be read, behaviour can be changed, everything can be put back."""

    async def play(stage: Stage) -> None:
        waiting = asyncio.create_task(stage.post(MINIMAL))
        await asyncio.sleep(10)
        health = (await stage.door("GET", "health")).json
        assert (health["running"], health["totals"]["started"]) == (1, 1)

        changed = await stage.door("PUT", "behaviour", {"latency": {"constant_s": 5}})
        begun_s = stage.now_s()
        await stage.post(MINIMAL)
        assert changed.status == 200
        assert stage.now_s() - begun_s == pytest.approx(5, abs=0.001)
        assert (await stage.door("GET", "behaviour")).json["latency"]["constant_s"] == 5

        wrong = await stage.door("PUT", "behaviour", {"latency": {"constnt_s": 5}})
        assert (wrong.status, wrong.error["code"]) == (400, "invalid_behaviour")
        assert "did you mean 'constant_s'" in wrong.error["message"]

        kept = (await stage.door("GET", "ledger")).json
        assert (len(kept["rows"]), kept["totals"]["delivered"]) == (2, 1)
        assert (await stage.door("POST", "reset")).json == {"stopped": 1}
        assert (await stage.door("GET", "ledger")).json["rows"] == []
        waiting.cancel()

    on_stage(play, CONSTANT)


def test_reset_brings_the_beginning_back() -> None:
    """After a reset the same requests get the same answers as at first."""
    seen: list[list[tuple[str, float | None]]] = []

    async def play(stage: Stage) -> None:
        for _ in range(2):
            await stage.post(MINIMAL)
            await stage.post(MINIMAL)
            seen.append([(row.generation, row.duration_s) for row in stage.ledger.rows()])
            await stage.door("POST", "reset")

    on_stage(play, Settings(seed=7))

    assert seen[0] == seen[1]
