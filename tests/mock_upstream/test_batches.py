"""Batches through the official SDK: a day's window in virtual time, half the price, an answer for each line."""

import asyncio
import json
from typing import Any

import pytest
from openai import AsyncOpenAI, BadRequestError, NotFoundError
from openai.types import Batch

from tests.mock_upstream.stage import MINIMAL, Stage, on_stage, picture
from tests.mock_upstream.test_background import job_of, sdk
from tests.mock_upstream.test_webhooks import receiver, saying
from whocut_mock import Settings

URL = "/v1/images/generations"
HOUR_S = 3_600.0


def settings(**more: Any) -> Settings:
    """Generations of 100 s, two at once, after a wait of five to six minutes."""
    jobs = {"batch_waits_s": [300.0, 360.0], "batch_at_once": 2, **more}
    return Settings.model_validate({"latency": {"constant_s": 100.0}, "jobs": jobs})


def line(name: str, url: str = URL, method: str = "POST", **fields: Any) -> dict[str, Any]:
    """One order of a file."""
    return {"custom_id": name, "method": method, "url": url, "body": {**MINIMAL, "prompt": name, **fields}}


async def begun(client: AsyncOpenAI, lines: list[dict[str, Any]], **fields: Any) -> Batch:
    """A batch of these orders."""
    text = "\n".join(json.dumps(one) for one in lines).encode()
    file = await client.files.create(file=("orders.jsonl", text), purpose="batch")
    return await client.batches.create(
        input_file_id=file.id, endpoint="/v1/images/generations", completion_window="24h", **fields
    )


async def over(client: AsyncOpenAI, batch: Batch, every_s: float = 60.0) -> tuple[Batch, list[str]]:
    """The batch at its end, and its statuses on the way."""
    statuses: list[str] = [batch.status]
    while batch.status not in ("completed", "failed", "expired", "cancelled"):
        await asyncio.sleep(every_s)
        batch = await client.batches.retrieve(batch.id)
        if batch.status != statuses[-1]:
            statuses.append(batch.status)
    return batch, statuses


async def lines_of(client: AsyncOpenAI, file_id: str | None) -> list[dict[str, Any]]:
    """A file of answers."""
    assert file_id is not None
    text = (await client.files.content(file_id)).text
    return [json.loads(one) for one in text.splitlines()]


def test_every_line_is_answered_at_half_the_price() -> None:
    """Validated, worked on, finished; pictures in one file, refusals in another, all by their names."""
    orders = [
        line("a cat"),
        line("a dog", quality="low"),
        line("torture"),
        line("mickey mouse"),
        line("x", size="512x512"),
    ]

    async def play(stage: Stage) -> None:
        async with sdk(stage) as client:
            plain = await stage.post({**MINIMAL, "prompt": "a cat"})
            batch, statuses = await over(client, await begun(client, orders, metadata={"of": "me"}), 1.0)
            good = await lines_of(client, batch.output_file_id)
            bad = await lines_of(client, batch.error_file_id)

        assert statuses == ["validating", "in_progress", "finalizing", "completed"]
        assert batch.request_counts is not None
        assert batch.request_counts.model_dump() == {"total": 5, "completed": 2, "failed": 3}
        assert batch.metadata == {"of": "me"}
        assert [one["custom_id"] for one in good] == ["a cat", "a dog"]
        body = good[0]["response"]["body"]
        assert picture(body["data"][0]["b64_json"]).size == (1024, 1024)
        assert body["usage"] == plain.json["usage"]
        codes = {one["custom_id"]: one["response"]["body"]["error"]["code"] for one in bad}
        assert codes == {
            "torture": "moderation_blocked",
            "mickey mouse": "moderation_blocked",
            "x": "invalid_value",
        }
        rows = {row.prompt_sha256: row for row in stage.ledger.rows() if row.job}
        assert len(rows) == 3
        first, twin = (
            row for row in stage.ledger.rows() if row.prompt_sha256 == stage.ledger.rows()[0].prompt_sha256
        )
        assert twin.billed_usd == pytest.approx(first.billed_usd / 2, rel=1e-6)
        assert (job_of(twin).dialect, twin.delivered, job_of(twin).lost) == ("batch", True, None)

    on_stage(play, settings())


def test_results_that_nobody_fetches_are_lost() -> None:
    """A batch that completes and whose file is never read was paid for nothing; the books say how it was lost."""

    async def play(stage: Stage) -> None:
        async with sdk(stage) as client:
            told = await begun(
                client, [line("a")], output_expires_after={"anchor": "created_at", "seconds": 3_600}
            )
            await over(client, told)
            await asyncio.sleep(2 * HOUR_S)
            with pytest.raises(NotFoundError):
                await client.files.content((await client.batches.retrieve(told.id)).output_file_id or "")

        [row] = stage.ledger.rows()
        assert (row.billed, row.delivered, job_of(row).lost) == (True, False, "result_expired")

    on_stage(play, settings())


