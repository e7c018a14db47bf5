"""Python's clients, each against each ending.

Usage: python client.py LIBRARY BASE-URL REFUSED-URL FULL-URL ENDING…

Prints one JSON object a line: `client`, `version`, `ending` and the `text` of what was raised.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import traceback
import urllib.request
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT_S = 0.8
BODY = {"model": "gpt-image-2", "prompt": "a cat"}


def by_httpx(url: str) -> object:
    """Httpx."""
    import httpx  # noqa: PLC0415  # each library only where it is asked for

    with httpx.Client(timeout=LIMIT_S, trust_env=False) as client:
        return client.post(url, json=BODY).raise_for_status()


def by_httpx2(url: str) -> object:
    """httpx2."""
    import httpx2  # noqa: PLC0415

    with httpx2.Client(timeout=LIMIT_S, trust_env=False) as client:
        return client.post(url, json=BODY).raise_for_status()


def by_requests(url: str) -> object:
    """Requests."""
    import requests  # noqa: PLC0415

    answer = requests.post(url, json=BODY, timeout=LIMIT_S)
    answer.raise_for_status()
    return answer


def by_urllib(url: str) -> object:
    """Urllib."""
    request = urllib.request.Request(url, json.dumps(BODY).encode(), method="POST")  # noqa: S310  # loopback only
    with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:  # noqa: S310
        return answer.read()


def by_aiohttp(url: str) -> object:
    """aiohttp, by its total."""
    import aiohttp  # noqa: PLC0415

    async def ask() -> bytes:
        limits = aiohttp.ClientTimeout(total=LIMIT_S, sock_connect=LIMIT_S / 2)
        async with aiohttp.ClientSession(timeout=limits) as session, session.post(url, json=BODY) as answer:
            answer.raise_for_status()
            return await answer.read()

    return asyncio.run(ask())


def by_asyncio(url: str) -> object:
    """The program's own timer, around httpx without one."""
    import httpx  # noqa: PLC0415

    async def ask() -> object:
        async with httpx.AsyncClient(timeout=None, trust_env=False) as client:  # noqa: S113  # the program's own timer is what is captured
            return await asyncio.wait_for(client.post(url, json=BODY), LIMIT_S)

    return asyncio.run(ask())


def by_openai(url: str) -> object:
    """The OpenAI SDK."""
    import openai  # noqa: PLC0415

    client = openai.OpenAI(api_key="none", base_url=url, timeout=LIMIT_S, max_retries=0)
    return client.images.generate(model="gpt-image-2", prompt="a cat")


def by_grpc(url: str) -> object:
    """gRPC, by the deadline of the call."""
    import grpc  # noqa: PLC0415

    channel = grpc.insecure_channel(url.split("/")[2])
    call = channel.unary_unary("/images.Images/Generate", lambda one: one, lambda one: one)
    return call(b"", timeout=LIMIT_S)


def by_botocore(url: str) -> object:
    """The AWS SDK, at its model runtime."""
    import botocore.config  # noqa: PLC0415
    import botocore.session  # noqa: PLC0415

    limits = botocore.config.Config(
        connect_timeout=LIMIT_S / 2, read_timeout=LIMIT_S, retries={"total_max_attempts": 1}
    )
    client = botocore.session.Session().create_client(
        "bedrock-runtime", region_name="us-east-1", endpoint_url=url, config=limits,
        aws_access_key_id="none", aws_secret_access_key="none",  # noqa: S106
    )  # fmt: skip
    return client.invoke_model(modelId="one", body=json.dumps(BODY))["body"].read()


def by_anthropic(url: str) -> object:
    """The Anthropic SDK."""
    import anthropic  # noqa: PLC0415

    client = anthropic.Anthropic(api_key="none", base_url=url, timeout=LIMIT_S, max_retries=0)
    message: Any = {"role": "user", "content": "a cat"}
    return client.messages.create(model="one", max_tokens=9, messages=[message])


