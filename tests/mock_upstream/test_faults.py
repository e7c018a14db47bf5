"""Faults: each spoils the answer in its own way, is named in the ledger, and leaves the work as it was."""

import asyncio
import json

import aiohttp
import pytest

from tests.mock_upstream.stage import KEY, MINIMAL, Stage, on_stage
from whocut_mock import Settings
from whocut_mock.faults import FAULTS

HUNDRED_S = Settings.model_validate({"latency": {"constant_s": 100.0}})
STREAM = {**MINIMAL, "stream": True, "partial_images": 1}


async def raw(stage: Stage, fault: str, body: dict[str, object] | None = None) -> tuple[bytes, str]:
    """Every byte that comes, and how the connection ends: FIN or RST."""
    reader, writer = await asyncio.open_connection("127.0.0.1", stage.running.port)
    sent = json.dumps(body or MINIMAL).encode()
    head = f"POST /v1/images/generations HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\n"
    head += f"x-mock-fault: {fault}\r\nConnection: close\r\nContent-Length: {len(sent)}\r\n\r\n"
    writer.write(head.encode() + sent)
    got = b""
    try:
        while chunk := await reader.read(2**20):
            got += chunk
    except ConnectionResetError:
        return got, "RST"
    finally:
        writer.close()
    return got, "FIN"


def body_of(answer: bytes) -> tuple[bytes, int | None]:
    """The body, and the length that was announced."""
    head, _, body = answer.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return body, int(lengths[0].partition(b":")[2]) if lengths else None


@pytest.mark.parametrize(
    ("fault", "end", "some_bytes"),
    [
        ("reset_before_headers", "RST", False),
        ("reset_before_headers=7", "RST", False),
        ("answer_lost", "FIN", False),
        ("fin_mid_body", "FIN", True),
        ("fin_mid_body=0.1", "FIN", True),
        ("rst_mid_body", "RST", True),
    ],
)
def test_connection_ends_early(fault: str, end: str, *, some_bytes: bool) -> None:
    """The connection ends as the fault says; the work was done, is billed, and was delivered to nobody."""

    async def play(stage: Stage) -> None:
        got, ended = await raw(stage, fault)
        at_s = stage.now_s()
        await asyncio.sleep(200)

        assert ended == end
        assert bool(got) == some_bytes
        if some_bytes:
            body, announced = body_of(got)
            assert announced is not None
            assert 0 < len(body) < announced
        [row] = stage.ledger.rows()
        assert (row.state, row.delivered, row.billed) == ("settled", False, True)
        assert row.fault == fault.partition("=")[0]
        assert row.caller_gone_s is None
        assert row.accepted_s is not None
        assert at_s - row.accepted_s == pytest.approx(7 if "=7" in fault else 100, abs=0.01)

    on_stage(play, HUNDRED_S)


def test_truncated_json_is_a_whole_message() -> None:
    """HTTP is satisfied and JSON is not."""

    async def play(stage: Stage) -> None:
        answer = await stage.post(MINIMAL, x_mock_fault="truncated_json")

        assert answer.status == 200
        with pytest.raises(json.JSONDecodeError):
            json.loads(answer.body)
        assert stage.ledger.rows()[0].delivered is False

    on_stage(play, HUNDRED_S)


def test_stream_without_completed() -> None:
    """The stream ends cleanly, and its end marker never came."""

    async def play(stage: Stage) -> None:
        answer = await stage.post(STREAM, x_mock_fault="stream_without_completed")

        assert [name for name, _ in answer.events] == ["image_generation.partial_image"]
        assert stage.ledger.rows()[0].delivered is False

    on_stage(play, HUNDRED_S)


def test_error_in_stream() -> None:
    """The last event is an error, inside a 200."""

    async def play(stage: Stage) -> None:
        answer = await stage.post(STREAM, x_mock_fault="error_in_stream")

        assert answer.status == 200
        assert answer.events[-1][0] == "error"
        assert answer.events[-1][1]["error"] == {
            "type": "image_generation_server_error",
            "code": "image_generation_failed",
            "message": "Image generation failed",
            "param": None,
        }

    on_stage(play, HUNDRED_S)


