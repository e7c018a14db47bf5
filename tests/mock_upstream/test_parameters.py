"""Which request is refused, with which words: the published 400s, one row each."""

import json
from typing import Any

import pytest

from tests.mock_upstream.stage import MINIMAL, Stage, on_stage
from whocut_mock import Settings
from whocut_mock.errors import ApiError
from whocut_mock.models import MODELS
from whocut_mock.parameters import EDITS, Order, Reading, read_order

QUICK = Settings.model_validate({"latency": {"constant_s": 1.0}})
USER, INVALID = "image_generation_user_error", "invalid_request_error"


def order(**fields: Any) -> Order:
    """What these fields and a prompt ask for."""
    return read_order({"prompt": "cat", **fields}, Reading())


def refusal(fields: dict[str, Any], reading: Reading | None = None) -> ApiError:
    """The refusal these fields earn."""
    with pytest.raises(ApiError) as caught:
        read_order(fields, reading or Reading())
    return caught.value


# Fields besides the prompt, then what the real API says: type, code, param, message.
PUBLISHED = [
    (
        {"response_format": "url"}, INVALID, "unknown_parameter", "response_format",
        "Unknown parameter: 'response_format'.",
    ),
    ({"messages": []}, INVALID, "unknown_parameter", "messages", "Unknown parameter: 'messages'."),
    ({"style": "vivid"}, INVALID, "unknown_parameter", "style", "Unknown parameter: 'style'."),
    (
        {"quality": "standard"}, INVALID, "invalid_value", "quality",
        "Invalid value: 'standard'. Supported values are: 'low', 'medium', 'high', and 'auto'.",
    ),
    (
        {"moderation": "none"}, INVALID, "invalid_value", "moderation",
        "Invalid value: 'none'. Supported values are: 'low' and 'auto'.",
    ),
    (
        {"model": "gpt-image-1.5", "size": "512x512"}, USER, "invalid_value", "size",
        "Invalid size '512x512'. Supported sizes are 1024x1024, 1024x1536, 1536x1024, and auto.",
    ),
    (
        {"size": "512x512"}, INVALID, "invalid_value", "size",
        "Invalid size '512x512'. Requested resolution is below the current minimum pixel budget.",
    ),
    (
        {"size": "1000x1000"}, INVALID, "invalid_value", "size",
        "Invalid size '1000x1000'. Width and height must both be divisible by 16.",
    ),
    (
        {"size": "4096x2048"}, INVALID, "invalid_value", "size",
        "Invalid size '4096x2048'. The longest edge must be less than or equal to 3840",
    ),
    (
        {"background": "transparent"}, USER, "invalid_value", "background",
        "Transparent background is not supported for this model.",
    ),
    (
        {"model": "gpt-image-1.5", "background": "transparent", "output_format": "jpeg"},
        USER, "invalid_value", "background",
        "Transparent background is not supported for JPEG output format.",
    ),
    ({"stream": True, "n": 2}, INVALID, None, None, "Streaming is only supported with n=1."),
    ({"model": "dall-e-3"}, USER, "invalid_value", "model", "The model 'dall-e-3' does not exist."),
    ({"model": "gpt-image-1"}, USER, "invalid_value", "model", "The model 'gpt-image-1' does not exist."),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "kind", "code", "param", "message"), PUBLISHED)
def test_published_refusal(
    fields: dict[str, Any], kind: str, code: str | None, param: str | None, message: str
) -> None:
    """The refusal is the published one, in all four keys."""
    error = refusal({"prompt": "cat", **fields})

    assert (error.status, error.type, error.code, error.param) == (400, kind, code, param)
    assert error.message == message


