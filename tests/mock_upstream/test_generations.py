"""POST /v1/images/generations, as a caller meets it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from tests.mock_upstream.stage import KEY, MINIMAL, Stage, on_stage, picture
from whocut_mock import Settings

CONSTANT = Settings.model_validate({"latency": {"constant_s": 195.0}})


def test_plain_answer_comes_at_the_end() -> None:
    """A plain answer is a JSON body with a decodable picture, withheld until the work is done."""

    async def play(stage: Stage) -> None:
        begun_s = stage.now_s()

        answer = await stage.post(MINIMAL)

        assert stage.now_s() - begun_s == pytest.approx(195, abs=0.001)
        assert answer.status == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["openai-processing-ms"] == "195000"
        assert answer.headers["x-request-id"].startswith("req_")
        assert (answer.json["size"], answer.json["quality"], answer.json["background"]) == (
            "1024x1024",
            "medium",
            "opaque",
        )
        image = picture(answer.json["data"][0]["b64_json"])
        assert (image.format, image.size) == ("PNG", (1024, 1024))
        assert 1_000_000 < len(answer.json["data"][0]["b64_json"]) < 2_000_000

    on_stage(play, CONSTANT)


@pytest.mark.parametrize("partial_images", [0, 1, 2, 3])
def test_stream_has_partials_then_completed(partial_images: int) -> None:
    """A stream has the partial images that were asked for, in order, and ends with one completed event."""

    async def play(stage: Stage) -> None:
        answer = await stage.post({**MINIMAL, "stream": True, "partial_images": partial_images})

        assert answer.headers["content-type"] == "text/event-stream"
        *partials, (last, final) = answer.events
        assert [data["partial_image_index"] for _, data in partials] == list(range(partial_images))
        assert all(name == data["type"] == "image_generation.partial_image" for name, data in partials)
        assert last == final["type"] == "image_generation.completed"
        assert final["usage"]["output_tokens"] == 1756 + 100 * partial_images
        pictures = [data["b64_json"] for _, data in (*partials, (last, final))]
        assert len(set(pictures)) == len(pictures)
        assert all(picture(one).size == (1024, 1024) for one in pictures)

    on_stage(play, CONSTANT)


def test_done_marker_only_on_demand() -> None:
    """`data: [DONE]` ends a stream only where the settings ask for it."""
    settings = Settings.model_validate({**CONSTANT.model_dump(), "stream": {"done_marker": True}})

    async def play(stage: Stage) -> None:
        answer = await stage.post({**MINIMAL, "stream": True})

        assert answer.body.endswith(b"\n\ndata: [DONE]\n\n")

    on_stage(play, settings)


def test_heartbeats_fill_every_silence_and_begin_at_once() -> None:
    """A comment as soon as it is asked, and after each 20 s in which nothing was said; the events stay whole."""
    settings = Settings.model_validate({**CONSTANT.model_dump(), "stream": {"heartbeat_s": 20.0}})

    async def play(stage: Stage) -> None:
        begun_s = stage.now_s()
        body = json.dumps({**MINIMAL, "stream": True, "partial_images": 0}).encode()
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        url = stage.url("/v1/images/generations")
        async with stage.session.post(url, data=body, headers=headers) as response:
            answered_s = stage.now_s() - begun_s
            beats = []
            async for line in response.content:
                if line.startswith(b": heartbeat"):
                    beats.append(stage.now_s() - begun_s)
                elif line.startswith(b"event:"):
                    break

        assert answered_s == pytest.approx(0, abs=0.01)
        assert beats == pytest.approx([20.0 * beat for beat in range(10)], abs=0.01)
        assert stage.now_s() - begun_s == pytest.approx(195, abs=0.01)

    on_stage(play, settings)


def test_heartbeats_leave_plain_answers_alone() -> None:
    """JSON knows no comments: a plain answer is silent until it comes."""
    settings = Settings.model_validate({**CONSTANT.model_dump(), "stream": {"heartbeat_s": 20.0}})

    async def play(stage: Stage) -> None:
        answer = await stage.post(MINIMAL)

        assert answer.headers["content-type"] == "application/json"
        assert b"heartbeat" not in answer.body

    on_stage(play, settings)


@pytest.mark.parametrize("stream", [False, True])
def test_http_1_0(*, stream: bool) -> None:
    """A proxy that speaks HTTP/1.0, as nginx does by default, gets its answer, ended by the close."""

    async def play(stage: Stage) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", stage.running.port)
        body = b'{"prompt": "cat", "stream": %b}' % str(stream).lower().encode()
        head = b"POST /v1/images/generations HTTP/1.0\r\nHost: 127.0.0.1\r\nAuthorization: Bearer k\r\n"
        writer.write(head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))

        answer = await reader.read(-1)

        writer.close()
        assert b"transfer-encoding" not in answer.partition(b"\r\n\r\n")[0].lower()
        assert answer.rstrip().endswith(b"}")
        assert stage.ledger.rows()[0].delivered

    on_stage(play, CONSTANT)


def test_stream_headers_come_with_the_first_partial() -> None:
    """The headers of a stream are not flushed before its first event is due."""

    async def play(stage: Stage) -> None:
        begun_s = stage.now_s()
        body = {**MINIMAL, "stream": True, "partial_images": 2}

        async with stage.session.post(
            stage.url("/v1/images/generations"), json=body, headers={"Authorization": f"Bearer {KEY}"}
        ) as response:
            headers_s = stage.now_s() - begun_s
            await response.read()

        assert 5 <= headers_s <= 15
        [row] = stage.ledger.rows()
        first_s, second_s = row.partials_s
        assert row.first_byte_s == first_s
        assert row.finished_s is not None
        assert row.finished_s == pytest.approx(begun_s + 195, abs=0.001)
        assert second_s - first_s == pytest.approx(row.finished_s - second_s, abs=0.001)

    on_stage(play, CONSTANT)


def test_caller_leaves_and_the_work_goes_on() -> None:
    """A generation whose caller has gone runs to its end and is billed: an orphan in the ledger."""

    async def play(stage: Stage) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(60):
                await stage.post(MINIMAL)
        await stage.running.upstream.clock.sleep_s(300)

        [row] = stage.ledger.rows()
        assert row.state == "settled"
        assert row.orphaned
        assert row.caller_gone_s is not None
        assert row.accepted_s is not None
        assert row.caller_gone_s - row.accepted_s == pytest.approx(60, abs=0.001)
        assert row.orphaned_s == pytest.approx(135, abs=0.001)
        assert row.billed
        assert row.billed_usd == pytest.approx(0.0527, abs=0.0001)
        assert (row.delivered, row.status, row.sent_s) == (False, None, None)

    on_stage(play, CONSTANT)


def test_work_may_stop_with_its_caller() -> None:
    """Asked for, a generation stops when its caller leaves: its time is never seen, and it is not billed."""
    settings = Settings.model_validate({**CONSTANT.model_dump(), "when_caller_leaves": "stop"})

    async def play(stage: Stage) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(60):
                await stage.post(MINIMAL)
        await asyncio.sleep(300)

        [row] = stage.ledger.rows()
        assert (row.state, row.orphaned, row.billed, row.finished_s) == ("stopped", False, False, None)
        assert row.caller_gone_s is not None
        assert stage.running.upstream.workshop.running == 0

    on_stage(play, settings)


def test_caller_leaves_a_stream() -> None:
    """A stream that is left keeps the instants at which its later partial images would have come."""

    async def play(stage: Stage) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(60):
                await stage.post({**MINIMAL, "stream": True, "partial_images": 2})
        await stage.running.upstream.clock.sleep_s(300)

        [row] = stage.ledger.rows()
        assert row.orphaned
        assert row.status == 200
        assert row.first_byte_s is not None
        assert row.caller_gone_s is not None
        assert row.partials_s[0] < row.caller_gone_s < row.partials_s[1]

    on_stage(play, CONSTANT)


def test_delivery_is_what_the_peer_took() -> None:
    """An answer of a megabyte that nobody reads is sent in part and never delivered."""

    async def play(stage: Stage) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", stage.running.port, limit=1)
        body = b'{"prompt": "cat"}'
        writer.write(
            b"POST /v1/images/generations HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer k\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        await reader.readexactly(1)
        await asyncio.sleep(100)
        [row] = stage.ledger.rows()
        assert (row.finished_s is not None, row.sent_s, row.delivered) == (True, None, False)

        writer.transport.abort()
        await asyncio.sleep(1)

        [row] = stage.ledger.rows()
        assert (row.state, row.delivered, row.orphaned) == ("settled", False, False)
        assert row.caller_gone_s is not None

    on_stage(play, CONSTANT)


def test_delivered_row() -> None:
    """A delivered generation has every instant of its life in order, and the evidence for the last."""

    async def play(stage: Stage) -> None:
        await stage.post(
            {**MINIMAL, "model": "openai/gpt-image-2", "quality": "high"}, x_stainless_retry_count="2"
        )

        [row] = stage.ledger.rows()
        assert row.delivered
        assert row.delivery_evidence in {"taken", "assumed"}
        instants = [row.accepted_s, row.started_s, row.first_byte_s, row.sent_s, row.delivered_s]
        assert None not in instants
        assert instants == sorted(instants, key=lambda instant: instant or 0)
        assert (row.attempt, row.model, row.status) == (3, "openai/gpt-image-2", 200)
        assert row.billed_usd == pytest.approx(7024 * 30 / 1e6 + 9 * 5 / 1e6)

    on_stage(play, CONSTANT)


def test_same_seed_same_books() -> None:
    """The same seed and the same requests give the same ledger; another seed gives another."""

    def books(seed: int, order: list[int]) -> list[object]:
        kept: list[object] = []

        async def play(stage: Stage) -> None:
            async def ask(number: int) -> None:
                await asyncio.sleep(order.index(number) / 1000)
                await stage.post({**MINIMAL, "prompt": f"cat {number}"})

            await asyncio.gather(*(ask(number) for number in order))
            kept.extend(
                sorted((row.prompt_sha256, row.generation, row.duration_s) for row in stage.ledger.rows())
            )

        on_stage(play, Settings(seed=seed))
        return kept

    assert books(7, [1, 2, 3]) == books(7, [3, 1, 2])
    assert books(7, [1, 2, 3]) != books(8, [1, 2, 3])


def test_same_requests_same_file(tmp_path: Path) -> None:
    """The same requests at the same instants leave the same ledger, byte for byte."""
    files = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]

    async def play(stage: Stage) -> None:
        async def ask(number: int) -> None:
            with suppress(TimeoutError):
                async with asyncio.timeout(70 if number % 2 else None):
                    body = {
                        **MINIMAL,
                        "prompt": f"cat {number}",
                        "stream": number % 3 == 0,
                        "partial_images": 2,
                    }
                    await stage.post(body, x_stainless_retry_count=str(number % 2))

        await asyncio.gather(*(ask(number) for number in range(8)))
        await asyncio.sleep(500)

    for file in files:
        on_stage(play, Settings(seed=7), ledger_file=file)

    first, second = (sorted(file.read_bytes().splitlines()) for file in files)
    assert first == second


def test_a_body_seen_again_is_a_duplicate() -> None:
    """The same body with the same key is new work, other times, and a duplicate of the first."""

    async def play(stage: Stage) -> None:
        for _ in range(3):
            await stage.post(MINIMAL)

        first, second, third = stage.ledger.rows()
        assert first.duplicate_of is None
        assert second.duplicate_of == third.duplicate_of == first.generation
        assert len({first.duration_s, second.duration_s, third.duration_s}) == 3

    on_stage(play, Settings(seed=7))


def test_trace_context_is_kept() -> None:
    """The ledger knows the caller's trace, and mints a span of its own."""

    async def play(stage: Stage) -> None:
        await stage.post(MINIMAL, traceparent=f"00-{'a' * 32}-{'b' * 16}-01")
        await stage.post(MINIMAL, traceparent="nonsense")

        known, unknown = stage.ledger.rows()
        assert (known.trace_id, known.parent_span_id) == ("a" * 32, "b" * 16)
        assert (unknown.trace_id, unknown.parent_span_id) == (None, None)
        assert len(known.span_id or "") == 16

    on_stage(play, CONSTANT)


