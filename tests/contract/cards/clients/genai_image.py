"""One image through Google's SDK for Python, as it comes; the server speaks its dialect."""

import os

from google import genai

origin = os.environ["OPENAI_BASE_URL"].removesuffix("/v1")
client = genai.Client(api_key=os.environ["OPENAI_API_KEY"], http_options={"base_url": f"{origin}/gemini"})
answer = client.models.generate_content(model="gemini-3-pro-image", contents="a quiet ramen shop")
assert answer.candidates
