"""Files by the official SDK, their ids in edits, and the moderation endpoint that applications ask first."""

import asyncio
import io
from typing import Any

import pytest
from openai import BadRequestError, NotFoundError
from PIL import Image

from tests.mock_upstream.stage import KEY, MINIMAL, Stage, on_stage
from tests.mock_upstream.test_background import sdk
from whocut_mock import Settings

QUICK = Settings.model_validate({"latency": {"constant_s": 1.0}})


def png(width: int, height: int) -> bytes:
    """A picture."""
    out = io.BytesIO()
    Image.new("RGBA", (width, height)).save(out, "PNG")
    return out.getvalue()


def test_files_come_back_as_they_went() -> None:
    """Uploaded, listed in pages, read, deleted; another key has none of them."""

    async def play(stage: Stage) -> None:
        async with sdk(stage) as client, sdk(stage, "sk-another") as another:
            files = [
                await client.files.create(file=(f"{n}.png", png(8, 8)), purpose="vision") for n in range(3)
            ]
            names = [one.filename async for one in client.files.list(limit=2)]
            content = await client.files.content(files[1].id)
            shown = await client.files.retrieve(files[1].id)

            assert names == ["2.png", "1.png", "0.png"]
            assert content.content == png(8, 8)
            assert (shown.bytes, shown.purpose, shown.expires_at) == (len(png(8, 8)), "vision", None)
            assert (await client.files.delete(files[1].id)).deleted
            for owner in (client, another):
                with pytest.raises(NotFoundError, match="No such File object"):
                    await owner.files.retrieve(files[1].id)
            with pytest.raises(NotFoundError):
                await another.files.content(files[0].id)

    on_stage(play, QUICK)


def test_files_expire() -> None:
    """A batch's file after a month by itself, any other when that was asked for."""

    async def play(stage: Stage) -> None:
        async with sdk(stage) as client:
            batch = await client.files.create(file=("a.jsonl", b"{}"), purpose="batch")
            short = await client.files.create(
                file=("b.txt", b"b"),
                purpose="user_data",
                expires_after={"anchor": "created_at", "seconds": 3_600},
            )
            kept = await client.files.create(file=("c.txt", b"c"), purpose="user_data")
            await asyncio.sleep(3_601)
            assert [one.id async for one in client.files.list()] == [kept.id, batch.id]
            await asyncio.sleep(30 * 86_400)
            assert [one.id async for one in client.files.list()] == [kept.id]
            assert short.expires_at == short.created_at + 3_600

    on_stage(play, QUICK)


def test_file_id_stands_for_the_file() -> None:
    """An edit and a response weigh the uploaded picture itself, and an id that nobody has is refused."""

    async def play(stage: Stage) -> None:
        async with sdk(stage) as client:
            small = await client.files.create(file=("a.png", png(512, 512)), purpose="vision")
            large = await client.files.create(file=("b.png", png(1_024, 1_536)), purpose="vision")
            text = await client.files.create(file=("c.txt", b"no picture"), purpose="user_data")
            tokens = []
            for file in (small, large):
                body = {**MINIMAL, "images": [{"file_id": file.id}]}
                answer = await stage.post(body, "/v1/images/edits")
                tokens.append(answer.json["usage"]["input_tokens_details"]["image_tokens"])
            wrong = await stage.post({**MINIMAL, "images": [{"file_id": text.id}]}, "/v1/images/edits")
            missing = await stage.post({**MINIMAL, "images": [{"file_id": "file-x"}]}, "/v1/images/edits")
            part = {"type": "input_image", "file_id": large.id, "detail": "auto"}
            hat: Any = [{"role": "user", "content": [{"type": "input_text", "text": "a hat"}, part]}]
            nothing: Any = [{"role": "user", "content": [{**part, "file_id": "file-x"}]}]
            response = await client.responses.create(
                model="gpt-5.5",
                input=hat,
                tools=[{"type": "image_generation"}],
            )
            with pytest.raises(BadRequestError, match="was not found"):
                await client.responses.create(
                    model="gpt-5.5",
                    input=nothing,
                    tools=[{"type": "image_generation"}],
                )

        assert tokens == [65 + 129 + 4160, 65 + 129 * 6 + 6240]
        assert wrong.error["code"] == "invalid_image_file"
        assert (missing.error["code"], missing.error["param"]) == ("file_not_found", "images[0].file_id")
        usage = response.model_dump()["tool_usage"]["image_gen"]
        assert usage["input_tokens_details"]["image_tokens"] == tokens[1]

    on_stage(play, QUICK)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"purpose": "vision"}, "missing_required_parameter"),
        ({"file": b"x"}, "missing_required_parameter"),
        ({"file": b"x", "purpose": "fun"}, "invalid_value"),
        (
            {"file": b"x", "purpose": "vision", "expires_after[anchor]": "created_at"},
            "integer_below_min_value",
        ),
        ({"file": b"x" * 2_000, "purpose": "vision"}, "files_full"),
    ],
)
def test_upload_that_is_refused(fields: dict[str, Any], code: str) -> None:
    """What is missing, wrong or too much is named; nothing of it is kept."""
    settings = Settings.model_validate({"limits": {"files_bytes": 1_000}})

    async def play(stage: Stage) -> None:
        parts = [
            f'--x\r\nContent-Disposition: form-data; name="{name}"'
            + ('; filename="a"' if isinstance(value, bytes) else "")
            + "\r\n\r\n"
            + (value.decode() if isinstance(value, bytes) else value)
            + "\r\n"
            for name, value in fields.items()
        ]
        answer = await stage.post(
            "".join(parts).encode() + b"--x--\r\n",
            "/v1/files",
            Content_Type="multipart/form-data; boundary=x",
        )

        assert (answer.status, answer.error["code"]) == (400, code)
        listed = await stage.get("/v1/files", Authorization=f"Bearer {KEY}")
        assert listed.json["data"] == []

    on_stage(play, settings)