def test_input_fidelity_is_refused_by_name() -> None:
    """gpt-image-2 decides its fidelity by itself, and says so with the model's name as it was asked for."""
    error = refusal({"prompt": "cat", "model": "gpt-image-2", "input_fidelity": "high"}, Reading(EDITS))

    assert (error.type, error.code) == (USER, "invalid_input_fidelity_model")
    assert error.message == "The model 'gpt-image-2' does not support the 'input_fidelity' parameter."


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "missing_required_parameter"),
        ({"prompt": None}, "invalid_type"),
        ({"prompt": ""}, "empty_string"),
        ({"prompt": "x" * 32_001}, "string_above_max_length"),
        ({"prompt": "cat", "n": 0}, "integer_below_min_value"),
        ({"prompt": "cat", "n": 11}, "integer_above_max_value"),
        ({"prompt": "cat", "n": True}, "invalid_type"),
        ({"prompt": "cat", "n": 1.5}, "invalid_type"),
        ({"prompt": "cat", "stream": "yes"}, "invalid_type"),
        ({"prompt": "cat", "partial_images": 4}, "integer_above_max_value"),
        ({"prompt": "cat", "output_compression": 101}, "integer_above_max_value"),
        ({"prompt": "cat", "output_format": "gif"}, "invalid_value"),
        ({"prompt": "cat", "moderation": "none"}, "invalid_value"),
        ({"prompt": "cat", "background": "blue"}, "invalid_value"),
        ({"prompt": "cat", "size": "big"}, "invalid_value"),
        ({"prompt": "cat", "size": "3840x1008"}, "invalid_value"),
        ({"prompt": "cat", "size": "3840x3840"}, "invalid_value"),
        ({"prompt": "cat", "model": 7}, "invalid_type"),
        ({"prompt": "cat", "model": "gpt-image-99"}, "invalid_value"),
        ({"prompt": "cat", "complexity": "low"}, "unknown_parameter"),
        ({"prompt": "cat", "quality": "max"}, "invalid_value"),
        (
            {"prompt": "cat", "model": "gpt-image-2.6-flare", "output_format": "gif", "stream": True},
            "invalid_value",
        ),
        (
            {"prompt": "cat", "model": "gpt-image-2.6-flare", "output_format": "svg", "n": 2},
            "integer_above_max_value",
        ),
    ],
)
def test_refusal_by_the_house_template(fields: dict[str, Any], code: str) -> None:
    """Every bound has its refusal."""
    assert refusal(fields).code == code


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {"size": (1024, 1024), "quality": "medium", "background": "opaque", "n": 1}),
        ({"n": None, "size": None, "stream": None}, {"n": 1, "size": (1024, 1024), "stream": False}),
        ({"size": "2560x1440", "model": "openai/gpt-image-2"}, {"size": (2560, 1440)}),
        ({"model": "gpt-image-2.5-flare", "quality": "max"}, {"quality": "max"}),
        ({"model": "gpt-image-2.5-sunburst", "background": "transparent"}, {"background": "transparent"}),
        (
            {"model": "gpt-image-2.6-flare", "output_format": "gif", "complexity": "low"},
            {"output_format": "gif"},
        ),
        ({"output_format": "webp", "output_compression": 0}, {"output_compression": 0}),
        ({"user": "u", "safety_identifier": "s"}, {"safety_identifier": "s"}),
    ],
)
def test_order(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    """What may be asked is resolved, and no `auto` is left."""
    made = order(**fields)

    assert {name: getattr(made, name) for name in expected} == expected


# Published readings of the calculator and of the fixed table.
@pytest.mark.parametrize(
    ("model", "quality", "size", "tokens"),
    [
        ("gpt-image-1.5", "high", (1536, 1024), 6208),
        ("gpt-image-2", "low", (1024, 1024), 196),
        ("gpt-image-2", "medium", (1024, 1024), 1756),
        ("gpt-image-2", "high", (1024, 1024), 7024),
        ("gpt-image-2", "high", (1536, 1024), 5488),
        ("gpt-image-2", "high", (2048, 2048), 14272),
        ("gpt-image-2", "high", (3840, 2160), 13342),
        ("gpt-image-2.5-flare", "xhigh", (1024, 1024), 3122),
        ("gpt-image-2.5-flare", "max", (3840, 2160), 13342),
    ],
)
def test_output_tokens(model: str, quality: str, size: tuple[int, int], tokens: int) -> None:
    """The formula gives the published numbers."""
    assert MODELS[model].output_tokens(quality, *size) == tokens


def test_not_json_and_no_object() -> None:
    """A body that is no JSON object is refused in the API's words."""

    async def play(stage: Stage) -> None:
        for body in (b"", b"[]", b"{", b"\xff\xfe", b'{"prompt": "\xff"}', b'"cat"'):
            answer = await stage.post(body)
            assert answer.status == 400
            assert answer.error["message"].startswith("We could not parse the JSON body of your request.")

    on_stage(play, QUICK)


def test_order_of_refusals() -> None:
    """First the key, then the parameters, then the wall."""

    async def play(stage: Stage) -> None:
        wrong = {**MINIMAL, "n": 0}

        async def status(body: dict[str, Any], key: str) -> int:
            return (await stage.post(body, Authorization=f"Bearer {key}")).status

        assert await status(wrong, "") == 401
        assert await status(wrong, "sk-nobody") == 401
        assert await status(wrong, "sk-waiting") == 400
        assert await status(MINIMAL, "sk-waiting") == 403
        assert await status(MINIMAL, "sk-known") == 200

    keys = {"sk-known": {}, "sk-waiting": {"state": "unverified"}}
    on_stage(play, Settings.model_validate({**QUICK.model_dump(), "keys": keys, "other_keys": "refuse"}))


def test_every_answer_has_the_api_headers() -> None:
    """Answers and refusals alike carry a request id and the API's headers, and refusals are printed wide."""

    async def play(stage: Stage) -> None:
        answers = [
            await stage.post(MINIMAL),
            await stage.post({}),
            await stage.post({}, path="/v1/nothing"),
            await stage.get("/v1/images/generations"),
        ]

        assert [answer.status for answer in answers] == [200, 400, 404, 405]
        for answer in answers:
            assert len(answer.headers["x-request-id"]) == 36
            assert answer.headers["openai-version"] == "2020-10-01"
            assert int(answer.headers["openai-processing-ms"]) >= 0
            assert "x-should-retry" not in answer.headers
        assert answers[1].body == json.dumps(answers[1].json, indent=2).encode()
        assert set(answers[1].error) == {"message", "type", "param", "code"}

    on_stage(play, QUICK)


def test_limits_are_answered() -> None:
    """A body above its limit is a 413, a header above its limit a 400; the server serves on."""

    async def play(stage: Stage) -> None:
        big = await stage.post({**MINIMAL, "prompt": "x" * 3_000})
        long = await stage.post(MINIMAL, x_long="y" * 5_000)
        fine = await stage.post(MINIMAL)

        assert (big.status, long.status, fine.status) == (413, 431, 200)
        assert big.error["message"].startswith("Maximum content size limit (2000) exceeded")
        assert long.error["type"] == INVALID

    limits = {"json_bytes": 2_000, "header_bytes": 4_000}
    on_stage(play, Settings.model_validate({**QUICK.model_dump(), "limits": limits}))
