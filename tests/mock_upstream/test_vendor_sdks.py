"""The other vendors' official SDKs, unchanged, against the mock as a process: submit, poll, wait, stream, refuse.

They run in an environment of their own, which `python -m tests.mock_upstream.sdk.matrix` makes (the make target
`sdk-matrix`).
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.mock_upstream.sdk.matrix import vendors_python
from tests.mock_upstream.test_process import process
from tests.mock_upstream.test_sdk import Seen, needed, run
from whocut_mock import ledger

pytestmark = pytest.mark.sockets

SCALE = 50
HERE = Path(__file__).parent / "sdk"


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A mock whose generations take a second of the wall, and its books."""
    place = tmp_path_factory.mktemp("vendors")
    (place / "mock.yaml").write_text(
        json.dumps({"latency": {"constant_s": 50.0}, "keys": {"revoked": {"state": "revoked"}}})
    )
    flags = ("--clock", f"scaled:{SCALE}", "--config", str(place / "mock.yaml"))
    with process(*flags, "--ledger", str(place / "ledger.jsonl")) as (_, ready):
        yield f"http://127.0.0.1:{ready['port']}", place / "ledger.jsonl"


def seen_by(name: str, origin: str) -> Seen:
    """What this vendor's SDK saw."""
    if not vendors_python().exists():
        needed("an environment with the other vendors' SDKs", "make sdk-matrix")
    return run(str(vendors_python()), str(HERE / "vendors.py"), name, origin, str(SCALE))


def rows_of(file: Path, endpoint: str) -> list[dict[str, Any]]:
    """The books of this endpoint."""
    return [row for row in ledger.read(file) if row["endpoint"] == endpoint]


def test_replicate(mock: tuple[str, Path]) -> None:
    """Held, outlasted, polled, cancelled, failed, told to a webhook whose signature its own helper accepts."""
    origin, books = mock

    seen = seen_by("replicate", origin)

    assert (seen["held"], seen["outlasted"], seen["several"]) == ("png", "png", ["webp", "webp"])
    assert seen["statuses"] in (["starting", "processing", "succeeded"], ["processing", "succeeded"])
    assert seen["cancelled"] == "canceled"
    for name in ("blocked", "forbidden"):
        assert seen[name]["class"] == "ModelError"
        assert "(E005)" in seen[name]["said"]
    assert [seen[name]["status"] for name in ("no_prompt", "unknown", "no_key")] == [422, 404, 401]
    assert (seen["listed"], seen["webhook"]) == (7, ["processing", "succeeded"])
    rows = rows_of(books, "replicate.predictions")
    fetched = [row for row in rows if row["delivered"]]
    assert len(fetched) == 3
    assert all(row["job"]["dialect"] == "replicate" for row in fetched)


def test_fal(mock: tuple[str, Path]) -> None:
    """Subscribed, handled by its URLs, cancelled, refused, run at once, limited by the caller's own header."""
    origin, books = mock

    seen = seen_by("fal", origin)

    assert (seen["subscribed"], seen["result"], seen["run"]) == (["jpeg", "jpeg"], ["jpeg"], ["jpeg"])
    assert seen["updates"][-2:] == ["InProgress", "Completed"]
    assert seen["urls"] == [
        f"/fal/queue/fal-ai/flux/requests/ID{rest}" for rest in ("/status", "", "/cancel")
    ]
    assert seen["cancelled"] == "client_cancelled"
    for name in ("blocked", "forbidden", "no_prompt"):
        assert (seen[name]["class"], seen[name]["status"]) == ("FalClientHTTPError", 422)
    assert (seen["limited"]["class"], seen["limited"]["status"]) == ("FalClientHTTPError", 504)
    assert seen["webhook"] == [True, "OK", ["jpeg"]]
    assert len(rows_of(books, "fal.run")) == 2  # a direct run that timed out was not tried again


def test_openrouter(mock: tuple[str, Path]) -> None:
    """Images plain and streamed, a film by its polling URL and its content, a signed callback."""
    origin, books = mock

    seen = seen_by("openrouter", origin)

    partial, completed = "image_generation.partial_image", "image_generation.completed"
    assert seen["plain"] == ["png", "png"]
    assert seen["stream"] == [[partial, "png"], [partial, "png"], [completed, "png"]]
    assert (seen["submitted"], seen["statuses"][-1], seen["content"]) == ("pending", "completed", "mp4")
    assert (seen["cost"], seen["video_cost"]) == (True, True)
    assert [seen[name]["status"] for name in ("blocked", "forbidden", "unknown")] == [400, 400, 404]
    assert seen["callback"] == ["video.generation.completed", True]
    assert rows_of(books, "openrouter.videos")[0]["delivered"] is True


def test_gemini(mock: tuple[str, Path]) -> None:
    """Pictures under both versions and streamed, a film by its operation, both filters, a key, a deadline."""
    origin, books = mock

    seen = seen_by("gemini", origin)

    assert (seen["content"], seen["v1"], seen["stream"]) == (["png"], ["png"], [["png"]])
    assert (seen["imagen"], seen["veo"], seen["veo_blocked"]) == (["png", "png"], [True, "mp4"], [True, 1])
    assert (seen["blocked"], seen["forbidden"]) == (
        "FinishReason.IMAGE_SAFETY",
        "BlockedReason.PROHIBITED_CONTENT",
    )
    assert (seen["wrong_key"]["class"], seen["wrong_key"]["status"]) == ("ClientError", 400)
    assert (seen["deadline"]["class"], seen["deadline"]["status"]) == ("ServerError", 504)
    assert [row["delivered"] for row in rows_of(books, "gemini.predictLongRunning")] == [True, False]
