"""Other vendors' dialects on the wire, in virtual time: what all of them hold to, and what each has of its own."""

import asyncio
import struct
from typing import Any

import aiohttp
import pytest

from tests.mock_upstream.stage import KEY, Stage, mock, on_stage
from tests.mock_upstream.test_background import job_of
from tests.mock_upstream.test_process import refused
from tests.mock_upstream.test_webhooks import receiver, saying
from tests.mock_upstream.vendor_wire import BEARER, PROMPT, WIRES, Wire, local
from tests.mock_upstream.virtual_time import run_virtual
from whocut_mock import Settings
from whocut_mock.dialects import known
from whocut_mock.film import of_picture

SETTINGS: dict[str, Any] = {"latency": {"constant_s": 100.0}, "jobs": {"queue_s": [2.0, 2.5]}}
HUNDRED_S = Settings.model_validate(SETTINGS)
each_wire = pytest.mark.parametrize("wire", WIRES.values(), ids=list(WIRES))


async def answered(stage: Stage, wire: Wire, prompt: str = PROMPT, **headers: str) -> str:
    """The path to poll at, of a submit that was taken."""
    answer = await wire.submit(stage, prompt, **headers)
    assert answer.status in (200, 201, 202), answer.body
    return wire.poll(answer.json)


async def links(stage: Stage, wire: Wire, path: str) -> list[str]:
    """The links of a finished job."""
    if wire.name == "fal":
        path = path.removesuffix("/status")
    return wire.links((await wire.ask(stage, path)).json)


@each_wire
def test_from_submit_to_picture(wire: Wire) -> None:
    """The submit answers at once; polls say that it runs, then that it is done; the link leads to the picture."""

    async def play(stage: Stage) -> None:
        begun_s = stage.now_s()
        path = await answered(stage, wire)
        assert stage.now_s() - begun_s < 0.1
        await asyncio.sleep(50)
        running = wire.status(await wire.ask(stage, path))
        await asyncio.sleep(60)
        done = wire.status(await wire.ask(stage, path))
        [url] = await links(stage, wire, path)
        assert not stage.ledger.rows()[0].delivered  # to be told of a picture is not to have it
        picture = await stage.get(local(url))

        assert (running, done) == wire.words[:2]
        assert picture.status == 200
        assert picture.headers["content-type"].split("/")[0] in ("image", "video")
        [row] = stage.ledger.rows()
        job = job_of(row)
        assert (row.state, row.delivered, row.billed, job.dialect) == ("settled", True, True, wire.name)
        assert (job.polls >= 2, job.lost) == (True, None)
        assert "openai-version" not in picture.headers

    on_stage(play, HUNDRED_S)


@each_wire
@pytest.mark.parametrize(
    ("polled_s", "lost"), [((), "never_asked"), ((50,), "poll_gave_up"), ((50, 150), "result_expired")]
)
def test_how_a_result_is_lost(wire: Wire, polled_s: tuple[int, ...], lost: str) -> None:
    """Never asked for, asked for not long enough, or told and not fetched in time: the books tell them apart."""

    async def play(stage: Stage) -> None:
        path = await answered(stage, wire)
        for at_s in polled_s:
            await stage.running.upstream.clock.sleep_until_s(at_s)
            await wire.ask(stage, path)
        await asyncio.sleep(800)
        gone = await wire.ask(stage, path)

        assert gone.status == 404
        [row] = stage.ledger.rows()
        assert (row.billed, row.delivered, job_of(row).lost) == (True, False, lost)

    on_stage(play, HUNDRED_S)


@each_wire
def test_link_that_has_expired(wire: Wire) -> None:
    """A link holds as long as the result is kept, and then leads nowhere."""

    async def play(stage: Stage) -> None:
        path = await answered(stage, wire)
        await asyncio.sleep(110)
        [url] = await links(stage, wire, path)
        await asyncio.sleep(700)

        assert (await stage.get(local(url))).status == 404

    on_stage(play, HUNDRED_S)


@each_wire
def test_picture_that_is_stopped(wire: Wire) -> None:
    """The second filter speaks when the work is done, and nothing is lost by it."""

    async def play(stage: Stage) -> None:
        path = await answered(stage, wire, "mickey mouse on a bike")
        await asyncio.sleep(110)
        status = wire.status(await wire.ask(stage, path))

        assert status == wire.words[2]
        [row] = stage.ledger.rows()
        assert (row.moderation, row.billed, job_of(row).lost) == ("output", True, None)

    on_stage(play, HUNDRED_S)


