"""POST /v1/responses with the image tool."""

import json
from typing import Any

import pytest
from openai import APIError, AsyncOpenAI
from openai.types.responses import Response
from openai.types.responses.response_create_params import ResponseCreateParamsBase

from tests.mock_upstream.stage import KEY, Stage, on_stage, picture
from whocut_mock import Settings
from whocut_mock.responses_read import KNOWN

HUNDRED_S = Settings.model_validate({"latency": {"constant_s": 100.0}})
PATH = "/v1/responses"
BODY: dict[str, Any] = {"model": "gpt-5.5", "input": "draw a cat", "tools": [{"type": "image_generation"}]}


def with_tool(**fields: Any) -> dict[str, Any]:
    """A request whose tool has these parameters."""
    return {**BODY, "tools": [{"type": "image_generation", **fields}]}


def test_plain() -> None:
    """One call, completed, with its picture, and the SDK's own type reads it."""

    async def play(stage: Stage) -> None:
        answer = await stage.post(with_tool(size="1536x1024", quality="low"), PATH)

        response = Response.model_validate(answer.json)
        call, message = response.output
        assert call.type == "image_generation_call"
        assert (call.status, call.size, call.quality) == ("completed", "1536x1024", "low")
        assert picture(call.result or "").size == (1536, 1024)
        assert message.type == "message"
        assert [part.type for part in message.content] == ["output_text"]
        assert response.output_text == ""
        assert answer.json["tool_usage"]["image_gen"]["output_tokens"] > 0
        [row] = stage.ledger.rows()
        assert (row.endpoint, row.model, row.delivered) == ("responses", "gpt-image-2.6-sunburst", True)

    on_stage(play, HUNDRED_S)


def test_stream_opens_at_once() -> None:
    """The headers come at once, long before the first picture; the events come in the documented order."""

    async def play(stage: Stage) -> None:
        begun_s = stage.now_s()
        body = {**with_tool(partial_images=2), "stream": True}
        async with stage.session.post(
            stage.url(PATH), json=body, headers={"Authorization": f"Bearer {KEY}"}
        ) as response:
            assert stage.now_s() == begun_s
            text = (await response.read()).decode()

        names = [line.removeprefix("event: ") for line in text.splitlines() if line.startswith("event: ")]
        assert names == [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.image_generation_call.in_progress",
            "response.image_generation_call.generating",
            "response.image_generation_call.partial_image",
            "response.image_generation_call.partial_image",
            "response.image_generation_call.completed",
            "response.output_item.done",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
        numbers = [
            json.loads(line[6:])["sequence_number"] for line in text.splitlines() if line[:6] == "data: "
        ]
        assert numbers == list(range(len(names)))
        assert stage.ledger.rows()[0].delivered

    on_stage(play, HUNDRED_S)


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (with_tool(n=2), "unknown_parameter", "tools[0].n"),
        (with_tool(size="512x512"), "invalid_value", "tools[0].size"),
        (with_tool(quality="standard"), "invalid_value", "tools[0].quality"),
        (with_tool(action="paint"), "invalid_value", "tools[0].action"),
        (with_tool(partial_images=4), "integer_above_max_value", "tools[0].partial_images"),
        ({**BODY, "messages": []}, "unsupported_parameter", "messages"),
        ({**BODY, "prompts": "x"}, "unknown_parameter", "prompts"),
        ({**BODY, "tools": []}, "no_image_tool", "tools"),
        ({**BODY, "tools": {}}, "invalid_type", "tools"),
        ({**BODY, "stream": 1}, "invalid_type", "stream"),
        ({"model": "gpt-5.5", "tools": BODY["tools"]}, "missing_required_parameter", "input"),
        ({"input": "a", "tools": BODY["tools"]}, "missing_required_parameter", "model"),
    ],
)
def test_refused(body: dict[str, Any], code: str, param: str) -> None:
    """What the tool does not know is refused with its place."""

    async def play(stage: Stage) -> None:
        answer = await stage.post(body, PATH)

        assert (answer.status, answer.error["code"], answer.error["param"]) == (400, code, param)

    on_stage(play, HUNDRED_S)