def test_error_in_stream_of_a_plain_answer() -> None:
    """Without a stream to say it in, the same error is a 500 that every SDK can read."""

    async def play(stage: Stage) -> None:
        answer = await stage.post(MINIMAL, x_mock_fault="error_in_stream")

        assert (answer.status, answer.headers["content-type"]) == (500, "application/json")
        assert answer.error["code"] == "image_generation_failed"
        [row] = stage.ledger.rows()
        assert (row.status, row.error_code, row.billed) == (500, "image_generation_failed", True)

    on_stage(play, HUNDRED_S)


@pytest.mark.parametrize("fault", ["fin_mid_body", "rst_mid_body", "truncated_json"])
def test_stream_is_cut_inside_its_last_event(fault: str) -> None:
    """In a stream the cut falls into the last event, after whole partial images."""

    async def play(stage: Stage) -> None:
        got, _ = await raw(stage, fault, STREAM)

        assert got.count(b"event: ") == 2
        assert b"usage" not in got

    on_stage(play, HUNDRED_S)


@pytest.mark.parametrize(("fault", "more_s"), [("stall=40", 40), ("slow_first_byte=25", 25), ("stall", 30)])
def test_late_but_whole(fault: str, more_s: float) -> None:
    """A stall and a slow first byte cost time and nothing else."""

    async def play(stage: Stage) -> None:
        begun_s = stage.now_s()

        answer = await stage.post(MINIMAL, x_mock_fault=fault)

        assert stage.now_s() - begun_s == pytest.approx(100 + more_s, abs=0.01)
        assert answer.json["data"]
        [row] = stage.ledger.rows()
        assert (row.delivered, row.fault) == (True, fault.partition("=")[0])

    on_stage(play, HUNDRED_S)


def test_first_attempt_hangs_and_the_retry_answers() -> None:
    """The first attempt is never answered, the second as if nothing had been."""

    async def play(stage: Stage) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(600):
                await stage.post(MINIMAL, x_mock_fault="first_attempt_hangs")
        retry = await stage.post(MINIMAL, x_mock_fault="first_attempt_hangs", x_stainless_retry_count="1")

        assert retry.status == 200
        first, second = stage.ledger.rows()
        assert (first.delivered, first.billed, first.orphaned) == (False, True, False)
        assert first.caller_gone_s is not None
        assert (second.delivered, second.duplicate_of) == (True, first.generation)

    async def long_session(stage: Stage) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:
            await play(Stage(stage.running, session))

    on_stage(long_session, HUNDRED_S)


def test_retry_without_a_count_is_known_by_its_body() -> None:
    """A client that sends no count is on its second attempt when the same order comes again undelivered."""

    async def play(stage: Stage) -> None:
        async def hangs(body: dict[str, object]) -> bool:
            try:
                async with asyncio.timeout(200):
                    await stage.post(body, x_mock_fault="first_attempt_hangs")
            except TimeoutError:
                return True
            return False

        first, other, second = await hangs(MINIMAL), await hangs({**MINIMAL, "n": 2}), await hangs(MINIMAL)
        after_delivery = await hangs(MINIMAL)

        assert (first, other, second, after_delivery) == (True, True, False, True)

    on_stage(play, HUNDRED_S)


def test_rule_about_an_attempt_knows_it_by_the_body() -> None:
    """`when: {attempt: 1}` strikes the first of two equal orders, with or without the SDK's header."""
    rules = [{"fault": "rate_limited", "when": {"attempt": 1}}]
    settings = Settings.model_validate({**HUNDRED_S.model_dump(), "faults": rules})

    async def play(stage: Stage) -> None:
        answers = [await stage.post(MINIMAL) for _ in range(3)]

        assert [answer.status for answer in answers] == [429, 200, 429]

    on_stage(play, settings)


@pytest.mark.parametrize(
    ("fault", "status"), [("html_5xx", 524), ("html_5xx=504", 504), ("html_5xx=520", 520)]
)
def test_html_in_place_of_json(fault: str, status: int) -> None:
    """A page of a CDN, with its status and its title."""

    async def play(stage: Stage) -> None:
        answer = await stage.post(MINIMAL, x_mock_fault=fault)

        assert answer.status == status
        assert answer.headers["content-type"] == "text/html; charset=UTF-8"
        assert f"| {status}: ".encode() in answer.body
        assert answer.headers["server"] == "cloudflare"
        assert "cf-ray" in answer.headers
        assert not [name for name in answer.headers if name.startswith(("openai-", "x-request-id"))]
        [row] = stage.ledger.rows()
        assert (row.status, row.delivered, row.billed) == (status, False, True)

    on_stage(play, HUNDRED_S)


