"""Webhooks: signed so that the official SDK believes them, sent again by rule, and written down.

The receiver is a real server on the loopback, and the signature is checked by the SDK's own helper.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import web
from openai import AsyncOpenAI, BadRequestError, InvalidWebhookSignatureError, NotFoundError

from tests.mock_upstream.stage import Stage, on_stage
from tests.mock_upstream.test_background import BODY, job_of, sdk
from whocut_mock import ModelClock, Settings
from whocut_mock.postman import STANDARD, TEN_IN_TWO_HOURS, signed

QUICK = Settings.model_validate({"latency": {"constant_s": 100.0}, "jobs": {"queue_s": [0.1, 0.2]}})
LATE = 999
Answering = Callable[[int], web.Response]


@dataclass
class Receiver:
    """Who is called back: what came, when, and what it answers to the n-th try."""

    stage: Stage
    answering: Answering
    came: list[tuple[float, dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""

    async def take(self, request: web.Request) -> web.Response:
        """One try."""
        self.came.append((self.stage.now_s(), dict(request.headers), await request.read()))
        answer = self.answering(len(self.came))
        if "X-Late" in answer.headers:
            await asyncio.sleep(60)
        return answer

    @property
    def pauses_s(self) -> list[float]:
        """Between one try and the next."""
        instants = [at_s for at_s, _, _ in self.came]
        return [round(later - sooner, 1) for sooner, later in pairwise(instants)]


def saying(*statuses: int, **headers: str) -> Answering:
    """Each try's status in turn, the last one for ever; LATE stands for an answer that comes too late."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}

    def answer(number: int) -> web.Response:
        status = statuses[min(number, len(statuses)) - 1]
        if status == LATE:
            return web.Response(headers={"X-Late": "1"})
        return web.Response(status=status, headers=sent)

    return answer


@asynccontextmanager
async def receiver(stage: Stage, answering: Answering) -> AsyncIterator[Receiver]:
    """A receiver on a port of its own."""
    taking = Receiver(stage, answering)
    app = web.Application()
    app.router.add_post("/hook", taking.take)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.01)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    taking.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield taking
    finally:
        await runner.cleanup()


async def subscribed(client: AsyncOpenAI, url: str) -> str:
    """An endpoint for what may become of a response; its secret."""
    endpoint = await client.webhooks.create(
        name="mine", url=url, event_types=["response.completed", "response.failed", "response.cancelled"]
    )
    return endpoint.signing_secret


def now_clock() -> ModelClock:
    """A model whose calendar is today's, because who checks a signature looks at the wall."""
    return ModelClock(epoch_unix_s=time.time())  # noqa: TID251 - the SDK's helper reads the same clock


def test_the_sdk_believes_a_callback() -> None:
    """A thin event with the response's id, by OpenAI's sender, under a signature that `unwrap` accepts."""

    async def play(stage: Stage) -> None:
        async with receiver(stage, saying(200)) as taking, sdk(stage) as client:
            secret = await subscribed(client, taking.url)
            response = await client.responses.create(**BODY)
            await asyncio.sleep(200)

            [(at_s, headers, body)] = taking.came
            event = client.webhooks.unwrap(body, headers, secret=secret)
            assert event.type == "response.completed"
            assert event.data.id == response.id
            assert headers["User-Agent"] == "OpenAI/1.0 (+https://platform.openai.com/docs/webhooks)"
            assert headers["Content-Type"] == "application/json"
            with pytest.raises(InvalidWebhookSignatureError):
                client.webhooks.unwrap(body, headers, secret="whsec_" + "A" * 43 + "=")
            with pytest.raises(InvalidWebhookSignatureError):
                client.webhooks.unwrap(body + b" ", headers, secret=secret)

        [row] = stage.ledger.rows()
        [callback] = job_of(row).callbacks
        assert (callback.said, callback.status) == ("accepted", 200)
        assert job_of(row).told_done_s == pytest.approx(at_s, abs=0.1)
        assert at_s == pytest.approx(row.finished_s, abs=0.1)

    on_stage(play, QUICK, clock=now_clock())