@each_wire
def test_submit_that_is_refused(wire: Wire) -> None:
    """No prompt, no key, too many at once: each in the vendor's own words, and no work is begun."""
    settings = Settings.model_validate({**SETTINGS, "quota": {"images_per_min": 1}})

    async def play(stage: Stage) -> None:
        empty = await wire.send(stage, {"model": "google/x"})
        keyless = await stage.post(wire.body(PROMPT), wire.path, Authorization="Nothing x")
        await answered(stage, wire)
        limited = await wire.submit(stage, "another")

        assert empty.status in (400, 422)
        assert keyless.status in (401, 403)
        assert limited.status == 429
        assert "retry-after" in limited.headers
        assert stage.ledger.totals().started == 1
        for answer in (empty, keyless, limited):
            assert answer.headers["content-type"].startswith("application/json")

    on_stage(play, settings)


@each_wire
def test_faults_strike_submits_and_polls(wire: Wire) -> None:
    """A submit whose answer is lost is work that nobody can ask for; a poll can be cut as anything can."""

    async def play(stage: Stage) -> None:
        with pytest.raises(aiohttp.ClientError):
            await wire.submit(stage, x_mock_fault="answer_lost")
        path = await answered(stage, wire, "another")
        with pytest.raises(aiohttp.ClientError):
            await wire.ask(stage, path, x_mock_fault="fin_mid_body")
        failing = await answered(stage, wire, "a third", x_mock_fault="job_fails")
        await asyncio.sleep(150)
        failed = wire.status(await wire.ask(stage, failing))
        await asyncio.sleep(800)

        assert failed not in wire.words[:2]
        first, second, third = (job_of(row) for row in stage.ledger.rows())
        assert (first.submit_answered_s, first.lost) == (None, "submit_unanswered")
        assert second.lost == "poll_gave_up"
        assert third.lost is None

    on_stage(play, HUNDRED_S)


@each_wire
def test_another_key_has_no_such_job(wire: Wire) -> None:
    """A job is there for the key that submitted it."""

    async def play(stage: Stage) -> None:
        path = await answered(stage, wire)
        name, value = next(iter(wire.key.items()))
        other = value.replace(KEY, "sk-somebody-else")

        async with stage.session.get(stage.url(path), headers={name: other}) as answer:
            assert answer.status == 404

    on_stage(play, HUNDRED_S)


def test_dialects_can_be_chosen() -> None:
    """What is not chosen is not spoken, and a name that is none is said with those that are."""
    settings = Settings.model_validate({**SETTINGS, "dialects": ["openai", "bfl"]})

    async def play() -> None:
        async with mock(settings) as stage:
            spoken = {name: (await wire.submit(stage)).status for name, wire in WIRES.items()}
            assert {name for name, status in spoken.items() if status == 200} == {"bfl"}
            assert (await stage.get("/v1/models", **BEARER)).status == 200

    run_virtual(play())
    code, words = refused("--dialect", "openai,gemni")

    assert code == 2
    assert "there is no dialect 'gemni'" in words
    assert set(known()) == {
        "openai",
        "azure",
        "bfl",
        "fal",
        "gemini",
        "openrouter",
        "replicate",
        "tasks",
    }


# fal


@pytest.mark.parametrize(("refusals", "delivered"), [(1, True), (3, True), (10, True), (11, False)])
def test_fal_s_queue_tries_again_by_itself(refusals: int, *, delivered: bool) -> None:
    """Ten times after a 503 nobody is told; the eleventh is the job's failure, and nothing is billed."""
    rules = [
        {"fault": "overloaded", "when": {"endpoint": "fal.queue", "attempt": number + 1}}
        for number in range(refusals)
    ]
    settings = Settings.model_validate({**SETTINGS, "faults": rules})
    wire = WIRES["fal"]

    async def play(stage: Stage) -> None:
        path = await answered(stage, wire)
        await asyncio.sleep(400)
        answer = await wire.ask(stage, path)
        result = await wire.ask(stage, path.removesuffix("/status"))

        assert (wire.status(answer), result.status) == (
            ("COMPLETED", 200) if delivered else ("COMPLETED failed", 503)
        )
        [row] = stage.ledger.rows()
        assert (row.billed, row.state) == ((True, "running") if delivered else (False, "refused"))
        if delivered:
            waits = [min(2.0**number, 30.0) for number in range(refusals)]
            started_after_s = (row.started_s or 0) - (row.accepted_s or 0)
            assert started_after_s == pytest.approx(sum(waits) + 2.25, abs=0.3)

    on_stage(play, settings)


