"""The official SDKs and curl, real ones, against the mock as a process: what they get and how they type it.

Python 3.x is the one of this environment. 1.x and 2.x run when `python -m tests.mock_upstream.sdk.matrix`
(the make target `sdk-matrix`) has made their environments. Node's comes from npm on first use and is
kept.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.mock_upstream.sdk.matrix import NODE_SDK, PYTHON_SDKS, kept, python_of
from tests.mock_upstream.sdk.talk import HAT
from tests.mock_upstream.test_process import process

pytestmark = pytest.mark.sockets

HERE = Path(__file__).parent / "sdk"
Seen = dict[str, Any]
KEYS = {"sk-revoked": {"state": "revoked"}, "sk-waiting": {"state": "unverified"}}
USER, INVALID = "image_generation_user_error", "invalid_request_error"


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A mock whose model seconds are milliseconds."""
    config = tmp_path_factory.mktemp("sdk") / "mock.yaml"
    config.write_text(json.dumps({"keys": KEYS, "latency": {"constant_s": 50.0}}))
    with process("--clock", "scaled:1000", "--config", str(config)) as (_, ready):
        yield f"http://127.0.0.1:{ready['port']}/v1"


def needed(what: str, how: str) -> None:
    """Skip with a sentence, except on a CI machine, where nothing may be missing."""
    sentence = f"{what} is not installed: {how}"
    if os.environ.get("CI") == "true":
        pytest.fail(sentence)
    pytest.skip(sentence)


def run(*command: str) -> Seen:
    """The JSON object that a conversation prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    seen: Seen = json.loads(done.stdout)
    return seen


@pytest.fixture(scope="module", params=["3.x", *PYTHON_SDKS])
def python_seen(request: pytest.FixtureRequest, base_url: str) -> Seen:
    """What one major version of the Python SDK saw."""
    interpreter = sys.executable
    if request.param != "3.x":
        interpreter = str(python_of(request.param))
        if not Path(interpreter).exists():
            pytest.skip(f"openai {request.param} has no environment here: make sdk-matrix")
    return run(interpreter, str(HERE / "talk.py"), base_url)


def test_python_gets_its_pictures(python_seen: Seen) -> None:
    """Plain and streamed, sync and async, generated and edited: real pictures, in the SDK's own types."""
    partial, completed = "image_generation.partial_image", "image_generation.completed"

    assert python_seen["plain"] == ["png", 1756]
    assert python_seen["request_id"] == "req_"
    assert python_seen["stream"] == [[partial, "png"], [partial, "png"], [completed, "png"]]
    assert python_seen["edit"] == "png"
    assert python_seen["edit_stream"] == ["image_edit.completed"]
    assert python_seen["models"] is True
    assert python_seen["responses"] == ["image_generation_call", "message"]
    assert python_seen["retry_answers"] == "png"
    assert python_seen["async"] == ["jpeg", [partial, completed]]


@pytest.mark.parametrize(
    ("name", "kind", "status", "code"),
    [
        ("unknown_parameter", "BadRequestError", 400, "unknown_parameter"),
        ("bad_size", "BadRequestError", 400, "invalid_value"),
        ("moderated", "BadRequestError", 400, "moderation_blocked"),
        ("wrong_key", "AuthenticationError", 401, "invalid_api_key"),
        ("wall", "PermissionDeniedError", 403, None),
        ("unknown_model", "NotFoundError", 404, "model_not_found"),
        ("rate_limited", "RateLimitError", 429, "rate_limit_exceeded"),
        ("insufficient_quota", "RateLimitError", 429, "insufficient_quota"),
        ("server_error", "InternalServerError", 500, "server_error"),
        ("overloaded", "InternalServerError", 503, "server_is_overloaded"),
        ("html_524", "InternalServerError", 524, None),
        ("reset", "APIConnectionError", None, None),
        ("moderated_stream", "APIError", None, "moderation_blocked"),
    ],
)
def test_python_types_its_errors(
    python_seen: Seen, name: str, kind: str, status: int | None, code: str | None
) -> None:
    """Every refusal is the exception the SDK has for it."""
    error = python_seen[name]

    assert (error["class"], error["status"], error["code"]) == (kind, status, code)


