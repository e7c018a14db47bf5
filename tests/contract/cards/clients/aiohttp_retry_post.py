"""One image by aiohttp in aiohttp-retry's client as its README shows it; or ``mended``."""

import asyncio
import os
import sys

import aiohttp
from aiohttp_retry import ExponentialRetry, RetryClient

URL = os.environ["OPENAI_BASE_URL"] + "/images/generations"
HEADERS = {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}
WANTED = {"model": "gpt-image-2", "prompt": "a quiet ramen shop", "size": "1024x1024", "quality": "high"}

mended = {"methods": {"GET"}} if "mended" in sys.argv else {}


async def image() -> None:
    """Ask for it."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=600)) as session:
        client = RetryClient(session, retry_options=ExponentialRetry(attempts=3, **mended))
        async with client.post(URL, json=WANTED, headers=HEADERS) as answer:
            answer.raise_for_status()
            await answer.read()


asyncio.run(image())
