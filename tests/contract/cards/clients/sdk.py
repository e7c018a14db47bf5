"""One image through the openai SDK as it comes: ``sdk.py [MAX_RETRIES]``; the environment names server and key."""

import sys

import openai

options = {"max_retries": int(sys.argv[1])} if len(sys.argv) > 1 else {}
client = openai.OpenAI(**options)  # type: ignore[arg-type]
answer = client.images.generate(
    model="gpt-image-2", prompt="a quiet ramen shop", size="1024x1024", quality="high"
)
assert answer.data
assert answer.data[0].b64_json