def test_fal_answers_202_until_it_is_complete() -> None:
    """The status of the status; a result asked for too early is a 400."""
    wire = WIRES["fal"]

    async def play(stage: Stage) -> None:
        path = await answered(stage, wire)
        statuses = []
        for wait_s in (1, 10, 100):
            await asyncio.sleep(wait_s)
            answer = await wire.ask(stage, path)
            statuses.append((answer.status, answer.json["status"]))
            if answer.status == 202:
                assert (await wire.ask(stage, path.removesuffix("/status"))).status == 400
        assert statuses == [(202, "IN_QUEUE"), (202, "IN_PROGRESS"), (200, "COMPLETED")]

        async with stage.session.put(stage.url(path.replace("/status", "/cancel")), headers=wire.key) as late:
            assert (late.status, await late.json()) == (400, {"status": "ALREADY_COMPLETED"})

    on_stage(play, HUNDRED_S)


# Replicate


@pytest.mark.parametrize(
    ("prefer", "held_s", "status"),
    [
        (None, 0, "starting"),
        ("wait=10", 10, "starting"),
        ("wait", 60, "starting"),
        ("wait=900", 60, "starting"),
    ],
)
def test_replicate_holds_a_request(prefer: str | None, held_s: float, status: str) -> None:
    """Up to 60 seconds, or for so many; what is not done by then says `starting`, as the client knows."""
    wire = WIRES["replicate"]

    async def play(stage: Stage) -> None:
        begun_s = stage.now_s()
        answer = await wire.submit(stage, **({"Prefer": prefer} if prefer else {}))

        assert (answer.status, answer.json["status"]) == (201, status)
        assert stage.now_s() - begun_s == pytest.approx(held_s, abs=0.1)

    on_stage(play, HUNDRED_S)


def test_replicate_answers_a_held_request_when_it_is_done() -> None:
    """The picture is in the answer to the submit itself."""
    settings = Settings.model_validate({**SETTINGS, "latency": {"constant_s": 20.0}})
    wire = WIRES["replicate"]

    async def play(stage: Stage) -> None:
        answer = await wire.submit(stage, Prefer="wait")

        assert answer.json["status"] == "succeeded"
        assert (await stage.get(local(answer.json["output"]))).status == 200
        assert job_of(stage.ledger.rows()[0]).polls == 0

    on_stage(play, settings)


@pytest.mark.parametrize(
    ("queue_s", "deadline", "status", "billed"),
    [(30.0, "10s", "aborted", False), (2.0, "1m", "canceled", True), (2.0, "1h", "succeeded", True)],
)
def test_replicate_s_deadline(queue_s: float, deadline: str, status: str, *, billed: bool) -> None:
    """Before the start it is free, while it runs it is charged."""
    jobs = {"queue_s": [queue_s, queue_s + 0.1]}
    settings = Settings.model_validate({"latency": {"constant_s": 100.0}, "jobs": jobs})
    wire = WIRES["replicate"]

    async def play(stage: Stage) -> None:
        path = await answered(stage, wire, Cancel_After=deadline)
        await asyncio.sleep(200)

        assert wire.status(await wire.ask(stage, path)) == status
        assert stage.ledger.totals().billed == billed

    on_stage(play, settings)


@pytest.mark.parametrize("deadline", ["4s", "25h", "soon", ""])
def test_replicate_s_deadline_has_bounds(deadline: str) -> None:
    """From five seconds to a day."""

    async def play(stage: Stage) -> None:
        assert (await WIRES["replicate"].submit(stage, Cancel_After=deadline)).status == 422

    on_stage(play, HUNDRED_S)


# Callbacks


