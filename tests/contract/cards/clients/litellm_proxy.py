"""One image by a plain request to LiteLLM's proxy, which is begun for it: as it comes, or ``mended``."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

MASTER_KEY = "sk-a-key-of-the-proxy-for-its-callers-alone"  # it starts with none no more

# The router's own retries; those of the SDK below it are not the configuration's for images (`asked_once.py`).
ONCE = {"litellm_settings": {"callbacks": "asked_once.handler"}, "router_settings": {"num_retries": 0}}
upstream = {
    "model": "openai/gpt-image-2",
    "api_base": os.environ["OPENAI_BASE_URL"],
    "api_key": os.environ["OPENAI_API_KEY"],
}
models = {"model_list": [{"model_name": "gpt-image-2", "litellm_params": upstream}]}
config = models | (ONCE if "mended" in sys.argv else {})
with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
base = f"http://127.0.0.1:{port}"
wanted = {"model": "gpt-image-2", "prompt": "a quiet ramen shop", "size": "1024x1024", "quality": "high"}
with tempfile.TemporaryDirectory() as folder:
    place = Path(folder, "config.yaml")
    place.write_text(json.dumps(config))
    shutil.copy(Path(__file__).with_name("asked_once.py"), folder)
    command = [str(Path(sys.executable).with_name("litellm")), "--config", str(place), "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--host", "127.0.0.1"],
        env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MASTER_KEY": MASTER_KEY}
        | {"PYTHONPATH": str(Path(__file__).parent)},
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
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {MASTER_KEY}"}
        request = urllib.request.Request(
            f"{base}/v1/images/generations", json.dumps(wanted).encode(), headers
        )
        assert json.loads(urllib.request.urlopen(request).read())["data"]
    finally:
        process.kill()
