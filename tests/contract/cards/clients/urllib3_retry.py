"""One image by urllib3 with a Retry that takes any method, as many show it for an API; or ``mended``."""

import os
import sys

import urllib3
from urllib3 import Retry

URL = os.environ["OPENAI_BASE_URL"] + "/images/generations"
HEADERS = {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}
WANTED = {"model": "gpt-image-2", "prompt": "a quiet ramen shop", "size": "1024x1024", "quality": "high"}

usual = {"allowed_methods": None}
mended = {"allowed_methods": Retry.DEFAULT_ALLOWED_METHODS} if "mended" in sys.argv else usual
retries = Retry(total=3, backoff_factor=1, status_forcelist=[429, 500, 502, 503, 504], **mended)
answer = urllib3.request("POST", URL, json=WANTED, headers=HEADERS, retries=retries, timeout=600)
assert answer.status == 200, answer.data
