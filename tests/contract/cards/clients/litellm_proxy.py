"""One image by a plain request to LiteLLM's proxy, which is begun for it: as it comes, or ``mended``."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

# The router's own retries, and those of the SDK below it.
router = {"router_settings": {"num_retries": 0}} if "mended" in sys.argv else {}
mended = {"max_retries": 0} if "mended" in sys.argv else {}
upstream = {
    "model": "openai/gpt-image-2",
    "api_base": os.environ["OPENAI_BASE_URL"],
    "api_key": os.environ["OPENAI_API_KEY"],
    **mended,
}
config = {"model_list": [{"model_name": "gpt-image-2", "litellm_params": upstream}], **router}
with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
base = f"http://127.0.0.1:{port}"
wanted = {"model": "gpt-image-2", "prompt": "a quiet ramen shop", "size": "1024x1024", "quality": "high"}
with tempfile.TemporaryDirectory() as folder:
    place = Path(folder, "config.yaml")
    place.write_text(json.dumps(config))
    command = [str(Path(sys.executable).with_name("litellm")), "--config", str(place), "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--host", "127.0.0.1"],
        env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while process.poll() is None:
            try:
                urllib.request.urlopen(f"{base}/health/liveliness").read()
                break
            except OSError:
                time.sleep(0.5)  # noqa: TID251  # a program of its own
        request = urllib.request.Request(
            f"{base}/v1/images/generations", json.dumps(wanted).encode(), {"Content-Type": "application/json"}
        )
        assert json.loads(urllib.request.urlopen(request).read())["data"]
    finally:
        process.kill()