def test_window_ends() -> None:
    """What was not done within a day is not done any more, and what was is there."""
    slow = settings(batch_waits_s=[86_090.0, 86_100.0], batch_at_once=1)

    async def play(stage: Stage) -> None:
        async with sdk(stage) as client:
            batch, statuses = await over(client, await begun(client, [line(name) for name in "abcde"]), 600)
            good = await lines_of(client, batch.output_file_id)
            bad = await lines_of(client, batch.error_file_id)

        assert statuses == ["validating", "in_progress", "expired"]
        assert (batch.expired_at or 0) - batch.created_at == 86_400
        assert [one["custom_id"] for one in good] == ["a", "b", "c"][: len(good)]
        assert {one["error"]["code"] for one in bad} == {"batch_expired"}
        assert len(good) + len(bad) == 5
        assert 2 <= len(good) <= 3
        stopped = [row for row in stage.ledger.rows() if row.state == "stopped"]
        assert [row.billed for row in stopped] == [False]
        assert stage.running.upstream.workshop.running == 0

    on_stage(play, slow)


@pytest.mark.parametrize(("after_s", "done"), [(60.0, 0), (380.0, 2)])
def test_cancelled(after_s: float, done: int) -> None:
    """No line is begun any more; what was under way is finished, and its answers are there."""

    async def play(stage: Stage) -> None:
        async with sdk(stage) as client:
            batch = await begun(client, [line(name) for name in "abcdef"])
            await asyncio.sleep(after_s)
            cancelling = await client.batches.cancel(batch.id)
            batch, _ = await over(client, batch, 1.0)

        assert (cancelling.status, batch.status) == ("cancelling", "cancelled")
        assert batch.request_counts is not None
        assert batch.request_counts.completed == done
        assert batch.request_counts.failed == 6 - done if done else batch.output_file_id is None
        assert stage.ledger.totals().billed == done

    on_stage(play, settings())


@pytest.mark.parametrize(
    ("written", "code", "at"),
    [
        ("", "empty_file", None),
        ("[]", "invalid_json_line", 1),
        ("{", "invalid_json_line", 1),
        (json.dumps({"method": "POST"}), "missing_required_parameter", 1),
        (json.dumps(line("a", method="GET")), "invalid_method", 1),
        (json.dumps(line("a", url="/v1/images/edits")), "mismatched_endpoint", 1),
        ("\n".join([json.dumps(line("a"))] * 2), "duplicate_custom_id", 2),
        ("\n".join(json.dumps(line(str(n))) for n in range(501)), "too_many_requests", None),
    ],
)
def test_file_that_is_no_batch(written: str, code: str, at: int | None) -> None:
    """The batch fails with the line and what is wrong with it; nothing was begun."""

    async def play(stage: Stage) -> None:
        async with sdk(stage) as client:
            file = await client.files.create(file=("x.jsonl", written.encode()), purpose="batch")
            batch = await client.batches.create(
                input_file_id=file.id, endpoint="/v1/images/generations", completion_window="24h"
            )
            batch, statuses = await over(client, batch)

        assert statuses == ["validating", "failed"]
        assert batch.errors is not None
        [mistake] = batch.errors.data or []
        assert (mistake.code, mistake.line) == (code, at)
        assert stage.ledger.rows() == []

    on_stage(play, settings())


def test_refused() -> None:
    """Another endpoint, another window, a file of another key or purpose."""

    async def play(stage: Stage) -> None:
        async with sdk(stage) as client, sdk(stage, "sk-another") as another:
            mine = await client.files.create(file=("x.jsonl", b"{}"), purpose="batch")
            picture_file = await client.files.create(file=("x.png", b"{}"), purpose="vision")
            good: dict[str, Any] = {
                "input_file_id": mine.id,
                "endpoint": "/v1/images/generations",
                "completion_window": "24h",
            }
            for owner, fields in (
                (client, {"endpoint": "/v1/embeddings"}),
                (client, {"completion_window": "1h"}),
                (client, {"input_file_id": picture_file.id}),
                (client, {"output_expires_after": {"anchor": "created_at", "seconds": 5}}),
                (another, {}),
            ):
                with pytest.raises(BadRequestError):
                    await owner.batches.create(**good | fields)
            batch = await client.batches.create(**good)
            with pytest.raises(NotFoundError):
                await another.batches.retrieve(batch.id)
            assert [one.id async for one in client.batches.list(limit=1)] == [batch.id]

    on_stage(play, settings())


def test_end_of_a_batch_is_told() -> None:
    """A webhook says which of its ends it came to, by the batch's id."""

    async def play(stage: Stage) -> None:
        async with receiver(stage, saying(200)) as taking, sdk(stage) as client:
            await client.webhooks.create(
                name="mine", url=taking.url, event_types=["batch.completed", "batch.failed"]
            )
            good, bad = await begun(client, [line("a")]), await begun(client, [line("a", method="PUT")])
            await asyncio.sleep(HOUR_S)

            told = [json.loads(body) for _, _, body in taking.came]
        assert [(one["type"], one["data"]["id"]) for one in told] == [
            ("batch.failed", bad.id),
            ("batch.completed", good.id),
        ]

    on_stage(play, settings())
