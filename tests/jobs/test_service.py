"""The service in virtual time: submit, poll, stream, cancel, callbacks, refusals, restarts."""

from __future__ import annotations

import asyncio
import inspect
import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import openai
import pytest

from tests.jobs.place import EPOCH_UNIX_S, LATE, ORDER, Place, a_mock, a_service, on_place
from tests.jobs.test_store import filled, with_room
from whocut.clock import run_real, run_virtual
from whocut.clock.clock import calendar_s
from whocut.jobs import guard
from whocut.jobs.serve import Service
from whocut_mock import Settings

if TYPE_CHECKING:
    from pathlib import Path


def settings(**told: Any) -> Settings:
    """The mock's settings."""
    return Settings.model_validate(told)


async def stream_of(place: Place, job_id: str, last: str = "", most: int = 99) -> list[tuple[str, str, Any]]:
    """The events of a job, until its end or so many: id, kind, facts."""
    headers = place.headers(Last_Event_ID=last) if last else place.headers()
    found: list[tuple[str, str, Any]] = []
    async with place.session.get(f"{place.base_url}/jobs/{job_id}/events", headers=headers) as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        frame: dict[str, str] = {}
        async for raw in answer.content:
            name, _, value = raw.decode().rstrip("\n").partition(": ")
            if name:
                frame[name] = value
            elif "event" in frame:
                found.append((frame["id"], frame["event"], json.loads(frame["data"])))
                frame = {}
                if len(found) == most:
                    break
            else:
                frame = {}
    return found


def test_submit_answers_at_once_and_the_image_comes_by_poll(tmp_path: Path) -> None:
    """202 with a place and a pause; then the image, made and billed once."""

    async def play(place: Place) -> None:
        began_s = asyncio.get_running_loop().time()
        async with place.session.post(
            f"{place.base_url}/jobs", json=ORDER, headers=place.headers()
        ) as answer:
            job = await answer.json()
            assert (answer.status, answer.headers["Retry-After"]) == (202, "2")
            assert answer.headers["Location"] == f"/jobs/{job['id']}"
        assert asyncio.get_running_loop().time() - began_s < 1

        job = await place.ended(job["id"])

        assert (job["status"], job["attempts"], len(job["images"])) == ("delivered", 1, 1)
        assert job["cost_usd"] > 0
        async with place.session.get(place.base_url + job["images"][0], headers=place.headers()) as answer:
            assert (await answer.read()).startswith(b"\x89PNG")
        assert place.billed == 1
        _, sums = await place.ask("GET", "/credits")
        assert (sums["spent_usd"], sums["held_usd"], sums["unknown_usd"]) == (job["cost_usd"], 0, 0)

    on_place(play, tmp_path / "jobs.db")


def test_same_order_under_one_key_is_one_generation(tmp_path: Path) -> None:
    """Ten submits at once and one after the end: one job, one bill; another order under the key is refused."""

    async def play(place: Place) -> None:
        answers = await asyncio.gather(
            *(place.ask("POST", "/jobs", ORDER, Idempotency_Key="order-1") for _ in range(10))
        )
        job_id = answers[0][1]["id"]
        await place.ended(job_id)
        late = await place.ask("POST", "/jobs", ORDER, Idempotency_Key="order-1")
        other = await place.ask("POST", "/jobs", ORDER | {"prompt": "a gull"}, Idempotency_Key="order-1")

        assert {job["id"] for _, job in [*answers, late]} == {job_id}
        assert sorted(status for status, _ in answers) == [200] * 9 + [202]
        assert (late[0], late[1]["status"]) == (200, "delivered")
        assert (other[0], other[1]["error"]["code"]) == (409, "key_taken")
        assert place.billed == 1

    on_place(play, tmp_path / "jobs.db")


