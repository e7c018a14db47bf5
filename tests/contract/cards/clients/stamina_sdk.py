"""One image through the SDK without retries, in stamina's decorator on the SDK's own errors."""

import openai
import stamina

client = openai.OpenAI(max_retries=0)


@stamina.retry(on=openai.APIError, attempts=3)
def image() -> object:
    """Ask for it."""
    return client.images.generate(
        model="gpt-image-2", prompt="a quiet ramen shop", size="1024x1024", quality="high"
    )


image()
