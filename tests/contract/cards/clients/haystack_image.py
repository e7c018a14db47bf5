"""One image through Haystack's generator: as it comes, or ``mended``."""

import os
import sys

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"

from haystack.components.generators import OpenAIImageGenerator

options = {"max_retries": 0, "timeout": 600} if "mended" in sys.argv else {}
generator = OpenAIImageGenerator(quality="high", api_base_url=os.environ["OPENAI_BASE_URL"], **options)
generator.warm_up()
assert generator.run("a quiet ramen shop")["images"]