def test_stream_tells_states_partial_images_and_the_end(tmp_path: Path) -> None:
    """In order; a partial image can be fetched while the job is under way."""

    async def play(place: Place) -> None:
        job_id = await place.ordered()
        kinds = [(kind, facts.get("status", "")) for _, kind, facts in await stream_of(place, job_id)]
        assert kinds == [
            ("state", "queued"),
            ("state", "sent"),
            ("partial", ""),
            ("partial", ""),
            ("state", "delivered"),
            ("end", "delivered"),
        ]

    on_place(play, tmp_path / "jobs.db")


def test_cut_stream_is_taken_up_where_it_was_cut(tmp_path: Path) -> None:
    """`Last-Event-ID` brings what comes after it, and nothing twice."""

    async def play(place: Place) -> None:
        job_id = await place.ordered()
        first = await stream_of(place, job_id, most=3)
        rest = await stream_of(place, job_id, last=first[-1][0])
        assert [kind for _, kind, _ in first + rest] == [
            "state",
            "state",
            "partial",
            "partial",
            "state",
            "end",
        ]

    on_place(play, tmp_path / "jobs.db")


def test_stream_of_a_restarted_service_tells_the_end_to_a_caller_that_comes_back(tmp_path: Path) -> None:
    """Numbers begin anew with a start: an id of the old service hides no event of the new one."""

    async def run() -> None:
        async with a_mock() as mock:
            async with a_service(mock, tmp_path / "jobs.db", at_once=1) as place:
                await place.ordered()
                queued = await place.ordered()
                seen = await stream_of(place, queued, most=1)
                for _ in range(9):
                    place.service.hub.tell(queued, "state", {})
                seen = await stream_of(place, queued, last=seen[-1][0], most=9)
            async with a_service(mock, tmp_path / "jobs.db") as place:
                told = await stream_of(place, queued, last=seen[-1][0])
                assert [facts.get("status") for _, kind, facts in told if kind != "partial"] == [
                    "sent",
                    "delivered",
                    "delivered",
                ]

    run_virtual(run())


def test_caller_that_leaves_wastes_nothing(tmp_path: Path) -> None:
    """A stream that is left, and no poll: the image is there later, billed once."""

    async def play(place: Place) -> None:
        job_id = await place.ordered()
        await stream_of(place, job_id, most=2)
        await asyncio.sleep(600)
        assert place.service.store.get(job_id).state == "delivered"
        assert place.billed == 1

    on_place(play, tmp_path / "jobs.db")


def test_rate_limits_are_waited_out_and_paid_once(tmp_path: Path) -> None:
    """Two images a minute, five orders at once: all are delivered, each is billed once, none fails."""

    async def play(place: Place) -> None:
        ids = [await place.ordered(prompt=f"heron number {n}") for n in range(5)]
        jobs = [await place.ended(job_id) for job_id in ids]
        assert [job["status"] for job in jobs] == ["delivered"] * 5
        assert max(job["attempts"] for job in jobs) > 1
        assert place.billed == 5

    on_place(play, tmp_path / "jobs.db", settings(quota={"images_per_min": 2}))


@pytest.mark.parametrize("fault", ["answer_lost", "reset_before_headers"])
def test_unknown_outcome_is_never_sent_again_by_itself(tmp_path: Path, fault: str) -> None:
    """The work was done and the answer lost: one attempt, said as unknown, counted as paid."""

    async def play(place: Place) -> None:
        job = await place.ended(await place.ordered())
        await asyncio.sleep(3_600)
        assert (job["status"], job["attempts"]) == ("unknown", 1)
        assert job["cost_usd"] == job["most_usd"] > 0
        assert place.billed == 1

    on_place(play, tmp_path / "jobs.db", settings(faults=[{"fault": fault, "rate": 1.0}]))


