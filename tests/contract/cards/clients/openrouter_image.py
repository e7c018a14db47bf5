"""One image through OpenRouter's SDK for Python: as it comes, or ``mended``; the server speaks its dialect."""

import os
import sys

from openrouter import OpenRouter
from openrouter.utils import BackoffStrategy, RetryConfig

origin = os.environ["OPENAI_BASE_URL"].removesuffix("/v1")
once = RetryConfig("none", BackoffStrategy(1, 1, 1, 1), retry_connection_errors=False)
mended = {"retry_config": once} if "mended" in sys.argv else {}
client = OpenRouter(api_key=os.environ["OPENAI_API_KEY"], server_url=f"{origin}/openrouter/api/v1", **mended)
assert client.images.generate(model="google/gemini-3-pro-image", prompt="a quiet ramen shop").data
