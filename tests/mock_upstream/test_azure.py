"""Azure's paths, key and errors, through the official SDK's own Azure client."""

from typing import Any

import pytest
from openai import (
    AsyncAzureOpenAI,
    AsyncOpenAI,
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    RateLimitError,
)

from tests.mock_upstream.stage import KEY, MINIMAL, Stage, on_stage, picture
from tests.mock_upstream.test_files import png
from whocut_mock import Settings

QUICK: dict[str, Any] = {"latency": {"constant_s": 1.0}}
VERSION = "2025-04-01-preview"


def azure(stage: Stage, key: str = KEY) -> AsyncAzureOpenAI:
    """The official client, which asks once."""
    endpoint = f"http://127.0.0.1:{stage.running.port}"
    return AsyncAzureOpenAI(api_key=key, azure_endpoint=endpoint, api_version=VERSION, max_retries=0)


def test_images_by_deployment() -> None:
    """Plain, streamed and edited by a deployment's name; a name that is a model's stands for that model."""

    async def play(stage: Stage) -> None:
        async with azure(stage) as client:
            plain = await client.images.generate(model="my-images", prompt="a cat")
            stream = await client.images.generate(
                model="gpt-image-1.5", prompt="a cat", stream=True, partial_images=1
            )
            kinds = [event.type async for event in stream]
            edit = await client.images.edit(
                model="my-images", image=("a.png", png(64, 64), "image/png"), prompt="a hat"
            )

        assert plain.data is not None
        assert edit.data is not None
        assert picture(plain.data[0].b64_json or "").size == (1024, 1024)
        assert kinds == ["image_generation.partial_image", "image_generation.completed"]
        assert [row.model for row in stage.ledger.rows()] == ["gpt-image-2", "gpt-image-1.5", "gpt-image-2"]
        assert len({row.key_hash for row in stage.ledger.rows()}) == 1

    on_stage(play, Settings.model_validate(QUICK))


def test_v1_path_takes_the_plain_client() -> None:
    """Under /openai/v1 OpenAI's own client will do, and a response can be asked for in the background."""

    async def play(stage: Stage) -> None:
        url = f"http://127.0.0.1:{stage.running.port}/openai/v1/"
        async with AsyncOpenAI(api_key=KEY, base_url=url, max_retries=0) as client:
            plain = await client.images.generate(model="mine", prompt="a cat")
            response = await client.responses.create(
                model="gpt-5.5", input="a cat", tools=[{"type": "image_generation"}], background=True
            )
            assert (await client.responses.retrieve(response.id)).status in ("queued", "in_progress")

        assert plain.data

    on_stage(play, Settings.model_validate(QUICK))


def test_deployments_of_the_settings() -> None:
    """Where they are named, no other exists."""
    settings = Settings.model_validate({**QUICK, "azure_deployments": {"mine": "gpt-image-1-mini"}})

    async def play(stage: Stage) -> None:
        async with azure(stage) as client:
            await client.images.generate(model="mine", prompt="a cat")
            with pytest.raises(NotFoundError) as missing:
                await client.images.generate(model="yours", prompt="a cat")

        assert missing.value.code == "DeploymentNotFound"
        assert [row.model for row in stage.ledger.rows()] == ["gpt-image-1-mini", None]

    on_stage(play, settings)


def test_refusals_in_azure_s_words() -> None:
    """A wrong key, a missing version, a limit, a moderated prompt; and the API's own 400 as it is."""
    settings = Settings.model_validate(
        {**QUICK, "other_keys": "refuse", "keys": {KEY: {}}, "quota": {"images_per_min": 2}}
    )
    path = "/openai/deployments/mine/images/generations"

    async def play(stage: Stage) -> None:
        unversioned = await stage.post(MINIMAL, path)
        assert (unversioned.status, unversioned.json) == (
            404,
            {"error": {"code": "404", "message": "Resource not found"}},
        )
        async with azure(stage) as client:
            with pytest.raises(AuthenticationError) as stranger:
                await client.with_options(api_key="wrong").images.generate(model="mine", prompt="a")
            with pytest.raises(BadRequestError) as blocked:
                await client.images.generate(model="mine", prompt="mickey mouse on a bike")
            with pytest.raises(BadRequestError) as size:
                await client.images.generate(model="mine", prompt="a", size="512x512")
            await client.images.generate(model="mine", prompt="b")
            with pytest.raises(RateLimitError) as limited:
                await client.images.generate(model="mine", prompt="c")

        assert stranger.value.code == "401"
        assert "contact us at Azure support ticket" in blocked.value.message
        assert (blocked.value.code, blocked.value.param) == ("moderation_blocked", "")
        assert size.value.code == "invalid_value"
        assert (limited.value.code, "retry-after" in limited.value.response.headers) == ("429", True)
        assert "apim-request-id" in limited.value.response.headers
        assert "openai-version" not in limited.value.response.headers

    on_stage(play, settings)