@pytest.mark.parametrize(("prompt", "billed"), [("a massacre of herons", 0), ("Pikachu asleep", 1)])
def test_refused_prompt_fails_with_the_apis_own_sentence_and_says_what_it_cost(
    tmp_path: Path, prompt: str, billed: int
) -> None:
    """The first filter comes before any work; the second one after it, and then the work may be paid."""

    async def play(place: Place) -> None:
        job = await place.ended(await place.ordered(prompt=prompt))
        assert (job["status"], job["error"]["code"]) == ("failed", "moderation_blocked")
        assert "rejected by the safety system" in job["error"]["message"]
        assert (job["cost_usd"] > 0, place.billed) == (bool(billed), billed)

    on_place(play, tmp_path / "jobs.db")


def test_pre_check_names_what_would_be_refused_before_it_costs(tmp_path: Path) -> None:
    """`POST /check` orders nothing."""

    async def play(place: Place) -> None:
        _, told = await place.ask("POST", "/check", ORDER | {"prompt": "Pikachu asleep"})
        assert told["findings"][0]["found"].lower() == "pikachu"
        assert told["most_usd"] > 0
        assert place.service.store.newest(9) == []

    on_place(play, tmp_path / "jobs.db")


def test_cancel_takes_back_what_was_not_sent_and_keeps_what_is_paid(tmp_path: Path) -> None:
    """DELETE: a queued job is cancelled, one under way answers 409 and comes, one that is over is forgotten."""

    async def play(place: Place) -> None:
        first = await place.ordered()
        await place.in_state(first, "sent")
        second = await place.ordered()
        status, cancelled = await place.ask("DELETE", f"/jobs/{second}")
        refused, why = await place.ask("DELETE", f"/jobs/{first}")
        await place.ended(first)
        gone, _ = await place.ask("DELETE", f"/jobs/{first}")

        assert (status, cancelled["status"], cancelled["cost_usd"]) == (200, "cancelled", 0)
        assert (refused, why["error"]["code"]) == (409, "under_way")
        assert gone == 204
        assert (await place.ask("GET", f"/jobs/{first}/images/0"))[0] == 404
        assert place.billed == 1

    on_place(play, tmp_path / "jobs.db", at_once=1)


def test_callback_is_signed_by_the_rules_and_verified_by_the_sdks_own_helper(tmp_path: Path) -> None:
    """One callback with the job's end; its signature holds, and a changed byte breaks it."""

    async def play(place: Place) -> None:
        job_id = await place.ordered(webhook=place.receiver.url)
        await place.ended(job_id)
        await asyncio.sleep(60)
        _, told = await place.ask("GET", "/webhook_secret")
        [(_, headers, body)] = place.receiver.got
        sdk = openai.AsyncOpenAI(api_key="sk-x", webhook_secret=told["secret"])
        long_s = 10**10  # the helper reads this machine's calendar, and the test's is virtual

        sdk.webhooks.verify_signature(body, headers, tolerance=long_s)
        with pytest.raises(openai.InvalidWebhookSignatureError):
            sdk.webhooks.verify_signature(body + b" ", headers, tolerance=long_s)

        assert json.loads(body)["data"] == {"id": job_id, "status": "delivered"}
        _, job = await place.ask("GET", f"/jobs/{job_id}")
        assert job["callback"] == {"state": "accepted", "said": "HTTP 200", "tries": 1}
        await sdk.close()

    on_place(play, tmp_path / "jobs.db")


@pytest.mark.sockets
def test_callback_of_a_service_on_its_own_clock_is_fresh_to_a_receiver(tmp_path: Path) -> None:
    """The timestamp is the calendar's, so the SDK's helper takes it with its usual tolerance of five minutes."""

    async def run() -> None:
        async with (
            a_mock(scale=1_000) as mock,
            a_service(mock, tmp_path / "jobs.db", calendar=calendar_s) as place,
        ):
            await place.ordered(webhook=place.receiver.url)
            while not place.receiver.got:  # noqa: ASYNC110  # the receiver keeps a list
                await asyncio.sleep(0.05)
            [(_, headers, body)] = place.receiver.got
            sdk = openai.AsyncOpenAI(api_key="sk-x", webhook_secret=place.service.store.secret)
            sdk.webhooks.verify_signature(body, headers)
            await sdk.close()

    assert inspect.signature(Service).parameters["now_s"].default is calendar_s
    run_real(run())


