"""POST /v1/images/edits and /variations: forms and JSON, images that are taken and images that are not."""

import base64
import io
from typing import Any

import aiohttp
import pytest
from PIL import Image

from tests.mock_upstream.stage import KEY, Answer, Stage, on_stage, picture
from whocut_mock import Settings

QUICK = Settings.model_validate({"latency": {"constant_s": 1.0}})
LENIENT = Settings.model_validate({"latency": {"constant_s": 1.0}, "lenient": True})
File = tuple[str, bytes, str]


def drawn(mode: str = "RGBA", kind: str = "PNG", size: tuple[int, int] = (64, 64)) -> bytes:
    """A small picture."""
    out = io.BytesIO()
    Image.new(mode, size).save(out, kind)
    return out.getvalue()


PNG: File = ("a.png", drawn(), "image/png")


async def send(stage: Stage, fields: list[tuple[str, str | File]], endpoint: str = "edits") -> Answer:
    """Send these fields as a form."""
    form = aiohttp.FormData(default_to_multipart=True)
    for name, value in fields:
        if isinstance(value, str):
            form.add_field(name, value)
        else:
            form.add_field(name, value[1], filename=value[0], content_type=value[2])
    headers = {"Authorization": f"Bearer {KEY}"}
    async with stage.session.post(
        stage.url(f"/v1/images/{endpoint}"), data=form, headers=headers
    ) as response:
        return await Answer.read(response)


TAKEN: list[list[tuple[str, str | File]]] = [
    [("image", PNG)],
    [("image[]", PNG)],
    [("image[]", PNG), ("image[]", ("b.jpg", drawn("RGB", "JPEG"), "image/jpeg"))],
    [("image", ("c.webp", drawn("RGB", "WEBP"), "image/webp")), ("n", "2"), ("size", "1536x1024")],
    [("image", PNG), ("mask", PNG), ("quality", "high"), ("partial_images", "0"), ("stream", "false")],
    [("image", PNG), ("model", "gpt-image-1.5"), ("input_fidelity", "high")],
    [("image", ("upload", b"Example data", "application/octet-stream"))],  # the SDK's own fixture
]


@pytest.mark.parametrize("fields", TAKEN)
def test_form_is_taken(fields: list[tuple[str, str | File]]) -> None:
    """One part `image`, repeated parts `image[]`, a mask, scalars as text."""

    async def play(stage: Stage) -> None:
        answer = await send(stage, [("prompt", "a hat"), *fields])

        assert answer.status == 200, answer.body[:300]
        assert answer.json["usage"]["input_tokens_details"]["image_tokens"] > 0
        assert picture(answer.json["data"][-1]["b64_json"]).format == "PNG"
        [row] = stage.ledger.rows()
        assert row.endpoint == "images.edits"

    on_stage(play, QUICK)


REFUSED: list[tuple[list[tuple[str, str | File]], str, str | None]] = [
    ([], "missing_required_parameter", "image"),
    ([("image", ("upload", drawn(), "application/octet-stream"))], "unsupported_file_mimetype", "image"),
    ([("image[]", ("upload", drawn(), "text/plain"))], "unsupported_file_mimetype", "image[0]"),
    ([("image", ("a.png", b"no picture", "image/png"))], "invalid_image_file", "image"),
    ([("image", ("a.jpg", drawn("CMYK", "JPEG"), "image/jpeg"))], "invalid_image_file", "image"),
    ([("image[]", PNG)] * 17, "array_above_max_length", "image"),
    ([("image", PNG), ("mask", ("m.png", drawn("RGB"), "image/png"))], "invalid_image_file", "mask"),
    ([("image", PNG), ("mask", ("m.png", drawn(size=(32, 32)), "image/png"))], "invalid_image_file", "mask"),
    ([("image", PNG), ("moderation", "low")], "unknown_parameter", "moderation"),
    ([("image", PNG), ("n", "two")], "invalid_type", "n"),
    ([("image", PNG), ("stream", "perhaps")], "invalid_type", "stream"),
    ([("image", PNG), ("markup", PNG)], "unknown_parameter", "markup"),
    ([("image", PNG), ("input_fidelity", "high")], "invalid_input_fidelity_model", "input_fidelity"),
]


@pytest.mark.parametrize(("fields", "code", "param"), REFUSED)
def test_form_is_refused(fields: list[tuple[str, str | File]], code: str, param: str | None) -> None:
    """What the real API does not take, strict by default."""

    async def play(stage: Stage) -> None:
        answer = await send(stage, [("prompt", "a hat"), *fields])

        assert answer.status == 400
        assert (answer.error["code"], answer.error["param"]) == (code, param)

    on_stage(play, QUICK)


def test_mimetype_wording() -> None:
    """The refusal of an octet stream is the published one."""

    async def play(stage: Stage) -> None:
        answer = await send(stage, [("prompt", "a"), ("image", ("u", drawn(), "application/octet-stream"))])

        assert answer.error["message"] == (
            "Invalid file 'image': unsupported mimetype ('application/octet-stream')."
            " Supported file formats are 'image/jpeg', 'image/png', and 'image/webp'."
        )

    on_stage(play, QUICK)


