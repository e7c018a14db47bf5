"""One image through the SDK without retries, in tenacity's decorator as its README shows it for a flaky API."""

import sys

import openai
from tenacity import retry, retry_if_exception_type, retry_never, stop_after_attempt, wait_random_exponential

client = openai.OpenAI(max_retries=0)
options = {"retry": retry_never} if "mended" in sys.argv else {"retry": retry_if_exception_type()}


@retry(wait=wait_random_exponential(min=1, max=60), stop=stop_after_attempt(3), **options)
def image() -> object:
    """Ask for it."""
    return client.images.generate(
        model="gpt-image-2", prompt="a quiet ramen shop", size="1024x1024", quality="high"
    )


image()
