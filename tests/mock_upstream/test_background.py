"""Responses in the background: an id at once, asked after by polls or by a stream that can be taken up again."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from openai import APIError, AsyncOpenAI, NotFoundError

from tests.mock_upstream.stage import KEY, Stage, on_stage, picture
from whocut_mock import Settings, ledger
from whocut_mock.ledger import JobRecord, Row

SETTINGS: dict[str, Any] = {"latency": {"constant_s": 100.0}, "jobs": {"queue_s": [2.0, 2.5]}}
HUNDRED_S = Settings.model_validate(SETTINGS)
PATH = "/v1/responses"
BODY: dict[str, Any] = {
    "model": "gpt-5.5",
    "input": "draw a cat",
    "tools": [{"type": "image_generation", "partial_images": 2}],
    "background": True,
}


def sdk(stage: Stage, key: str = KEY) -> AsyncOpenAI:
    """The official client, which asks once."""
    return AsyncOpenAI(api_key=key, base_url=stage.running.base_url, max_retries=0)


def job_of(row: Row) -> JobRecord:
    """The record of a row's job."""
    assert row.job is not None
    return row.job


def test_answer_comes_at_once_and_the_picture_by_polls() -> None:
    """Queued, in progress, completed; the books know the submit, the polls, and when the picture was fetched."""

    async def play(stage: Stage) -> None:
        async with sdk(stage) as client:
            begun_s = stage.now_s()
            submitted = await client.responses.create(**BODY)
            assert stage.now_s() - begun_s < 0.1
            statuses = [submitted.status]
            response = submitted
            while response.status in ("queued", "in_progress"):
                await asyncio.sleep(10)
                response = await client.responses.retrieve(submitted.id)
                statuses.append(response.status)

        assert statuses == ["queued", *["in_progress"] * 10, "completed"]
        call, message = response.output
        assert call.type == "image_generation_call"
        assert picture(call.result or "").size == (1024, 1024)
        assert message.type == "message"
        assert (response.background, submitted.background) == (True, True)
        [row] = stage.ledger.rows()
        job = job_of(row)
        assert (job.id, job.dialect, job.polls) == (submitted.id, "openai", 11)
        assert job.submit_answered_s == pytest.approx(row.accepted_s, abs=0.1)
        assert job.fetched_s == job.told_done_s == pytest.approx((row.accepted_s or 0) + 110, abs=0.5)
        assert (row.started_s or 0) - (row.accepted_s or 0) == pytest.approx(2.25, abs=0.25)
        assert (row.state, row.delivered, row.billed, job.lost) == ("settled", True, True, None)

    on_stage(play, HUNDRED_S)


@pytest.mark.parametrize("after", [-1, 0, 3, 6, 7, 9])
def test_stream_is_taken_up_again_at_any_event(after: int) -> None:
    """What a broken stream has missed comes again by its number, and the rest as it happens."""

    async def play(stage: Stage) -> None:
        async with sdk(stage) as client:
            whole = [event async for event in await client.responses.create(**BODY, stream=True)]
            again = [
                event
                async for event in await client.responses.retrieve(
                    whole[0].response.id, stream=True, starting_after=after
                )
            ]

        assert [event.sequence_number for event in whole] == list(range(len(whole)))
        assert [event.type for event in whole][:3] == [
            "response.created",
            "response.queued",
            "response.in_progress",
        ]
        assert whole[-1].type == "response.completed"
        assert again == whole[after + 1 :]

    on_stage(play, HUNDRED_S)


def test_broken_stream_loses_nothing() -> None:
    """The caller's connection dies in mid-stream; the job runs on, and its stream is taken up where it broke."""

    async def play(stage: Stage) -> None:
        headers = {"Authorization": f"Bearer {KEY}"}
        async with aiohttp.ClientSession() as session:
            answer = await session.post(stage.url(PATH), json={**BODY, "stream": True}, headers=headers)
            seen = b""
            while b"partial_image_index" not in seen:
                seen += await answer.content.readany()
            answer.close()
        response_id = "resp_" + seen.decode().partition('"id":"resp_')[2][:24]
        await asyncio.sleep(1)
        [row] = stage.ledger.rows()
        assert (row.state, row.orphaned, row.caller_gone_s) == ("running", False, None)

        async with sdk(stage) as client:
            stream = await client.responses.retrieve(response_id, stream=True, starting_after=6)
            rest = [event async for event in stream]

        assert rest[0].type == "response.image_generation_call.partial_image"
        assert rest[-1].type == "response.completed"
        assert (row.delivered, job_of(row).lost) == (True, None)

    on_stage(play, HUNDRED_S)