def test_wrong_content_type() -> None:
    """The right body under the wrong name."""

    async def play(stage: Stage) -> None:
        answer = await stage.post(MINIMAL, x_mock_fault="wrong_content_type")

        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.json["data"]

    on_stage(play, HUNDRED_S)


@pytest.mark.parametrize(
    ("fault", "status", "header"),
    [
        ("should_retry_true", 400, ("x-should-retry", "true")),
        ("should_retry_false", 504, ("x-should-retry", "false")),
        ("should_retry_false=429", 429, ("x-should-retry", "false")),
        ("server_error", 500, None),
        ("overloaded=9", 503, ("retry-after", "9")),
        ("slow_down", 429, ("retry-after", "5")),
        ("rate_limited=130", 429, ("retry-after", "130")),
        ("insufficient_quota", 429, None),
    ],
)
def test_refusal_before_any_work(fault: str, status: int, header: tuple[str, str] | None) -> None:
    """These answer at once, and no work is begun."""

    async def play(stage: Stage) -> None:
        answer = await stage.post(MINIMAL, x_mock_fault=fault)

        assert answer.status == status
        assert header is None or answer.headers[header[0]] == header[1]
        [row] = stage.ledger.rows()
        assert (row.state, row.fault, row.billed) == ("refused", fault.partition("=")[0], False)

    on_stage(play, HUNDRED_S)


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_every_fault_leaves_the_server_whole(name: str) -> None:
    """After any fault, plain or streamed, the next request is served and no row stays open."""

    async def play(stage: Stage) -> None:
        for body in (MINIMAL, STREAM):
            try:
                async with asyncio.timeout(250):
                    await stage.post(body, x_mock_fault=name)
            except (aiohttp.ClientError, TimeoutError):
                pass
        await asyncio.sleep(200)

        assert (await stage.post(MINIMAL)).status == 200
        assert all(row.state in ("settled", "refused") for row in stage.ledger.rows())
        assert [row.fault for row in stage.ledger.rows()] == [name, name, None]

    on_stage(play, HUNDRED_S)


def test_rules_choose_by_rate_and_kind() -> None:
    """A rule strikes the requests it is about, as often as its rate, and the same ones every time."""
    rules = [
        {"fault": "overloaded", "when": {"stream": True}},
        {"fault": "server_error", "rate": 0.5, "when": {"prompt": "cat"}},
    ]
    settings = Settings.model_validate({**HUNDRED_S.model_dump(), "faults": rules})
    seen: list[list[int]] = []

    async def play(stage: Stage) -> None:
        bodies = [{"prompt": f"cat {number}"} for number in range(40)] + [{"prompt": "dog"}, {**STREAM}]
        answers = await asyncio.gather(*(stage.post(body) for body in bodies))
        seen.append([answer.status for answer in answers])

    on_stage(play, settings)
    on_stage(play, settings)

    assert seen[0] == seen[1]
    assert seen[0][-2:] == [200, 503]
    assert 10 <= seen[0].count(500) <= 30


def test_rate_limited_names_the_model_and_organization_asked_for() -> None:
    """The planted 429 speaks of this request, not of a request from an example."""
    settings = Settings.model_validate({**HUNDRED_S.model_dump(), "organization": "org-ours"})

    async def play(stage: Stage) -> None:
        answer = await stage.post({**MINIMAL, "model": "gpt-image-1.5"}, x_mock_fault="rate_limited")

        assert "for gpt-image-1.5 (for limit gpt-image) in organization org-ours" in answer.error["message"]

    on_stage(play, settings)


def test_unknown_fault() -> None:
    """A fault there is not, in a header or in the settings, is named as such."""

    async def play(stage: Stage) -> None:
        answer = await stage.post(MINIMAL, x_mock_fault="explode")
        number = await stage.post(MINIMAL, x_mock_fault="fin_mid_body=2")

        assert (answer.status, answer.error["code"]) == (400, "unknown_fault")
        assert "between 0 and 1" in number.error["message"]

    on_stage(play, HUNDRED_S)
    with pytest.raises(ValueError, match="no fault 'explode'"):
        Settings.model_validate({"faults": [{"fault": "explode"}]})
