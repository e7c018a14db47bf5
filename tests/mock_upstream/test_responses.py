"""POST /v1/responses with the image tool."""

from typing import Any

import pytest
from openai.types.responses import Response

from tests.mock_upstream.stage import KEY, Stage, on_stage, picture
from whocut_mock import Settings

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
        [call] = response.output
        assert call.type == "image_generation_call"
        assert (call.status, call.size, call.quality) == ("completed", "1536x1024", "low")
        assert picture(call.result or "").size == (1536, 1024)
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
            "response.completed",
        ]
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


@pytest.mark.parametrize("stream", [False, True])
def test_output_block(*, stream: bool) -> None:
    """A picture that the output filter stops is a failed call with its details."""

    async def play(stage: Stage) -> None:
        answer = await stage.post({**BODY, "input": "mickey mouse on a bike", "stream": stream}, PATH)

        response = answer.events[-1][1]["response"] if stream else answer.json
        assert response["status"] == "failed"
        [call] = response["output"]
        assert (call["status"], call["result"]) == ("failed", None)
        assert call["error"]["moderation_details"]["moderation_stage"] == "output"
        assert stage.ledger.rows()[0].delivered is False

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
