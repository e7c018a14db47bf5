"""One image through LlamaIndex and the Responses API: as it comes, or ``mended``."""

import os
import sys

from llama_index.llms.openai import OpenAIResponses

mended = {"max_retries": 0} if "mended" in sys.argv else {}
model = OpenAIResponses(
    model="gpt-5.2",
    api_base=os.environ["OPENAI_BASE_URL"],
    built_in_tools=[{"type": "image_generation", "quality": "high"}],
    **mended,
)
assert model.complete("a quiet ramen shop")