@pytest.mark.parametrize(("wait_s", "status", "billed"), [(1.0, "queued", False), (50.0, "running", True)])
def test_cancelled(wait_s: float, status: str, *, billed: bool) -> None:
    """Before its turn it costs nothing; while it runs it is paid, and the books say that it was lost so."""

    async def play(stage: Stage) -> None:
        async with sdk(stage) as client:
            submitted = await client.responses.create(**BODY)
            await asyncio.sleep(wait_s)
            cancelled = await client.responses.cancel(submitted.id)
            await asyncio.sleep(200)
            later = await client.responses.retrieve(submitted.id)
            again = await client.responses.cancel(submitted.id)

        assert [cancelled.status, later.status, again.status] == ["cancelled"] * 3
        [row] = stage.ledger.rows()
        job = job_of(row)
        assert (row.state, row.finished_s, row.billed, job.cancelled_while) == (
            "stopped",
            None,
            billed,
            status,
        )
        assert job.lost == ("cancelled_while_running" if billed else None)
        assert stage.running.upstream.workshop.running == 0

    on_stage(play, HUNDRED_S)


def test_cancelled_stream_ends() -> None:
    """Whoever streams a job that somebody cancels is not left waiting."""

    async def play(stage: Stage) -> None:
        async with sdk(stage) as client:
            stream = await client.responses.create(**BODY, stream=True)
            kinds: list[str] = []
            async for event in stream:
                kinds.append(event.type)
                if event.type.endswith("partial_image"):
                    await client.responses.cancel("resp_" + job_of(stage.ledger.rows()[0]).id[5:])

        assert kinds[-1].endswith("partial_image")

    on_stage(play, HUNDRED_S)


def test_data_is_kept_for_ten_minutes() -> None:
    """Afterwards the id is unknown, and a picture that nobody has asked for is lost by that."""

    async def play(stage: Stage) -> None:
        async with sdk(stage) as client:
            fetched, told, never = [
                await client.responses.create(**{**BODY, "input": word}) for word in "abc"
            ]
            await asyncio.sleep(50)
            await client.responses.retrieve(told.id)
            await asyncio.sleep(500)
            await client.responses.retrieve(fetched.id)
            await asyncio.sleep(200)
            for one in (fetched, told, never):
                with pytest.raises(NotFoundError, match="not found"):
                    await client.responses.retrieve(one.id)

        lost = {job_of(row).id: job_of(row).lost for row in stage.ledger.rows()}
        assert lost == {fetched.id: None, told.id: "poll_gave_up", never.id: "never_asked"}
        assert all(row.state == "settled" and row.billed for row in stage.ledger.rows())

    on_stage(play, HUNDRED_S)


def test_job_belongs_to_its_key() -> None:
    """Another key's ids are unknown, and so are those of responses that were not in the background."""

    async def play(stage: Stage) -> None:
        async with sdk(stage) as mine, sdk(stage, "sk-another") as another:
            job = await mine.responses.create(**BODY)
            plain = await mine.responses.create(**{**BODY, "background": False})
            for client, name in ((another, job.id), (mine, plain.id), (mine, "resp_nothing")):
                with pytest.raises(NotFoundError):
                    await client.responses.retrieve(name)
            await mine.responses.delete(job.id)
            with pytest.raises(NotFoundError):
                await mine.responses.cancel(job.id)

    on_stage(play, HUNDRED_S)


