"""One image through Replicate's client for Python, as it comes; the server speaks its dialect."""

import os

import replicate

origin = os.environ["OPENAI_BASE_URL"].removesuffix("/v1")
client = replicate.Client(api_token=os.environ["OPENAI_API_KEY"], base_url=f"{origin}/replicate")
assert client.run("black-forest-labs/flux-dev", input={"prompt": "a quiet ramen shop"})