@pytest.mark.parametrize(
    ("name", "extra"),
    [
        ("replicate", {"webhook": "URL", "webhook_events_filter": ["completed"]}),
        ("openrouter", {"callback_url": "URL"}),
        ("bfl", {"webhook_url": "URL", "webhook_secret": "made-up"}),
        ("fal", {}),
    ],
)
@pytest.mark.parametrize(
    ("statuses", "lost"),
    [((200,), "result_expired"), ((500,), "callback_refused"), ((302,), "callback_redirected")],
)
def test_callback(name: str, extra: dict[str, Any], statuses: tuple[int, ...], lost: str) -> None:
    """A URL is told that it is done; a picture that nobody fetches then is lost by the callback's own fate."""
    wire = WIRES[name]

    async def play(stage: Stage) -> None:
        async with receiver(stage, saying(*statuses)) as taking:
            fields = {key: taking.url if value == "URL" else value for key, value in extra.items()}
            url = stage.url(wire.path) + (f"?fal_webhook={taking.url}" if name == "fal" else "")
            async with stage.session.post(
                url, json={**wire.body(PROMPT), **fields}, headers=wire.key
            ) as answer:
                assert answer.status in (200, 201, 202)
            await asyncio.sleep(800)

            assert len(taking.came) >= 1 + (statuses != (200,))
        [row] = stage.ledger.rows()
        assert job_of(row).lost == lost

    on_stage(play, HUNDRED_S)


@pytest.mark.parametrize(
    ("name", "extra"),
    [("replicate", {"webhook": 1}), ("openrouter", {"callback_url": 1}), ("bfl", {"webhook_url": 1})],
)
def test_callback_to_another_machine_is_refused(name: str, extra: dict[str, Any]) -> None:
    """A submit cannot make the mock dial what is not this machine."""
    wire = WIRES[name]

    async def play(stage: Stage) -> None:
        fields = dict.fromkeys(extra, "http://10.0.0.1/hook")
        assert (await wire.send(stage, {**wire.body(PROMPT), **fields})).status in (400, 422)
        assert stage.ledger.totals().started == 0

    on_stage(play, HUNDRED_S)


# Black Forest Labs


def test_bfl_moderates_at_either_stage() -> None:
    """A request is moderated before any work, content after all of it; only the second was paid."""
    wire = WIRES["bfl"]

    async def play(stage: Stage) -> None:
        early, late = await answered(stage, wire, "torture"), await answered(stage, wire, "mickey mouse")
        first = (await wire.ask(stage, early)).json
        await asyncio.sleep(120)
        second = (await wire.ask(stage, late)).json

        assert (first["status"], second["status"]) == ("Request Moderated", "Content Moderated")
        assert first["details"] == {"Moderation Reasons": ["violence"]}
        assert [row.billed for row in stage.ledger.rows()] == [False, True]

    on_stage(play, HUNDRED_S)


def test_bfl_has_room_for_24() -> None:
    """The 25th task at once is a 429, until one is done."""
    wire = WIRES["bfl"]

    async def play(stage: Stage) -> None:
        answers = [await wire.submit(stage, f"cat {number}") for number in range(25)]
        await asyncio.sleep(120)
        later = await wire.submit(stage, "cat 24")

        assert [answer.status for answer in answers] == [200] * 24 + [429]
        assert later.status == 200

    on_stage(play, HUNDRED_S)


def test_bfl_without_money() -> None:
    """402, and nothing else."""
    settings = Settings.model_validate({**SETTINGS, "keys": {KEY: {"budget_usd": 0}}})

    async def play(stage: Stage) -> None:
        assert (await WIRES["bfl"].submit(stage)).status == 402

    on_stage(play, settings)


# OpenRouter


def test_openrouter_s_stream_says_that_it_is_alive() -> None:
    """Comments in the silences between partial images; they re-arm an idle timer."""

    async def play(stage: Stage) -> None:
        body = {"model": "openai/gpt-image-2", "prompt": PROMPT, "stream": True}
        answer = await stage.post(body, "/openrouter/api/v1/images")

        frames = answer.body.split(b"\n\n")
        comments = frames.count(b": OPENROUTER PROCESSING")
        assert comments >= 8
        assert frames[-2:] == [b"data: [DONE]", b""]
        assert sum(frame.startswith(b"data: {") for frame in frames) == 3

    on_stage(play, HUNDRED_S)