def test_no_key_ever_in_the_books() -> None:
    """A key is known by a short hash and nothing else."""

    async def play(stage: Stage) -> None:
        await stage.post(MINIMAL)

        assert KEY.encode() not in (await stage.door("GET", "ledger")).body
        [row] = stage.ledger.rows()
        assert len(row.key_hash or "") == 12

    on_stage(play, CONSTANT)


def test_refusals_are_rows_of_their_own() -> None:
    """A request that is refused is in the books, unbilled, with its status and code."""

    async def play(stage: Stage) -> None:
        await stage.post({**MINIMAL, "response_format": "url"})
        async with stage.session.post(stage.url("/v1/images/generations"), json=MINIMAL) as response:
            assert response.status == 401

        unknown, keyless = stage.ledger.rows()
        assert (unknown.state, unknown.status, unknown.error_code) == ("refused", 400, "unknown_parameter")
        assert (keyless.state, keyless.status, keyless.billed) == ("refused", 401, False)
        assert stage.ledger.totals().refused == 2

    on_stage(play, CONSTANT)


def test_caller_leaves_while_sending() -> None:
    """A caller that goes before its body is complete leaves no row and no error."""

    async def play(stage: Stage) -> None:
        async def half() -> AsyncIterator[bytes]:
            yield b'{"prompt": '
            raise aiohttp.ClientError

        with pytest.raises(aiohttp.ClientError):
            await stage.session.post(stage.url("/v1/images/generations"), data=half())
        await asyncio.sleep(1)

        assert stage.ledger.rows() == []

    on_stage(play, CONSTANT)