def test_callback_is_sent_again_with_one_id_until_it_is_accepted(tmp_path: Path) -> None:
    """500, a redirect that is not followed, a 429 that asks for 100 s: then 200, and no further one."""

    async def play(place: Place) -> None:
        place.receiver.answers = [
            (500, {}),
            (302, {"Location": "http://127.0.0.1:1/elsewhere"}),
            (429, {"Retry-After": "100"}),
        ]
        await place.ended(await place.ordered(webhook=place.receiver.url))
        await asyncio.sleep(3_600)

        at_s = [at for at, _, _ in place.receiver.got]
        pauses_s = [round(later - sooner) for sooner, later in pairwise(at_s)]
        assert pauses_s == [5, 15, 100]
        assert len({headers["webhook-id"] for _, headers, _ in place.receiver.got}) == 1
        assert len({headers["webhook-timestamp"] for _, headers, _ in place.receiver.got}) == 4

    on_place(play, tmp_path / "jobs.db")


def test_receiver_that_answers_late_has_not_accepted_and_gets_it_again(tmp_path: Path) -> None:
    """After 15 s nothing waits for its answer; the second try, 5 s later, has the same id and is accepted."""

    async def play(place: Place) -> None:
        place.receiver.answers = [(LATE, {})]
        job_id = await place.ordered(webhook=place.receiver.url)
        await place.ended(job_id)
        await asyncio.sleep(3_600)

        (first_s, first, _), (second_s, second, _) = place.receiver.got
        assert round(second_s - first_s) == 20
        assert first["webhook-id"] == second["webhook-id"]
        _, job = await place.ask("GET", f"/jobs/{job_id}")
        assert job["callback"] == {"state": "accepted", "said": "HTTP 200", "tries": 2}

    on_place(play, tmp_path / "jobs.db")


def test_receiver_that_is_gone_gets_no_second_callback(tmp_path: Path) -> None:
    """410 ends it, and the job says so."""

    async def play(place: Place) -> None:
        place.receiver.answers = [(410, {})]
        job_id = await place.ordered(webhook=place.receiver.url)
        await place.ended(job_id)
        await asyncio.sleep(86_400)
        _, job = await place.ask("GET", f"/jobs/{job_id}")
        assert len(place.receiver.got) == 1
        assert job["callback"] == {"state": "given_up", "said": "HTTP 410", "tries": 1}

    on_place(play, tmp_path / "jobs.db")


def test_callback_that_was_not_accepted_before_a_restart_is_sent_after_it(tmp_path: Path) -> None:
    """The schedule is in the store."""

    async def run() -> None:
        async with a_mock() as mock:
            async with a_service(mock, tmp_path / "jobs.db") as place:
                place.receiver.answers = [(503, {})] * 99
                url = place.receiver.url
                job_id = await place.ordered(webhook=url)
                await place.ended(job_id)
                await asyncio.sleep(10)
            async with a_service(mock, tmp_path / "jobs.db") as place:
                place.service.store._db.execute("update letters set url=?", (place.receiver.url,))
                await asyncio.sleep(3_600)
                _, job = await place.ask("GET", f"/jobs/{job_id}")
                assert len(place.receiver.got) == 1
                assert job["callback"]["state"] == "accepted"

    run_virtual(run())