@pytest.mark.parametrize(
    ("input_text", "cancelled", "event"),
    [
        ("a cat", False, "response.completed"),
        ("mickey mouse on a bike", False, "response.failed"),
        ("a cat", True, "response.cancelled"),
    ],
)
def test_event_says_what_happened(input_text: str, event: str, *, cancelled: bool) -> None:
    """Completed, failed and cancelled are three events."""

    async def play(stage: Stage) -> None:
        async with receiver(stage, saying(204)) as taking, sdk(stage) as client:
            await subscribed(client, taking.url)
            response = await client.responses.create(**{**BODY, "input": input_text})
            await asyncio.sleep(50)
            if cancelled:
                await client.responses.cancel(response.id)
            await asyncio.sleep(100)

            assert [body.count(f'"{event}"'.encode()) for _, _, body in taking.came] == [1]

    on_stage(play, QUICK)


@pytest.mark.parametrize(
    ("statuses", "headers", "said", "lost"),
    [
        ((500, 503, 200), {}, ["refused", "refused", "accepted"], "result_expired"),
        ((302, 200), {"Location": "/elsewhere"}, ["redirected", "accepted"], "result_expired"),
        ((LATE, 200), {}, ["unanswered", "accepted"], "result_expired"),
        ((410,), {}, ["gone"], "callback_gone"),
        ((404,), {}, ["refused"] * 5, "callback_refused"),
        ((307,), {"Location": "/elsewhere"}, ["redirected"] * 5, "callback_redirected"),
        ((LATE,), {}, ["unanswered"] * 5, "callback_unanswered"),
    ],
)
def test_what_a_receiver_says(
    statuses: tuple[int, ...], headers: dict[str, str], said: list[str], lost: str
) -> None:
    """Any 2xx is acceptance and nothing else; 410 ends it; the books say by which of them a result was lost."""

    async def play(stage: Stage) -> None:
        async with receiver(stage, saying(*statuses, **headers)) as taking, sdk(stage) as client:
            await subscribed(client, taking.url)
            await client.responses.create(**BODY)
            await asyncio.sleep(710)

            assert len(taking.came) == len(said)
            assert len({sent["webhook-id"] for _, sent, _ in taking.came}) == 1
        [row] = stage.ledger.rows()
        assert [one.said for one in job_of(row).callbacks] == said
        assert (row.delivered, job_of(row).lost) == (False, lost)

    on_stage(play, QUICK)


def test_waits_between_tries_grow_and_a_retry_after_is_obeyed() -> None:
    """Five seconds, four times as long each time, a little apart; and never sooner than a 429 asks for."""

    async def play(stage: Stage) -> None:
        async with receiver(stage, saying(500)) as taking, sdk(stage) as client:
            await subscribed(client, taking.url)
            await client.responses.create(**BODY)
            await asyncio.sleep(80 * 3_600)
            pauses_s = taking.pauses_s

            assert len(taking.came) == 10
            wanted = [min(5.0 * 4**number, 86_400.0) for number in range(9)]
            assert all(0.9 <= pause / want <= 1.1 for pause, want in zip(pauses_s, wanted, strict=True)), (
                pauses_s
            )

        async with receiver(stage, saying(429, 200, Retry_After="90")) as taking, sdk(stage) as client:
            await subscribed(client, taking.url)
            await client.responses.create(**BODY)
            await asyncio.sleep(600)

            assert taking.pauses_s == [90.0]

    on_stage(play, QUICK)


def test_disabled_endpoint_is_told_nothing_until_it_is_changed() -> None:
    """After a 410 no event is sent there; an update makes it an endpoint again."""

    async def play(stage: Stage) -> None:
        async with receiver(stage, saying(410, 200)) as taking, sdk(stage) as client:
            await subscribed(client, taking.url)
            for word in "abc":
                await client.responses.create(**{**BODY, "input": word})
                await asyncio.sleep(150)
                if word == "b":
                    [endpoint] = (await client.webhooks.list()).data
                    await client.webhooks.update(endpoint.id, url=taking.url)

            assert len(taking.came) == 2

    on_stage(play, QUICK)


def test_accepted_callback_may_come_twice() -> None:
    """At least once is not once: the same id comes again, for a receiver to know it by."""
    settings = QUICK.model_copy(update={"jobs": QUICK.jobs.model_copy(update={"callback_twice": 1.0})})

    async def play(stage: Stage) -> None:
        async with receiver(stage, saying(200)) as taking, sdk(stage) as client:
            await subscribed(client, taking.url)
            await client.responses.create(**BODY)
            await asyncio.sleep(200)

            assert len(taking.came) == 2
            assert len({sent["webhook-id"] for _, sent, _ in taking.came}) == 1

    on_stage(play, settings)


