"""One image through LiteLLM: as it comes, or ``mended``."""

import os
import sys

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # otherwise it looks for prices elsewhere

import litellm
import openai
from once import Once

if "mended" in sys.argv:  # `max_retries=0` is not handed on to the SDK for images
    litellm.client_session = openai.DefaultHttpxClient(transport=Once())
answer = litellm.image_generation(
    prompt="a quiet ramen shop",
    model="openai/gpt-image-2",
    size="1024x1024",
    quality="high",
    api_base=os.environ["OPENAI_BASE_URL"],
)
assert answer.data
