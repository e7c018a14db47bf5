"""One image through pydantic-ai and the Responses API: as it comes, or ``mended``."""

import sys

import openai
from pydantic_ai import Agent
from pydantic_ai.messages import BinaryImage
from pydantic_ai.models.openai import OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

mended = {"openai_client": openai.AsyncOpenAI(max_retries=0)} if "mended" in sys.argv else {}
provider = OpenAIProvider(**mended)
agent = Agent(OpenAIResponsesModel("gpt-5.2", provider=provider), output_type=BinaryImage)
assert agent.run_sync("a quiet ramen shop").output.data
