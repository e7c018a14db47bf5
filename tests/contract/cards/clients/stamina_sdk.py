"""One image through the SDK without retries, in stamina's decorator on the SDK's own errors; or ``mended``."""

import sys

import openai
import stamina

client = openai.OpenAI(max_retries=0)
options = {"attempts": 1} if "mended" in sys.argv else {"attempts": 3}


@stamina.retry(on=openai.APIError, **options)
def image() -> object:
    """Ask for it."""
    return client.images.generate(
        model="gpt-image-2", prompt="a quiet ramen shop", size="1024x1024", quality="high"
    )


image()