def test_output_block() -> None:
    """A picture that the output filter stops is a failed call with its details."""

    async def play(stage: Stage) -> None:
        answer = await stage.post({**BODY, "input": "mickey mouse on a bike"}, PATH)

        response = answer.json
        assert (response["status"], response["error"]["code"]) == ("failed", "moderation_blocked")
        [call] = response["output"]
        assert (call["status"], call["result"]) == ("failed", None)
        assert call["error"]["moderation_details"]["moderation_stage"] == "output"
        assert stage.ledger.rows()[0].delivered is False

    on_stage(play, HUNDRED_S)


def test_output_block_in_a_stream_is_an_error_event() -> None:
    """The refusal comes as an event that the SDK raises; the failed response behind it has the same code."""
    body = {**BODY, "input": "mickey mouse on a bike", "stream": True}

    async def play(stage: Stage) -> None:
        answer = await stage.post(body, PATH)
        async with AsyncOpenAI(api_key=KEY, base_url=stage.running.base_url, max_retries=0) as client:
            with pytest.raises(APIError) as raised:
                async for _ in await client.responses.create(**body):
                    pass

        (kind, error), (last, failed) = answer.events[-2:]
        assert (kind, last) == ("error", "response.failed")
        assert error["error"]["type"] == "image_generation_user_error"
        assert error["error"]["code"] == failed["response"]["error"]["code"] == raised.value.code
        assert raised.value.code == "moderation_blocked"
        assert (error["sequence_number"], failed["sequence_number"]) == (5, 6)
        assert [row.delivered for row in stage.ledger.rows()] == [False, False]

    on_stage(play, HUNDRED_S)


def test_error_in_a_stream() -> None:
    """The fault takes the place of all that would have come when the work was done."""

    async def play(stage: Stage) -> None:
        body = {**with_tool(partial_images=1), "stream": True}
        answer = await stage.post(body, PATH, x_mock_fault="error_in_stream")

        names = [name for name, _ in answer.events]
        assert names[-3:] == [
            "response.image_generation_call.partial_image",
            "error",
            "response.failed",
        ]
        assert answer.events[-1][1]["response"]["error"]["code"] == "image_generation_failed"

    on_stage(play, HUNDRED_S)


def test_every_key_of_the_sdk_is_taken() -> None:
    """What the official SDK can send is never an unknown parameter."""
    keys = set(ResponseCreateParamsBase.__annotations__) | {"stream"}

    assert keys <= KNOWN


@pytest.mark.parametrize(
    ("asked", "action"), [({}, "generate"), ({"action": "edit"}, "edit"), ({"action": "auto"}, "generate")]
)
def test_the_answer_repeats_its_tools(asked: dict[str, Any], action: str) -> None:
    """The image tool comes back resolved, a function beside it as it was; the call says what it did."""
    function = {"type": "function", "name": "save", "parameters": {"type": "object"}, "strict": True}

    async def play(stage: Stage) -> None:
        body = {**BODY, "tools": [function, {"type": "image_generation", "quality": "low", **asked}]}
        answer = await stage.post(body, PATH)

        Response.model_validate(answer.json)
        assert answer.json["output"][0]["action"] == action
        assert answer.json["tools"] == [
            function,
            {
                "type": "image_generation",
                "background": "auto",
                "model": "gpt-image-2.6-sunburst",
                "moderation": "auto",
                "n": 1,
                "output_compression": 100,
                "output_format": "png",
                "quality": "low",
                "size": "auto",
            },
        ]

    on_stage(play, HUNDRED_S)


@pytest.mark.parametrize("field", ["text", "reasoning", "metadata"])
def test_odd_values_of_keys_about_text(field: str) -> None:
    """A value that means nothing is no error of the mock's own."""

    async def play(stage: Stage) -> None:
        assert (await stage.post({**BODY, field: "x"}, PATH)).status == 200

    on_stage(play, HUNDRED_S)


def test_input_of_messages_with_images() -> None:
    """Text is gathered from messages, images count as references."""
    message = {
        "role": "user",
        "content": [
            {"type": "input_text", "text": "add a hat"},
            {"type": "input_image", "image_url": "https://example.com/cat.png"},
        ],
    }

    async def play(stage: Stage) -> None:
        answer = await stage.post({**BODY, "input": [message]}, PATH)

        assert answer.status == 200
        assert answer.json["tool_usage"]["image_gen"]["input_tokens_details"]["image_tokens"] > 0

    on_stage(play, HUNDRED_S)
