"""Clients that ask for images as jobs: a good one keeps every check, and each fault is found by its own."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

import openai
import pytest
from aiohttp import web

from whocut.clock import VirtualLoop
from whocut.contract.checks import CHECKS, JOBS
from whocut.contract.client import client_of
from whocut.contract.hold import hold
from whocut.contract.judgement import Ruling
from whocut.stage.memory import MemoryLoop

OVER = {"completed", "failed", "cancelled"}


class Jobs:
    """Asks by background responses, waits as it is asked to, gives up after half an hour; a fault changes one."""

    least_s = 2.0
    most_s = 60.0
    heeds = True
    returns = True
    total_s: float = 1_800.0
    submits_again_s = float("inf")

    def __init__(self, base_url: str, api_key: str) -> None:
        self._sdk = openai.AsyncOpenAI(base_url=base_url, api_key=api_key, max_retries=0)
        self.images = self

    async def generate(self, **wanted: Any) -> Any:
        """The job when it is over."""
        loop = asyncio.get_running_loop()
        began_s = submitted_s = loop.time()
        answer = await self._submit(wanted)
        job: Any = answer.parse()
        wait_s = self.least_s
        while job.status not in OVER:
            asked_s = float(answer.headers.get("openai-poll-after-ms", 0)) / 1_000 if self.heeds else 0.0
            await asyncio.sleep(max(wait_s, asked_s))
            wait_s = min(wait_s * 1.5, self.most_s)
            if loop.time() - began_s > self.total_s:
                raise TimeoutError(job.id)
            if loop.time() - submitted_s > self.submits_again_s:
                answer, submitted_s = await self._submit(wanted), loop.time()
            else:
                answer = await self._poll(job.id)
            job = answer.parse()
        return job

    async def _poll(self, job_id: str) -> Any:
        """The answer to one poll; a 429 is waited out."""
        while True:
            try:
                return await self._sdk.responses.with_raw_response.retrieve(job_id)
            except openai.RateLimitError as refused:
                if not self.returns:
                    raise
                asked_s = float(refused.response.headers.get("retry-after", 0)) if self.heeds else 0.0
                await asyncio.sleep(max(asked_s, self.least_s))

    async def _submit(self, wanted: dict[str, Any]) -> Any:
        tool: Any = {"type": "image_generation", "size": wanted["size"], "quality": wanted["quality"]}
        return await self._sdk.responses.with_raw_response.create(
            model="gpt-5", input=wanted["prompt"], tools=[tool], background=True
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._sdk.close()


class Hurried(Jobs):
    """Polls five times a second."""

    least_s = most_s = 0.5


class Deaf(Jobs):
    """Reads no header."""

    heeds = False
    most_s = 5.0


class Forgetful(Jobs):
    """Submits anew every ten minutes."""

    submits_again_s = 600.0


class GivesUp(Jobs):
    """Takes a refused poll for the end of the job."""

    returns = False


class Hears(Jobs):
    """Registers a receiver, verifies what comes, fetches the image once when it has heard; a fault changes one."""

    verifies = True
    answers_after_s = 0.0
    fetches_each = False

    async def generate(self, **wanted: Any) -> Any:
        """The job when a callback has said that it is over."""
        heard: asyncio.Queue[str] = asyncio.Queue()
        known: set[str] = set()

        async def take(request: web.Request) -> web.Response:
            body = await request.text()
            try:
                if self.verifies:
                    self._sdk.webhooks.verify_signature(body, request.headers, secret=made.signing_secret)
            except openai.InvalidWebhookSignatureError:
                return web.Response(status=400)
            if self.fetches_each or request.headers["webhook-id"] not in known:
                known.add(request.headers["webhook-id"])
                heard.put_nowait(json.loads(body)["data"]["id"])
            await asyncio.sleep(self.answers_after_s)
            return web.Response()

        app = web.Application()
        app.router.add_post("/", take)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        made = await self._sdk.webhooks.create(
            name="mine", url=f"http://127.0.0.1:{runner.addresses[0][1]}/", event_types=["response.completed"]
        )
        await self._submit(wanted)
        job = (await self._poll(await heard.get())).parse()
        with suppress(TimeoutError):
            async with asyncio.timeout(60):  # whatever comes again
                while True:
                    await self._poll(await heard.get())
        await runner.cleanup()
        return job


class Credulous(Hears):
    """Believes whatever comes."""

    verifies = False


class Slow(Hears):
    """Answers when it has worked."""

    answers_after_s = 20.0


class Twice(Hears):
    """Fetches the image for each callback."""

    fetches_each = True


class Endless(Jobs):
    """Waits for ever."""

    total_s = float("inf")
    most_s = 300.0


def rulings(make: Any, name: str, only: str = "") -> dict[str, Ruling]:
    """What each check says of a client."""
    checks = [check for check in JOBS if only in check.id]
    loop = VirtualLoop if issubclass(make, Hears) else MemoryLoop  # a callback comes by a real socket
    card = hold(client_of(make, name), checks=checks, loop_factory=loop)
    return {result.id: result.ruling for result in card.results}


def test_good_client_of_jobs_keeps_every_check() -> None:
    """Polite, patient, bounded, and one submit an order."""
    said = rulings(Jobs, "jobs")
    assert {said[name] for name in said if name.startswith("job-")} == {Ruling.KEPT}
    assert {said[name] for name in said if name.startswith("callback-")} == {Ruling.NOT_TRIED}


def test_good_receiver_of_callbacks_keeps_the_checks_for_them() -> None:
    """It refuses the forged one, answers at once, and fetches once."""
    assert set(rulings(Hears, "hears", "callback-").values()) == {Ruling.KEPT}


FAULTS = {
    "job-polls-politely": Hurried,
    "job-poll-after": Deaf,
    "job-submitted-once": Forgetful,
    "job-wait-bounded": Endless,
    "job-retry-after": GivesUp,
    "callback-verified": Credulous,
    "callback-once": Twice,
}


def test_there_is_a_faulty_client_for_each_check_for_jobs() -> None:
    """No check is without a client that breaks it."""
    assert set(FAULTS) == {check.id for check in JOBS}


@pytest.mark.parametrize(("check", "make"), FAULTS.items())
def test_fault_is_found_by_its_own_check(make: Any, check: str) -> None:
    """The check for it is broken."""
    assert rulings(make, check, check)[check] is Ruling.BROKEN


@pytest.mark.parametrize(("check", "make"), [("job-retry-after", Deaf), ("callback-once", Slow)])
def test_another_way_to_break_it_is_found_too(make: Any, check: str) -> None:
    """Polling on before the time that a 429 asks for, and answering a callback late."""
    assert rulings(make, check, check)[check] is Ruling.BROKEN


def test_client_that_submits_no_job_is_neither_accused_nor_acquitted() -> None:
    """And by default it is not asked at all."""
    said = rulings(openai.AsyncOpenAI, "plain")
    assert set(said.values()) == {Ruling.NOT_TRIED}
    assert not {check.id for check in CHECKS} & {check.id for check in JOBS}