def test_openrouter_s_content_needs_the_key() -> None:
    """`unsigned_urls` are for who has the key; `urls` are signed and need none."""
    wire = WIRES["openrouter"]

    async def play(stage: Stage) -> None:
        path = await answered(stage, wire)
        await asyncio.sleep(120)
        job = (await wire.ask(stage, path)).json
        [unsigned], [signed] = job["unsigned_urls"], job["urls"]

        assert (await stage.get(local(unsigned))).status == 401
        assert (await stage.get(local(unsigned), **BEARER)).headers["content-type"] == "video/mp4"
        assert (await stage.get(local(signed))).headers["content-type"] == "video/mp4"

    on_stage(play, HUNDRED_S)


# Gemini


@pytest.mark.parametrize("version", ["v1", "v1beta"])
def test_gemini_s_operation(version: str) -> None:
    """Its name is asked for until it is done; a film that nobody downloads is lost."""
    headers = {"x-goog-api-key": KEY}

    async def play(stage: Stage) -> None:
        body = {"instances": [{"prompt": PROMPT}]}
        path = f"/gemini/{version}/models/veo-3.1:predictLongRunning"
        name = (await stage.post(body, path, **headers)).json["name"]
        await asyncio.sleep(50)
        running = (await stage.get(f"/gemini/{version}/{name}", **headers)).json
        await asyncio.sleep(60)
        done = (await stage.get(f"/gemini/{version}/{name}", **headers)).json
        await asyncio.sleep(700)

        assert "done" not in running
        [sample] = done["response"]["generateVideoResponse"]["generatedSamples"]
        assert (await stage.get(local(sample["video"]["uri"]), **headers)).status == 404
        [row] = stage.ledger.rows()
        assert job_of(row).lost == "result_expired"

    on_stage(play, HUNDRED_S)


def test_gemini_s_deadline_is_kept_and_the_work_is_paid() -> None:
    """A caller that says how long it waits is told in time that it was too short."""

    async def play(stage: Stage) -> None:
        body = {"contents": [{"parts": [{"text": PROMPT}]}]}
        path = "/gemini/v1beta/models/gemini-3-pro-image:generateContent"
        answer = await stage.post(body, path, x_goog_api_key=KEY, X_Server_Timeout="30")

        assert (answer.status, answer.error["status"]) == (504, "DEADLINE_EXCEEDED")
        assert stage.now_s() == pytest.approx(30, abs=0.1)
        await asyncio.sleep(100)
        [row] = stage.ledger.rows()
        assert (row.billed, row.delivered) == (True, False)

    on_stage(play, HUNDRED_S)


def test_gemini_s_limit_carries_its_wait_in_the_details() -> None:
    """RESOURCE_EXHAUSTED, with the retry's delay as google.rpc says it."""
    settings = Settings.model_validate({**SETTINGS, "faults": [{"fault": "rate_limited=34"}]})

    async def play(stage: Stage) -> None:
        body = {"contents": [{"parts": [{"text": PROMPT}]}]}
        answer = await stage.post(
            body, "/gemini/v1/models/gemini-3-pro-image:generateContent", x_goog_api_key=KEY
        )

        assert (answer.status, answer.error["status"]) == (429, "RESOURCE_EXHAUSTED")
        assert answer.error["details"][0]["retryDelay"] == "34s"

    on_stage(play, settings)


# Films


def boxes(content: bytes) -> dict[bytes, bytes]:
    """The boxes of an MP4 file, one level deep."""
    found, at = {}, 0
    while at < len(content):
        size, kind = struct.unpack_from(">I4s", content, at)
        found[kind] = content[at + 8 : at + size]
        at += size
    assert at == len(content)
    return found


def test_film_holds_its_picture_where_it_says() -> None:
    """The sample table of the file leads to the bytes of the picture."""
    jpeg = b"\xff\xd8\xff\xe0 a picture \xff\xd9"

    film = of_picture(jpeg, (1536, 1024))

    table = film[film.index(b"stco") : film.index(b"stco") + 16]
    (offset,) = struct.unpack(">I", table[12:16])
    (size,) = struct.unpack(">I", film[film.index(b"stsz") + 16 : film.index(b"stsz") + 20])
    assert film[offset : offset + size] == jpeg
    assert list(boxes(film)) == [b"ftyp", b"moov", b"mdat"]
    assert boxes(film)[b"mdat"] == jpeg
    assert set(boxes(boxes(film)[b"moov"])) == {b"mvhd", b"trak"}
    assert set(boxes(boxes(boxes(film)[b"moov"])[b"trak"])) == {b"tkhd", b"mdia"}