@pytest.fixture(scope="module")
def node_seen(base_url: str) -> Seen:
    """What the Node SDK saw."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        needed("Node with npm", "apt-get install nodejs npm")
    place = kept() / "node"
    place.mkdir(parents=True, exist_ok=True)
    flags = ["--no-save", "--no-audit", "--no-fund", "--prefix", str(place)]
    with (place / "lock").open("w") as lock:  # two npm in one folder break each other
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "node_modules" / "openai").exists():
            subprocess.run(
                [str(npm), "install", *flags, NODE_SDK], check=True, capture_output=True, timeout=300
            )
    script = shutil.copy(HERE / "talk.mjs", place)
    return run(str(node), str(script), base_url)


def test_node_gets_its_pictures(node_seen: Seen) -> None:
    """The Node SDK gets what the Python SDK gets."""
    partial, completed = "image_generation.partial_image", "image_generation.completed"

    assert node_seen["plain"] == ["png", 1756]
    assert node_seen["stream"] == [[partial, "png"], [partial, "png"], [completed, "png"]]
    assert node_seen["edit"] == node_seen["retry_answers"] == "png"


@pytest.mark.parametrize(
    ("name", "kind", "status", "code"),
    [
        ("unknown_parameter", "BadRequestError", 400, "unknown_parameter"),
        ("moderated", "BadRequestError", 400, "moderation_blocked"),
        ("wrong_key", "AuthenticationError", 401, "invalid_api_key"),
        ("rate_limited", "RateLimitError", 429, "rate_limit_exceeded"),
        ("server_error", "InternalServerError", 500, "server_error"),
        ("html_524", "InternalServerError", 524, None),
        ("reset", "APIConnectionError", None, None),
        ("moderated_stream", "APIError", None, "moderation_blocked"),
    ],
)
def test_node_types_its_errors(
    node_seen: Seen, name: str, kind: str, status: int | None, code: str | None
) -> None:
    """Every refusal is the error class the SDK has for it."""
    error = node_seen[name]

    assert (error["class"], error["status"], error["code"]) == (kind, status, code)


def curl(base_url: str, *flags: str) -> str:
    """What curl prints, headers included."""
    if shutil.which("curl") is None:
        needed("curl", "apt-get install curl")
    command = ["curl", "-sS", "-i", "-N", "-H", "Authorization: Bearer sk-talk", *flags]
    done = subprocess.run([*command, base_url], capture_output=True, check=True, timeout=60)
    return done.stdout.decode()


def test_curl_plain(base_url: str) -> None:
    """The article's minimal call."""
    body = json.dumps({"model": "openai/gpt-image-2", "prompt": "quiet ramen shop", "size": "1024x1024"})

    text = curl(f"{base_url}/images/generations", "-H", "Content-Type: application/json", "-d", body)

    head, _, answer = text.partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 200")
    assert len(json.loads(answer)["data"]) == 1


def test_curl_stream(base_url: str) -> None:
    """A stream, as lines."""
    body = json.dumps({"prompt": "quiet ramen shop", "stream": True, "partial_images": 1})

    text = curl(f"{base_url}/images/generations", "-H", "Content-Type: application/json", "-d", body)

    assert "text/event-stream" in text
    assert text.endswith("\n\n")
    names = [line for line in text.splitlines() if line.startswith("event:")]
    assert names == ["event: image_generation.partial_image", "event: image_generation.completed"]


def test_curl_edit(base_url: str, tmp_path: Path) -> None:
    """The documented example: `-F image[]=@file`, even for one."""
    image = tmp_path / "a.png"
    image.write_bytes(HAT)

    text = curl(
        f"{base_url}/images/edits", "-F", "model=gpt-image-2", "-F", f"image[]=@{image}", "-F", "prompt=a hat"
    )

    assert text.startswith("HTTP/1.1 200")