def test_full_disk_holds_the_image_says_so_and_delivers_when_there_is_room(tmp_path: Path) -> None:
    """No state `sent` without a word, nothing asked for twice, no order taken that cannot be kept."""

    async def play(place: Place) -> None:
        job_id = await place.ordered()
        await place.in_state(job_id, "sent")
        filled(place.service.store)
        await asyncio.sleep(600)
        status, job = await place.ask("GET", f"/jobs/{job_id}")
        refused, why = await place.ask("POST", "/jobs", ORDER | {"prompt": "heron " * 5_000})
        with_room(place.service.store)
        ended = await place.ended(job_id)

        assert (status, job["status"]) == (200, "sent")
        assert "database or disk is full" in job["says"]
        assert (refused, why["error"]["code"]) == (507, "no_room")
        assert (ended["status"], place.billed) == ("delivered", 1)

    on_place(play, tmp_path / "jobs.db")


def test_job_that_is_queued_goes_on_after_a_restart_and_one_under_way_is_unknown(tmp_path: Path) -> None:
    """A stop in a hurry: what was being paid is unknown, what was not sent is made by the next start."""

    async def run() -> None:
        async with a_mock() as mock:
            async with a_service(mock, tmp_path / "jobs.db", at_once=1) as place:
                first = await place.ordered()
                await place.in_state(first, "sent")
                second = await place.ordered(prompt="a second heron")
            async with a_service(mock, tmp_path / "jobs.db", at_once=1) as place:
                assert (await place.ended(first))["status"] == "unknown"
                assert (await place.ended(second))["status"] == "delivered"
                assert place.billed == 2

    run_virtual(run())


def test_service_that_ends_takes_no_order_and_answers_polls_until_the_image_is_there(tmp_path: Path) -> None:
    """Ctrl-C: the image that is being paid is waited for."""

    async def play(place: Place) -> None:
        job_id = await place.ordered()
        await place.in_state(job_id, "sent")
        place.service.parts.closing.set()
        drained = asyncio.get_running_loop().create_task(place.service.worker.drain(asyncio.Event()))
        refused, why = await place.ask("POST", "/jobs", ORDER)
        job = await place.ended(job_id)
        assert (refused, why["error"]["code"]) == (503, "closing")
        assert (job["status"], await drained) == ("delivered", 0)

    on_place(play, tmp_path / "jobs.db")


def test_budget_refuses_before_it_is_spent(tmp_path: Path) -> None:
    """402, and no job."""

    async def play(place: Place) -> None:
        status, why = await place.ask("POST", "/jobs", ORDER)
        assert (status, why["error"]["code"]) == (402, "no_credit")
        assert place.service.store.newest(9) == []

    on_place(play, tmp_path / "jobs.db", budget_usd=0.0001)


@pytest.mark.parametrize(
    ("order", "says"),
    [
        ({"prompt": ""}, "prompt"),
        ({"promt": "x"}, "did you mean 'prompt'"),
        ({"prompt": "x", "n": 11}, "whole number from 1 to 10"),
        ({"prompt": "x", "webhook": "http://192.0.2.1/hook"}, "no URL of this machine"),
        ({"prompt": "x", "webhook": "file:///etc/passwd"}, "no URL of this machine"),
    ],
)
def test_invalid_order_is_refused_with_its_field(tmp_path: Path, order: dict[str, Any], says: str) -> None:
    """400, one sentence; a callback goes to this machine only."""

    async def play(place: Place) -> None:
        status, why = await place.ask("POST", "/jobs", order)
        assert (status, why["error"]["code"]) == (400, "bad_input")
        assert says in why["error"]["message"]

    on_place(play, tmp_path / "jobs.db")


def test_no_secret_is_in_the_store_beyond_what_signs_callbacks(tmp_path: Path) -> None:
    """Neither the API key nor the token is written into the database."""

    async def play(place: Place) -> None:
        await place.ended(await place.ordered(webhook=place.receiver.url))
        place.service.store._db.execute("pragma wal_checkpoint(truncate)")
        written = (tmp_path / "jobs.db").read_bytes()
        assert b"sk-made-up-for-the-tests" not in written
        assert guard.token_of(tmp_path / "jobs.db").encode() not in written
        assert place.service.store.newest(1)[0].created_s >= EPOCH_UNIX_S

    on_place(play, tmp_path / "jobs.db")
