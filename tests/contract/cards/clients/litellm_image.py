"""One image through LiteLLM as it comes."""

import os

import litellm

answer = litellm.image_generation(
    prompt="a quiet ramen shop",
    model="openai/gpt-image-2",
    size="1024x1024",
    quality="high",
    api_base=os.environ["OPENAI_BASE_URL"],
)
assert answer.data
