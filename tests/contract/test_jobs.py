"""Clients that ask for images as jobs: a good one keeps every check, and each fault is found by its own."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest

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
                answer = await self._sdk.responses.with_raw_response.retrieve(job.id)
            job = answer.parse()
        return job

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


class Endless(Jobs):
    """Waits for ever."""

    total_s = float("inf")
    most_s = 300.0


class Insistent(Jobs):
    """Takes a gateway's 504 for a submit that was not."""

    async def _submit(self, wanted: dict[str, Any]) -> Any:
        try:
            return await super()._submit(wanted)
        except openai.InternalServerError:
            await asyncio.sleep(2.0)
            return await super()._submit(wanted)


def rulings(make: Any, name: str, only: str = "") -> dict[str, Ruling]:
    """What each check says of a client."""
    checks = [check for check in JOBS if only in check.id]
    card = hold(client_of(make, name), checks=checks, loop_factory=MemoryLoop)
    return {result.id: result.ruling for result in card.results}


def test_good_client_of_jobs_keeps_every_check() -> None:
    """Polite, patient, bounded, and one submit an order."""
    assert set(rulings(Jobs, "jobs").values()) == {Ruling.KEPT}


FAULTS = {
    "job-polls-politely": Hurried,
    "job-poll-after": Deaf,
    "job-submitted-once": Forgetful,
    "job-submit-504": Insistent,
    "job-wait-bounded": Endless,
}


def test_there_is_a_faulty_client_for_each_check_for_jobs() -> None:
    """No check is without a client that breaks it."""
    assert set(FAULTS) == {check.id for check in JOBS}


@pytest.mark.parametrize(("check", "make"), FAULTS.items())
def test_fault_is_found_by_its_own_check(make: Any, check: str) -> None:
    """The check for it is broken."""
    assert rulings(make, check, check)[check] is Ruling.BROKEN


def test_client_that_submits_no_job_is_neither_accused_nor_acquitted() -> None:
    """And by default it is not asked at all."""
    said = rulings(openai.AsyncOpenAI, "plain")
    assert set(said.values()) == {Ruling.NOT_TRIED}
    assert not {check.id for check in CHECKS} & {check.id for check in JOBS}
