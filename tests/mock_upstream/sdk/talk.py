"""What the official Python SDK, of any major version, sees of the mock: one JSON object is printed.

Usage: python talk.py BASE_URL. It imports nothing of this project, because its interpreter may not have it.
"""

import asyncio
import base64
import json
import sys
from typing import Any

import openai
from openai.types import ImagesResponse

PROMPT = "a ramen shop at two in the morning"
HAT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def told(error: openai.APIError) -> dict[str, Any]:
    """An exception as plain data."""
    return {
        "class": type(error).__name__,
        "status": getattr(error, "status_code", None),
        "code": error.code,
        "type": error.type,
        "request_id": bool(getattr(error, "request_id", None)),
    }


def first(answer: ImagesResponse) -> str:
    """The kind of an answer's first picture."""
    return decoded((answer.data or [])[0].b64_json or "")


def decoded(text: str) -> str:
    """The kind of picture in this text."""
    return {b"\x89PNG": "png", b"\xff\xd8\xff\xe0": "jpeg"}.get(base64.b64decode(text)[:4], "?")


def main(base_url: str) -> dict[str, Any]:
    """Every conversation, by name."""
    client = openai.OpenAI(api_key="sk-talk", base_url=base_url, max_retries=0, timeout=20)
    seen: dict[str, Any] = {"version": openai.VERSION}

    answer = client.images.generate(model="gpt-image-2", prompt=PROMPT, size="1024x1024")
    seen["plain"] = [
        first(answer),
        answer.usage.output_tokens if answer.usage else 0,
    ]
    seen["request_id"] = (answer._request_id or "")[:4]
    stream = client.images.generate(model="openai/gpt-image-2", prompt=PROMPT, stream=True, partial_images=2)
    seen["stream"] = [[event.type, decoded(event.b64_json)] for event in stream]
    edit = client.images.edit(model="gpt-image-2", image=("a.png", HAT, "image/png"), prompt="a hat")
    seen["edit"] = first(edit)
    edits = client.images.edit(image=[("a.png", HAT, "image/png")] * 2, prompt="hats", stream=True)
    seen["edit_stream"] = [event.type for event in edits]
    seen["models"] = "gpt-image-2" in [model.id for model in client.models.list()]
    response = client.responses.create(
        model="gpt-5.5", input="draw a cat", tools=[{"type": "image_generation"}]
    )
    seen["responses"] = [item.type for item in response.output]

    def refused(name: str, fault: str | None = None, **fields: Any) -> None:
        headers = {"x-mock-fault": fault} if fault else {}
        try:
            client.images.generate(**{"prompt": PROMPT, "extra_headers": headers, **fields})
        except openai.APIError as error:
            seen[name] = told(error)

    refused("unknown_parameter", extra_body={"response_format": "url"})
    refused("bad_size", size="512x512")
    refused("server_error", "server_error")
    refused("overloaded", "overloaded")
    refused("rate_limited", "rate_limited")
    refused("insufficient_quota", "insufficient_quota")
    refused("html_524", "html_5xx")
    refused("reset", "reset_before_headers")
    refused("moderated", prompt="mickey mouse riding a bike")
    for name, key in (("wrong_key", "sk-revoked"), ("wall", "sk-waiting")):
        try:
            client.with_options(api_key=key).images.generate(prompt=PROMPT)
        except openai.APIError as error:
            seen[name] = told(error)
    try:
        client.models.retrieve("gpt-image-99")
    except openai.APIError as error:
        seen["unknown_model"] = told(error)
    try:
        for _ in client.images.generate(prompt="mickey mouse on a bike", stream=True, partial_images=1):
            pass
    except openai.APIError as error:
        seen["moderated_stream"] = told(error)

    retrying = client.with_options(max_retries=2)
    answer = retrying.images.generate(
        prompt="again", extra_headers={"x-mock-fault": "first_attempt_hangs"}, timeout=1
    )
    seen["retry_answers"] = first(answer)
    seen["async"] = asyncio.run(talk_async(base_url))
    return seen


async def talk_async(base_url: str) -> list[Any]:
    """Plain and streamed once more, asynchronously."""
    async with openai.AsyncOpenAI(api_key="sk-talk", base_url=base_url, max_retries=0, timeout=20) as client:
        answer = await client.images.generate(prompt=PROMPT, output_format="jpeg")
        stream = await client.images.generate(prompt=PROMPT, stream=True, partial_images=1)
        return [first(answer), [event.type async for event in stream]]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1])))