def url_of(content: bytes) -> dict[str, str]:
    """The picture as a data URL."""
    return {"image_url": f"data:image/png;base64,{base64.b64encode(content).decode()}"}


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"images": [url_of(drawn())]}, None),
        ({"images": [{"image_url": "https://example.com/a.png"}]}, None),
        ({"images": [{"file_id": "file-1"}]}, "file_not_found"),
        ({"images": [url_of(drawn())], "mask": {"file_id": "f"}}, "file_not_found"),
        ({"images": [url_of(drawn())], "moderation": "low"}, None),
        ({}, "missing_required_parameter"),
        ({"images": []}, "array_below_min_length"),
        ({"images": {}}, "invalid_type"),
        ({"images": [{}]}, "invalid_value"),
        ({"images": ["x"]}, "invalid_type"),
        ({"images": [{"file_id": "a", "image_url": "b"}]}, "invalid_value"),
        ({"images": [{"file_id": "a", "detail": "high"}]}, "unknown_parameter"),
        ({"images": [{"image_url": "data:image/png;base64,!!"}]}, "invalid_image_file"),
        ({"images": [{"image_url": "data:text/plain;base64,YQ=="}]}, "unsupported_file_mimetype"),
        ({"images": [{"file_id": "a"}] * 17}, "array_above_max_length"),
    ],
)
def test_json_edit(fields: dict[str, Any], code: str | None) -> None:
    """The JSON form of an edit: one to sixteen images, each one URL or one file id, and nothing else."""

    async def play(stage: Stage) -> None:
        answer = await stage.post({"prompt": "a hat", **fields}, path="/v1/images/edits")

        assert answer.status == (200 if code is None else 400), answer.body[:300]
        assert code is None or answer.error["code"] == code

    on_stage(play, QUICK)


def test_edit_stream_has_its_own_events() -> None:
    """An edit streams `image_edit` events."""

    async def play(stage: Stage) -> None:
        answer = await send(
            stage, [("prompt", "a hat"), ("image", PNG), ("stream", "true"), ("partial_images", "1")]
        )

        assert [name for name, _ in answer.events] == ["image_edit.partial_image", "image_edit.completed"]

    on_stage(play, QUICK)


def test_variations_are_retired_and_lenient_ones_are_not() -> None:
    """Strict, a variation needs a model that is no more; lenient, it is made."""

    async def strict(stage: Stage) -> None:
        answer = await send(stage, [("image", PNG)], "variations")
        named = await send(stage, [("image", PNG), ("model", "gpt-image-2")], "variations")

        assert answer.error["message"] == "The model 'dall-e-2' does not exist."
        assert named.error["message"] == "Invalid value: 'gpt-image-2'. Value must be 'dall-e-2'."

    async def lenient(stage: Stage) -> None:
        answer = await send(
            stage, [("image", PNG), ("model", "gpt-image-1"), ("response_format", "url")], "variations"
        )

        assert answer.status == 200

    on_stage(strict, QUICK)
    on_stage(lenient, LENIENT)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--x",
        b"--x\r\n",
        b"--x\r\n\r\nno headers\r\n--x--\r\n",
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nnever ends',
        b"--x\r\nContent-Disposition: form-data\r\n\r\nno name\r\n--x--\r\n",
        b'--x\r\nContent-Disposition: form-data; name="\xff\xfe"\r\n\r\nv\r\n--x--\r\n',
        b"--y\r\n\r\n--y--",
        (b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\nv\r\n" * 300) + b"--x--",
    ],
)
def test_malformed_form(body: bytes) -> None:
    """A form that is none is a 400 in the API's envelope."""

    async def play(stage: Stage) -> None:
        answer = await stage.post(body, "/v1/images/edits", Content_Type="multipart/form-data; boundary=x")

        assert answer.status == 400
        assert answer.error["type"] == "invalid_request_error"

    on_stage(play, QUICK)


def test_wrong_kind_of_body() -> None:
    """Generations read JSON only, variations forms only."""

    async def play(stage: Stage) -> None:
        form = await send(stage, [("prompt", "a")], "generations")
        no_form = await stage.post({"prompt": "a"}, "/v1/images/variations")
        no_boundary = await stage.post(b"", "/v1/images/edits", Content_Type="multipart/form-data")

        assert form.error["code"] == no_form.error["code"] == "unsupported_content_type"
        assert no_boundary.status == 400

    on_stage(play, QUICK)


@pytest.mark.parametrize(
    ("path", "kind", "accepted"),
    [
        ("generations", "text/plain", "application/json"),
        ("generations", "application/x-www-form-urlencoded", "application/json"),
        ("generations", "multipart/form-data; boundary=xyz", "application/json"),
        ("edits", "text/plain; charset=utf-8", "multipart/form-data"),
        ("edits", "application/x-www-form-urlencoded", "multipart/form-data"),
        ("variations", "application/json", "multipart/form-data"),
    ],
)
def test_body_of_a_kind_that_is_not_read(path: str, kind: str, accepted: str) -> None:
    """JSON under another name is refused, and the type is repeated without its parameters."""
    bare = kind.partition(";")[0]

    async def play(stage: Stage) -> None:
        answer = await stage.post({"prompt": "a"}, f"/v1/images/{path}", Content_Type=kind)

        assert (answer.status, answer.error["code"]) == (400, "unsupported_content_type")
        assert answer.error["message"] == (
            f"Unsupported content type: '{bare}'. This API method only accepts '{accepted}' requests,"
            f" but you specified the header 'Content-Type: {bare}'."
            " Please try again with a supported content type."
        )

    on_stage(play, QUICK)
