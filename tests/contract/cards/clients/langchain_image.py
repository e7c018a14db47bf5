"""One image through LangChain's image wrapper: as it comes, or ``mended``."""

import sys

from langchain_community.utilities.dalle_image_generator import DallEAPIWrapper

options = {"max_retries": 0} if "mended" in sys.argv else {}
wrapper = DallEAPIWrapper(model="gpt-image-2", size="1024x1024", quality="high", **options)
try:
    wrapper.run("a quiet ramen shop")
except TypeError:
    print("the image came in base64, and the wrapper knows only addresses")  # noqa: T201  # the script's answer
