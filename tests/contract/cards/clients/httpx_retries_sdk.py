"""One image through the SDK over httpx-retries' transport that takes POST too; or ``mended``."""

import sys
from typing import Any

import httpx
import openai
from httpx_retries import Retry, RetryTransport

usual = {"allowed_methods": ["POST"]}
mended = {"allowed_methods": Retry.RETRYABLE_METHODS} if "mended" in sys.argv else usual
transport = RetryTransport(retry=Retry(total=3, backoff_factor=0.5, **mended))
pool: Any = httpx.Client(
    transport=transport, timeout=600
)  # the SDK takes httpx's clients as well as httpx2's
client = openai.OpenAI(max_retries=0, http_client=pool)
answer = client.images.generate(
    model="gpt-image-2", prompt="a quiet ramen shop", size="1024x1024", quality="high"
)
assert answer.data