@pytest.mark.parametrize("stream", [False, True])
def test_output_block(*, stream: bool) -> None:
    """A job whose picture is stopped has failed, with the code of its moderation."""

    async def play(stage: Stage) -> None:
        async with sdk(stage) as client:
            body = {**BODY, "input": "mickey mouse on a bike"}
            submitted = await client.responses.create(**body)
            if stream:
                with pytest.raises(APIError) as raised:
                    async for _ in await client.responses.retrieve(submitted.id, stream=True):
                        pass
                assert raised.value.code == "moderation_blocked"
            await asyncio.sleep(150)
            response = await client.responses.retrieve(submitted.id)

        assert response.status == "failed"
        assert response.error is not None
        assert response.error.model_dump()["code"] == "moderation_blocked"
        [row] = stage.ledger.rows()
        assert (row.delivered, row.moderation, job_of(row).lost) == (False, "output", None)

    on_stage(play, HUNDRED_S)


@pytest.mark.parametrize(
    ("fault", "status", "lost"),
    [
        ("job_fails", "failed", None),
        ("job_never_ends", "in_progress", "never_told"),
        ("result_expires=3", None, "poll_gave_up"),
    ],
)
def test_faults_of_a_job(fault: str, status: str | None, lost: str | None) -> None:
    """The work comes to nothing, seems to run for ever, or is thrown away before the next poll."""

    async def play(stage: Stage) -> None:
        answer = await stage.post(BODY, PATH, x_mock_fault=fault)
        assert (answer.status, answer.json["status"]) == (200, "queued")
        async with sdk(stage) as client:
            await client.responses.retrieve(answer.json["id"])
            await asyncio.sleep(150)
            if status is None:
                with pytest.raises(NotFoundError):
                    await client.responses.retrieve(answer.json["id"])
            else:
                assert (await client.responses.retrieve(answer.json["id"])).status == status
        await asyncio.sleep(700)

        [row] = stage.ledger.rows()
        assert (row.state, row.fault, job_of(row).lost) == ("settled", fault.partition("=")[0], lost)

    on_stage(play, HUNDRED_S)


def test_worker_that_dies_with_its_picture_makes_and_bills_it_again() -> None:
    """One id, one picture for the caller, two generations: the first is lost by the restart."""

    async def play(stage: Stage) -> None:
        answer = await stage.post(BODY, PATH, x_mock_fault="job_restarts")
        said = []
        for wait_s in (150, 60):
            await asyncio.sleep(wait_s)
            told = await stage.get(f"{PATH}/{answer.json['id']}", Authorization=f"Bearer {KEY}")
            said.append(told.json["status"])

        assert said == ["in_progress", "completed"]
        first, second = stage.ledger.rows()
        assert [row.state for row in (first, second)] == ["settled", "settled"]
        assert (job_of(first).lost, first.delivered, first.billed) == ("job_restarted", False, True)
        assert (job_of(second).lost, second.delivered, second.billed) == (None, True, True)
        assert second.duplicate_of == first.generation
        assert job_of(second).polls == 2

    on_stage(play, HUNDRED_S)


def test_faults_of_a_submit_and_of_a_poll() -> None:
    """A submit whose answer is lost leaves work that nobody can ask for; a poll can be refused by a rule."""
    rules = [{"fault": "server_error", "when": {"endpoint": "responses.poll", "attempt": 2}}]
    settings = Settings.model_validate({**SETTINGS, "faults": rules})

    async def play(stage: Stage) -> None:
        with pytest.raises(aiohttp.ClientError):
            await stage.post(BODY, PATH, x_mock_fault="answer_lost")
        job_id = job_of(stage.ledger.rows()[0]).id
        polls = [
            (await stage.get(f"{PATH}/{job_id}", Authorization=f"Bearer {KEY}")).status for _ in range(3)
        ]
        other = await stage.post({**BODY, "input": "a dog"}, PATH)
        with pytest.raises(aiohttp.ClientError):
            await stage.get(
                f"{PATH}/{other.json['id']}", Authorization=f"Bearer {KEY}", x_mock_fault="fin_mid_body"
            )
        await asyncio.sleep(1_000)

        assert polls == [200, 500, 200]
        first, second = (job_of(row) for row in stage.ledger.rows())
        assert (first.submit_answered_s, first.lost) == (None, "poll_gave_up")
        assert (second.polls, second.lost) == (1, "poll_gave_up")

    on_stage(play, settings)


