"""One image through the SDK without retries, in tenacity's decorator as its README shows it for a flaky API."""

import openai
from tenacity import retry, stop_after_attempt, wait_random_exponential

client = openai.OpenAI(max_retries=0)


@retry(wait=wait_random_exponential(min=1, max=60), stop=stop_after_attempt(3))
def image() -> object:
    """Ask for it."""
    return client.images.generate(
        model="gpt-image-2", prompt="a quiet ramen shop", size="1024x1024", quality="high"
    )


image()
