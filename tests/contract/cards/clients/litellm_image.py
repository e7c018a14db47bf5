"""One image through LiteLLM: as it comes, or ``mended``."""

import os
import sys

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # otherwise it looks for prices elsewhere

import litellm

options = {"max_retries": 0} if "mended" in sys.argv else {}
answer = litellm.image_generation(
    prompt="a quiet ramen shop",
    model="openai/gpt-image-2",
    size="1024x1024",
    quality="high",
    api_base=os.environ["OPENAI_BASE_URL"],
    **options,
)
assert answer.data