@pytest.mark.parametrize(
    ("asks_at_s", "how", "lost"),
    [
        (50, None, "poll_gave_up"),
        (150, "fin_mid_body", "poll_answer_lost"),
        (150, None, None),
        (690, "slow_first_byte=60", None),  # its time was over while the answer was on its way
    ],
)
def test_last_poll_says_how_a_result_was_lost(asks_at_s: float, how: str | None, lost: str | None) -> None:
    """Too early, or in time and its answer was cut; an answer that arrives has lost nothing."""

    async def play(stage: Stage) -> None:
        answer = await stage.post(BODY, PATH)
        await asyncio.sleep(asks_at_s)
        headers = {"Authorization": f"Bearer {KEY}"} | ({"x-mock-fault": how} if how else {})
        with suppress(aiohttp.ClientError):
            await stage.get(f"{PATH}/{answer.json['id']}", **headers)
        await asyncio.sleep(1_000)

        [row] = stage.ledger.rows()
        assert job_of(row).lost == lost
        assert row.delivered is (lost is None)

    on_stage(play, HUNDRED_S)


def test_submit_that_is_answered_too_late() -> None:
    """The caller gives up before it has the id: the generation is orphaned, billed, and lost."""

    async def play(stage: Stage) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(20):
                await stage.post(BODY, PATH, x_mock_fault="slow_first_byte=60")
        await asyncio.sleep(1_000)

        [row] = stage.ledger.rows()
        assert (row.orphaned, row.billed, row.delivered) == (True, True, False)
        assert row.caller_gone_s == pytest.approx((row.accepted_s or 0) + 20, abs=0.1)
        assert (job_of(row).lost, job_of(row).expired) == ("submit_unanswered", True)

    on_stage(play, HUNDRED_S)


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"background": "yes"}, "invalid_type", "background"),
        ({"background_options": 1}, "invalid_type", "background_options"),
        (
            {"background_options": {"completion_window": "1h"}},
            "invalid_value",
            "background_options.completion_window",
        ),
        (
            {"background": False, "background_options": {"completion_window": "2h"}},
            "invalid_value",
            "background_options.completion_window",
        ),
        (
            {"stream": True, "background_options": {"completion_window": "8h"}},
            "invalid_value",
            "background_options.completion_window",
        ),
    ],
)
def test_refused(fields: dict[str, Any], code: str, param: str) -> None:
    """What the background cannot be is refused with its place."""

    async def play(stage: Stage) -> None:
        answer = await stage.post({**BODY, **fields}, PATH)

        assert (answer.status, answer.error["code"], answer.error["param"]) == (400, code, param)

    on_stage(play, HUNDRED_S)


def test_long_window_waits_and_costs_less() -> None:
    """A generation that may take two hours begins somewhere in them, at a part of the price."""

    async def play(stage: Stage) -> None:
        async with sdk(stage) as client:
            body = {**BODY, "background_options": {"completion_window": "2h"}}
            window = await client.responses.create(**body)
            await client.responses.create(**{**BODY, "input": "draw a dog"})
            await asyncio.sleep(7_400)
            with pytest.raises(NotFoundError):
                await client.responses.retrieve(window.id)

        late, soon = stage.ledger.rows()
        assert 0 < (late.started_s or 0) - (late.accepted_s or 0) < 7_200
        assert late.billed_usd == pytest.approx(soon.billed_usd / 2, rel=0.01)

    on_stage(play, HUNDRED_S)


def test_server_that_ends_says_what_is_lost(tmp_path: Path) -> None:
    """Jobs under way are marked as stopped; one that was made and not yet fetched is in the books as it stands."""
    file = tmp_path / "ledger.jsonl"

    async def play(stage: Stage) -> None:
        async with sdk(stage) as client:
            await client.responses.create(**BODY)
            await asyncio.sleep(150)
            await client.responses.create(**{**BODY, "input": "a dog"})

    on_stage(play, HUNDRED_S, ledger_file=file)

    made, under_way = ledger.read(file)
    assert (made["state"], made["job"]["lost"], made["job"]["expired"]) == ("settled", "never_asked", False)
    assert (under_way["state"], under_way["job"]["lost"], under_way["billed"]) == ("stopped", None, False)
