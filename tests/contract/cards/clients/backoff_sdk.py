"""One image through the SDK without retries, in backoff's decorator on the SDK's own errors; or ``mended``."""

import sys

import backoff
import openai

client = openai.OpenAI(max_retries=0)
options = {"max_tries": 1} if "mended" in sys.argv else {"max_tries": 3}


@backoff.on_exception(backoff.expo, openai.APIError, **options)
def image() -> object:
    """Ask for it."""
    return client.images.generate(
        model="gpt-image-2", prompt="a quiet ramen shop", size="1024x1024", quality="high"
    )


image()