@pytest.mark.parametrize(
    ("given", "flagged"),
    [
        ("a ramen shop", [[]]),
        ("an erotic picture", [["sexual"]]),
        (["a cat", "torture and slur"], [[], ["harassment", "violence"]]),
        (
            [{"type": "text", "text": "a nude"}, {"type": "image_url", "image_url": {"url": "data:,"}}],
            [["sexual"]],
        ),
        ("mickey mouse", [[]]),  # only the filter that looks at pictures would stop it
    ],
)
def test_moderation_says_what_the_input_filter_would(given: Any, flagged: list[list[str]]) -> None:
    """The SDK's own types; a flagged prompt is one that a generation refuses before any work."""

    async def play(stage: Stage) -> None:
        async with sdk(stage) as client:
            answer = await client.moderations.create(input=given)

        found = [
            sorted(name for name, so in one.categories.model_dump(by_alias=True).items() if so)
            for one in answer.results
        ]
        assert found == flagged
        assert [one.flagged for one in answer.results] == [bool(names) for names in flagged]
        assert answer.model == "omni-moderation-latest"
        if isinstance(given, str):
            status = (await stage.post({**MINIMAL, "prompt": given})).status
            assert (status == 400 and not stage.ledger.totals().started) == (
                bool(flagged[0]) and given != "mickey mouse"
            )

    on_stage(play, QUICK)


def test_moderation_refusals() -> None:
    """No input, a wrong one, and a key that nobody knows."""
    settings = Settings.model_validate({"other_keys": "refuse", "keys": {KEY: {}}})

    async def play(stage: Stage) -> None:
        for body, code in (
            ({}, "missing_required_parameter"),
            ({"input": 7}, "invalid_type"),
            ({"input": [{"type": "audio"}]}, "invalid_value"),
            ({"input": "x", "tune": 1}, "unknown_parameter"),
        ):
            assert (await stage.post(body, "/v1/moderations")).error["code"] == code
        assert (
            await stage.post({"input": "x"}, "/v1/moderations", Authorization="Bearer sk-nobody")
        ).status == 401

    on_stage(play, settings)


def test_browser_may_ask_from_any_page() -> None:
    """The preflight names method and headers, and the answers say that the page may read them."""

    async def play(stage: Stage) -> None:
        page = {
            "Origin": "https://my.page",
            "Access-Control-Request-Headers": "authorization, x-stainless-os",
        }
        url = stage.url("/v1/images/generations")
        async with stage.session.options(
            url, headers=page | {"Access-Control-Request-Method": "POST"}
        ) as answer:
            assert answer.status == 200
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
            assert "POST" in answer.headers["Access-Control-Allow-Methods"]
            assert answer.headers["Access-Control-Allow-Headers"] == "authorization, x-stainless-os"
        made = await stage.post(MINIMAL, Origin="https://my.page")
        streamed = await stage.post({**MINIMAL, "stream": True}, Origin="https://my.page")
        refused = await stage.post({}, Origin="https://my.page")
        unasked = await stage.post(MINIMAL)
        door = await stage.door("GET", "health", Origin="https://my.page")

        for answered in (made, streamed, refused):
            assert answered.headers["access-control-allow-origin"] == "*"
        for answered in (unasked, door):
            assert "access-control-allow-origin" not in answered.headers
        async with stage.session.options(stage.url("/v1/nothing"), headers=page) as answer:
            assert answer.status == 404

    on_stage(play, QUICK)


def test_links_can_be_downloaded_for_an_hour() -> None:
    """Where `response_format` is tolerated, `url` gives links to the very pictures; strictly it stays unknown."""
    settings = Settings.model_validate({"tolerate": ["response_format"], "latency": {"constant_s": 1.0}})

    async def play(stage: Stage) -> None:
        answer = await stage.post({**MINIMAL, "n": 2, "response_format": "url", "output_format": "webp"})
        urls = [one["url"] for one in answer.json["data"]]
        got = [await stage.get("/" + url.split("/", 3)[3]) for url in urls]

        assert len(set(urls)) == 2
        assert all(url.startswith(f"http://127.0.0.1:{stage.running.port}/content/") for url in urls)
        assert [one.headers["content-type"] for one in got] == ["image/webp"] * 2
        assert [Image.open(io.BytesIO(one.body)).size for one in got] == [(1_024, 1_024)] * 2
        assert got[0].body != got[1].body
        await asyncio.sleep(3_600)
        assert (await stage.get("/" + urls[0].split("/", 3)[3])).status == 404

    async def strictly(stage: Stage) -> None:
        assert (await stage.post({**MINIMAL, "response_format": "url"})).error["code"] == "unknown_parameter"

    on_stage(play, settings)
    on_stage(strictly, QUICK)
