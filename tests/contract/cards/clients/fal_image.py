"""One image through fal's queue by its client for Python: as it comes, or ``mended``; the server speaks fal's."""

import os
import sys

import fal_client
from fal_client import client as fal

origin = os.environ["OPENAI_BASE_URL"].removesuffix("/v1")
fal.QUEUE_URL_FORMAT = f"{origin}/fal/queue/"
if "mended" in sys.argv:
    fal.MAX_ATTEMPTS = 1
client = fal_client.SyncClient(key=os.environ["OPENAI_API_KEY"])
assert client.subscribe("fal-ai/flux/dev", {"prompt": "a quiet ramen shop"})["images"]
