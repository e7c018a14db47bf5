"""Images by chat completions, through the official SDK: plain, streamed, with images given, refused."""

import base64
from typing import Any

import pytest
from openai import APIError, BadRequestError, NotFoundError

from tests.mock_upstream.stage import Stage, on_stage, picture
from tests.mock_upstream.test_background import sdk
from tests.mock_upstream.test_files import png
from whocut_mock import Settings

HUNDRED_S = Settings.model_validate({"latency": {"constant_s": 100.0}})
ASKED: dict[str, Any] = {
    "model": "google/gemini-3-pro-image",
    "messages": [{"role": "user", "content": "draw a cat"}],
    "extra_body": {"modalities": ["image", "text"], "image_config": {"aspect_ratio": "3:2"}},
}


def shown(message: Any) -> Any:
    """The picture in a message or a delta."""
    [image] = message.model_dump()["images"]
    head, _, b64 = image["image_url"]["url"].partition(",")
    assert (image["type"], head) == ("image_url", "data:image/png;base64")
    return picture(b64)


def test_plain() -> None:
    """The picture stands in the message, with a bill beside it; it was worked on as any other."""

    async def play(stage: Stage) -> None:
        async with sdk(stage) as client:
            completion = await client.chat.completions.create(**ASKED)

        [choice] = completion.choices
        assert shown(choice.message).size == (1536, 1024)
        assert (choice.finish_reason, completion.model) == ("stop", "google/gemini-3-pro-image")
        [row] = stage.ledger.rows()
        assert (row.endpoint, row.model, row.delivered) == ("chat.completions", completion.model, True)
        assert completion.usage is not None
        assert completion.usage.model_dump()["cost"] == row.billed_usd
        assert row.delivered_s == pytest.approx(100, abs=0.1)

    on_stage(play, HUNDRED_S)


def test_stream() -> None:
    """It opens at once; the picture comes in one delta when it is made, the bill behind it."""

    async def play(stage: Stage) -> None:
        async with sdk(stage) as client:
            stream = await client.chat.completions.create(**ASKED, stream=True)
            at_s = [stage.now_s()]
            chunks = [chunk async for chunk in stream]

        first, image, last = chunks
        assert at_s[0] < 1
        assert first.choices[0].delta.role == "assistant"
        assert shown(image.choices[0].delta).size == (1536, 1024)
        assert last.choices[0].finish_reason == "stop"
        assert last.usage is not None
        assert stage.ledger.rows()[0].delivered

    on_stage(play, HUNDRED_S)


def test_images_in_messages_are_references() -> None:
    """They are weighed as the images of an edit are."""
    url = "data:image/png;base64," + base64.b64encode(png(512, 512)).decode()
    content = [{"type": "text", "text": "a hat"}, {"type": "image_url", "image_url": {"url": url}}]

    async def play(stage: Stage) -> None:
        async with sdk(stage) as client:
            completion = await client.chat.completions.create(
                **ASKED | {"messages": [{"role": "user", "content": content}]}
            )

        assert completion.usage is not None
        assert completion.usage.prompt_tokens == 65 + 129 + 4160 + 2

    on_stage(play, HUNDRED_S)


def test_blocked() -> None:
    """Plain it is a 400, in a stream an error that the SDK raises."""

    async def play(stage: Stage) -> None:
        asked = ASKED | {"messages": [{"role": "user", "content": "mickey mouse on a bike"}]}
        async with sdk(stage) as client:
            with pytest.raises(BadRequestError) as refused:
                await client.chat.completions.create(**asked)
            with pytest.raises(APIError):
                async for _ in await client.chat.completions.create(**asked, stream=True):
                    pass

        assert refused.value.code == "moderation_blocked"
        assert [row.delivered for row in stage.ledger.rows()] == [False, False]

    on_stage(play, HUNDRED_S)


@pytest.mark.parametrize(
    ("model", "said"),
    [("gpt-image-2", "This is not a chat model"), ("gpt-5.5", "The model 'gpt-5.5' does not exist")],
)
def test_without_the_modality_it_stays_the_wrong_door(model: str, said: str) -> None:
    """An image model asked to chat, and a model that writes text, are both 404."""

    async def play(stage: Stage) -> None:
        async with sdk(stage) as client:
            with pytest.raises(NotFoundError, match=said):
                await client.chat.completions.create(model=model, messages=ASKED["messages"])

    on_stage(play, HUNDRED_S)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"messages": []}, "array_below_min_length"),
        ({"messages": "x"}, "invalid_type"),
        ({"messages": None}, "missing_required_parameter"),
        ({"stream": 1}, "invalid_type"),
        ({"colour": 1}, "unknown_parameter"),
    ],
)
def test_refused(fields: dict[str, Any], code: str) -> None:
    """What is wrong with the body is named as everywhere."""

    async def play(stage: Stage) -> None:
        body = {"model": "x/y", "messages": ASKED["messages"], "modalities": ["image"], **fields}
        answer = await stage.post(body, "/v1/chat/completions")

        assert (answer.status, answer.error["code"]) == (400, code)

    on_stage(play, HUNDRED_S)