def by_google_genai(url: str) -> object:
    """google-genai, whose limit is in milliseconds."""
    from google import genai  # noqa: PLC0415

    client = genai.Client(api_key="none", http_options={"base_url": url, "timeout": int(LIMIT_S * 1000)})
    return client.models.generate_content(model="one", contents="a cat")


def by_fal(url: str) -> object:
    """Fal's client, whose address is a constant of the module; one attempt of its ten."""
    import fal_client  # noqa: PLC0415
    import fal_client.client as module  # noqa: PLC0415

    module.MAX_ATTEMPTS = 1
    module.RUN_URL_FORMAT = url.rpartition("/")[0] + "/"
    return fal_client.SyncClient(key="none", default_timeout=LIMIT_S).run(
        url.rpartition("/")[2], arguments=BODY, timeout=LIMIT_S
    )


def by_replicate(url: str) -> object:
    """Replicate's client, by its wait: without one the creation of a prediction has no timer at all."""
    import httpx  # noqa: PLC0415
    import replicate  # noqa: PLC0415

    client = replicate.Client(api_token="none", base_url=url, timeout=httpx.Timeout(LIMIT_S))  # noqa: S106
    return client.predictions.create(version="one", input=BODY, wait=1)


def by_openrouter(url: str) -> object:
    """OpenRouter's SDK, without its retries."""
    from openrouter import OpenRouter  # noqa: PLC0415
    from openrouter.utils import RetryConfig  # noqa: PLC0415

    never: Any = RetryConfig("none", None, retry_connection_errors=False)
    client = OpenRouter(api_key="none", server_url=url, timeout_ms=int(LIMIT_S * 1000), retry_config=never)
    message: Any = {"role": "user", "content": "a cat"}
    return client.chat.send(model="one", messages=[message])


def by_xai(url: str) -> object:
    """xai-sdk, by gRPC: its timeout is the deadline of a call; without its retries, which hide why."""
    import xai_sdk  # noqa: PLC0415

    client = xai_sdk.Client(
        api_key="none",
        api_host=url.split("/")[2],
        timeout=LIMIT_S,
        use_insecure_channel=True,
        channel_options=[("grpc.enable_retries", 0)],
    )
    return client.image.sample("a cat", model="one")


LIBRARIES: dict[str, tuple[str, Callable[[str], Any]]] = {
    "httpx": ("httpx", by_httpx),
    "httpx2": ("httpx2", by_httpx2),
    "requests": ("requests", by_requests),
    "urllib": ("", by_urllib),
    "aiohttp": ("aiohttp", by_aiohttp),
    "asyncio": ("", by_asyncio),
    "openai-python": ("openai", by_openai),
    "grpc": ("grpcio", by_grpc),
    "botocore": ("botocore", by_botocore),
    "anthropic-python": ("anthropic", by_anthropic),
    "google-genai": ("google-genai", by_google_genai),
    "fal-client": ("fal-client", by_fal),
    "replicate": ("replicate", by_replicate),
    "openrouter": ("openrouter", by_openrouter),
    "xai-sdk": ("xai-sdk", by_xai),
}


def main() -> None:
    """Ask once for each ending."""
    name, base, refused, full, *endings = sys.argv[1:]
    package, ask = LIBRARIES[name]
    known = f"{package} {version(package)}" if package else f"CPython {sys.version.split()[0]}"
    if name == "openai-python":
        name += "-" + version(package).partition(".")[0]  # its generations differ
    for ending in endings:
        url = {
            "refused": f"{refused}/x",
            "no-connection": f"{full}/x",
            "no-name": "http://no-such-host.invalid/x",
            "untrusted": os.environ.get("UNTRUSTED", ""),
        }.get(ending, f"{base}/{ending}")
        try:
            ask(url)
        except Exception:  # noqa: BLE001  # whatever it raises is what is captured
            text = traceback.format_exc()
        else:
            text = ""
        sys.stdout.write(
            json.dumps({"client": name, "version": known, "ending": ending, "text": text}) + "\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