def test_endpoints_by_the_sdk() -> None:
    """Made, listed in pages, changed, tried, deleted; the secret is shown when it is made and never again."""

    async def play(stage: Stage) -> None:
        async with receiver(stage, saying(201)) as taking, sdk(stage) as client:
            made = [
                await client.webhooks.create(
                    name=f"mine {number}", url=taking.url, event_types=["batch.completed"]
                )
                for number in range(3)
            ]
            names = [one.name async for one in client.webhooks.list(limit=2)]
            assert names == ["mine 0", "mine 1", "mine 2"]
            shown = await client.webhooks.retrieve(made[0].id)
            assert "signing_secret" not in shown.model_dump()
            changed = await client.webhooks.update(made[0].id, name="other", event_types=["response.failed"])
            assert (changed.name, changed.event_types) == ("other", ["response.failed"])
            result = await client.webhooks.test(made[0].id, event_type="response.failed")
            assert (result.status_code, result.success, len(taking.came)) == (201, True, 1)
            assert "response.completed" in (await client.webhooks.event_types.list()).data
            assert (await client.webhooks.delete(made[0].id)).deleted
            with pytest.raises(NotFoundError):
                await client.webhooks.retrieve(made[0].id)

    on_stage(play, QUICK)


@pytest.mark.parametrize("keep", [False, True])
def test_rotated_secret(*, keep: bool) -> None:
    """The new secret holds at once; the old one for a day more, if that was asked for."""

    async def play(stage: Stage) -> None:
        async with receiver(stage, saying(200)) as taking, sdk(stage) as client:
            old = await subscribed(client, taking.url)
            [endpoint] = (await client.webhooks.list()).data
            rotated = await client.webhooks.rotate_secret(
                endpoint.id, keep_old_secret_active_for_24_hours=keep
            )
            await client.webhooks.test(endpoint.id, event_type="response.completed")

            _, headers, body = taking.came[-1]
            client.webhooks.verify_signature(body, headers, secret=rotated.signing_secret)
            assert len(headers["webhook-signature"].split()) == 1 + keep
            if keep:
                client.webhooks.verify_signature(body, headers, secret=old)
                await asyncio.sleep(25 * 3_600)
                await client.webhooks.test(endpoint.id, event_type="response.completed")
                assert len(taking.came[-1][1]["webhook-signature"].split()) == 1
            else:
                with pytest.raises(InvalidWebhookSignatureError):
                    client.webhooks.verify_signature(body, headers, secret=old)

    on_stage(play, QUICK, clock=now_clock())


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/hook",
        "http://10.0.0.1/hook",
        "http://127.0.0.1@example.com/",
        "http://169.254.169.254/latest",
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "http://[::1",
        "http://127.0.0.1:99999/",
        "",
        7,
    ],
)
def test_only_this_machine_is_called_back(url: Any) -> None:
    """A request cannot make the mock dial anything but the loopback, unless its start allowed it."""

    async def play(stage: Stage) -> None:
        async with sdk(stage) as client:
            with pytest.raises(BadRequestError):
                await client.webhooks.create(name="x", url=url, event_types=["response.completed"])

    on_stage(play, QUICK)


def test_receiver_that_nobody_runs_is_unreachable() -> None:
    """A port where nobody listens is said so, and the result is lost by it."""

    async def play(stage: Stage) -> None:
        async with receiver(stage, saying(200)) as gone:
            url = gone.url
        async with sdk(stage) as client:
            await subscribed(client, url)
            await client.responses.create(**BODY)
            await asyncio.sleep(710)
            [endpoint] = (await client.webhooks.list()).data
            with pytest.raises(BadRequestError, match="unreachable"):
                await client.webhooks.test(endpoint.id, event_type="response.failed")

        [row] = stage.ledger.rows()
        assert job_of(row).lost == "callback_unreachable"

    on_stage(play, QUICK)


def test_schedules_end() -> None:
    """Neither goes on for ever: three days for OpenAI's, two hours for fal's."""
    for schedule, least in ((STANDARD, 6), (TEN_IN_TWO_HOURS, 10)):
        waits_s = [schedule.first_s * schedule.factor**number for number in range(schedule.tries)]
        within = [sum(waits_s[: number + 1]) for number in range(schedule.tries)]
        assert sum(at_s <= schedule.within_s for at_s in within) >= least


def test_signature_of_a_secret_without_a_prefix() -> None:
    """Any other text is a secret as it stands."""
    headers = signed(["plain"], "msg_1", 1_700_000_000, b"{}")

    assert headers["webhook-signature"] == "v1,162hV8cgRiJeX3BFM1PYxvSFQUTGivNIjp4k/fRnknM="
