"""Every endpoint's answers against the published schema of the Images API.

The schema in data/ is the published one, cut to these endpoints. Its response sizes are older than the
free sizes of gpt-image-2, and its qualities and formats older than 2.5 and 2.6, so those three may be any
text.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.mock_upstream.stage import MINIMAL, Answer, Stage, on_stage
from tests.mock_upstream.test_uploads import LENIENT, PNG, send, url_of
from tests.mock_upstream.test_uploads import drawn as png
from whocut_mock import Settings
from whocut_mock.openapi import document

QUICK = Settings.model_validate({"latency": {"constant_s": 1.0}})
PUBLISHED = Path(__file__).parent / "data" / "openai-images.openapi.json"
OUTGROWN = ("size", "quality", "output_format")


@cache
def published() -> dict[str, Any]:
    """The published document with the three outgrown lists opened."""
    found: dict[str, Any] = json.loads(PUBLISHED.read_text())
    for name, schema in found["components"]["schemas"].items():
        if name == "ImagesResponse" or name.endswith("Event"):
            for prop in OUTGROWN:
                if prop in schema.get("properties", {}):
                    schema["properties"][prop] = {"type": "string"}
    return found


def check(value: Any, name: str, doc: dict[str, Any] | None = None) -> None:
    """The value is what the schema of this name says."""
    doc = doc or published()
    schema = {"$ref": f"#/components/schemas/{name}", "components": doc["components"]}
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(value)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"n": 3, "size": "1536x1024", "quality": "low"},
        {"size": "2048x1152", "output_format": "jpeg", "output_compression": 50, "safety_identifier": "u"},
        {"model": "gpt-image-1.5", "background": "transparent", "output_format": "webp"},
        {"model": "gpt-image-2.6-flare", "quality": "max", "output_format": "gif"},
        {"model": "gpt-image-1-mini", "quality": "high"},
    ],
)
def test_generation(fields: dict[str, Any]) -> None:
    """A plain generation is an ImagesResponse, and what the mock's own document says."""

    async def play(stage: Stage) -> None:
        answer = await stage.post({**MINIMAL, **fields})

        check(answer.json, "ImagesResponse")
        check(answer.json, "Images", document())
        assert len(answer.json["data"]) == fields.get("n", 1)

    on_stage(play, QUICK)


def test_generation_stream() -> None:
    """Every event of a streamed generation is one of the schema's."""

    async def play(stage: Stage) -> None:
        answer = await stage.post({**MINIMAL, "stream": True, "partial_images": 2})

        for _, data in answer.events:
            check(data, "ImageGenStreamEvent")

    on_stage(play, QUICK)


def test_edits() -> None:
    """Edits answer alike as form, as JSON and streamed."""

    async def play(stage: Stage) -> None:
        form = await send(stage, [("prompt", "a hat"), ("image", PNG)])
        links = await stage.post({"prompt": "a hat", "images": [url_of(png())]}, "/v1/images/edits")
        stream = await send(
            stage, [("prompt", "a"), ("image", PNG), ("stream", "true"), ("partial_images", "1")]
        )

        check(form.json, "ImagesResponse")
        check(links.json, "ImagesResponse")
        for _, data in stream.events:
            check(data, "ImageEditStreamEvent")

    on_stage(play, QUICK)


def test_variation() -> None:
    """A variation, where it is still made, is an ImagesResponse."""

    async def play(stage: Stage) -> None:
        check((await send(stage, [("image", PNG)], "variations")).json, "ImagesResponse")

    on_stage(play, LENIENT)


def test_models() -> None:
    """The list and one model of it, with and without a route prefix."""

    async def play(stage: Stage) -> None:
        headers = {"Authorization": "Bearer k"}
        found = []
        for path in ("", "/gpt-image-2", "/openai/gpt-image-2", "/gpt-image-1", "/gpt-image-99"):
            async with stage.session.get(stage.url(f"/v1/models{path}"), headers=headers) as response:
                found.append(await Answer.read(response))

        listed, one, prefixed, retired, unknown = found
        check(listed.json, "ListModelsResponse")
        check(one.json, "Model")
        assert one.json == prefixed.json
        assert retired.json["shutdown_date"] == "2026-10-23"
        assert (unknown.status, unknown.error["code"]) == (404, "model_not_found")
        assert (await stage.get("/v1/models")).status == 401

    on_stage(play, QUICK)


def test_chat_with_an_image_model() -> None:
    """The wrong door says so, with a 404."""

    async def play(stage: Stage) -> None:
        answer = await stage.post({"model": "gpt-image-2", "messages": []}, "/v1/chat/completions")

        assert answer.status == 404
        assert answer.error["message"].startswith("This is not a chat model and thus not supported")
        assert (answer.error["param"], answer.error["code"]) == ("model", None)

    on_stage(play, QUICK)


def test_refusals_have_the_envelope() -> None:
    """Refusals are what the mock's own document says a refusal is."""

    async def play(stage: Stage) -> None:
        for answer in (await stage.post({}), await stage.post(b""), await stage.get("/v1/nowhere")):
            check(answer.json, "Error", document())

    on_stage(play, QUICK)
