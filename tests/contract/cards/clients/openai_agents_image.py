"""One image through the openai-agents SDK and the Responses API: as it comes, or ``mended``."""

import sys

import openai
from agents import Agent, ImageGenerationTool, Runner, set_default_openai_client, set_tracing_disabled

set_tracing_disabled(disabled=True)  # traces would go elsewhere
if "mended" in sys.argv:
    set_default_openai_client(openai.AsyncOpenAI(max_retries=0))
tool = ImageGenerationTool(tool_config={"type": "image_generation", "quality": "high"})
agent = Agent(name="painter", model="gpt-5.2", tools=[tool])
assert Runner.run_sync(agent, "a quiet ramen shop").new_items
