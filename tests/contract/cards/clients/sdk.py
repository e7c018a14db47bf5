"""One image through the openai SDK: as it comes, or ``mended``; the environment names server and key."""

import sys

import openai

client = openai.OpenAI(max_retries=0) if "mended" in sys.argv else openai.OpenAI()
answer = client.images.generate(
    model="gpt-image-2", prompt="a quiet ramen shop", size="1024x1024", quality="high"
)
assert answer.data
assert answer.data[0].b64_json
