"""The vendors' official SDKs, unchanged, against the mock as a process, on both its clocks: see `FLOWS`.

OpenAI's is the one of this environment. The others run in an environment of their own, which
`python -m tests.mock_upstream.sdk.matrix` makes (the make target `sdk-matrix`).
"""

import json
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.docs.blocks import ROOT
from tests.mock_upstream.sdk.flows import FLOWS, table
from tests.mock_upstream.sdk.matrix import vendors_python
from tests.mock_upstream.test_process import process
from tests.mock_upstream.test_sdk import Seen, needed, run
from whocut_mock import ledger

pytestmark = pytest.mark.sockets

HERE = Path(__file__).parent / "sdk"
SETTINGS: dict[str, Any] = {
    "keys": {"revoked": {"state": "revoked"}},
    "faults": [
        {"fault": "job_fails", "when": {"prompt": "a work that fails"}},
        {"fault": "rate_limited=5", "when": {"prompt": "one request too many", "attempt": 1}},
    ],
}


class Clock(NamedTuple):
    """A clock of the mock, and how long a generation takes: in model seconds, and in seconds of the wall."""

    written: str
    model_s: float
    work_s: float


class Mock(NamedTuple):
    """A mock that runs, and its books."""

    origin: str
    books: Path
    work_s: float


@pytest.fixture(
    scope="module",
    params=[Clock("scaled:50", 50.0, 1.0), Clock("real", 2.0, 2.0)],
    ids=lambda one: one.written,
)
def mock(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mock]:
    """A mock on one of its clocks."""
    place = tmp_path_factory.mktemp("vendors")
    clock: Clock = request.param
    settings = SETTINGS | {"latency": {"constant_s": clock.model_s}}
    (place / "mock.yaml").write_text(json.dumps(settings))
    flags = ("--clock", clock.written, "--config", str(place / "mock.yaml"))
    with process(*flags, "--ledger", str(place / "ledger.jsonl")) as (_, ready):
        yield Mock(f"http://127.0.0.1:{ready['port']}", place / "ledger.jsonl", clock.work_s)


@lru_cache
def seen_by(name: str, origin: str, work_s: float) -> Seen:
    """What this vendor's SDK saw."""
    python = sys.executable
    if name not in {"openai", "azure"}:
        if not vendors_python().exists():
            needed("an environment with the other vendors' SDKs", "make sdk-matrix")
        python = str(vendors_python())
    return run(python, str(HERE / "vendors.py"), name, origin, str(work_s))


def rows_of(file: Path, endpoint: str) -> list[dict[str, Any]]:
    """The books of this endpoint."""
    return [row for row in ledger.read(file) if row["endpoint"] == endpoint]


def test_replicate(mock: Mock) -> None:
    """Held, outlasted, polled, cancelled, failed, told to a webhook whose signature its own helper accepts."""
    origin, books, work_s = mock

    seen = seen_by("replicate", origin, work_s)

    assert (seen["held"], seen["outlasted"], seen["several"]) == ("png", "png", ["webp", "webp"])
    assert seen["statuses"] in (["starting", "processing", "succeeded"], ["processing", "succeeded"])
    assert seen["cancelled"] == "canceled"
    for name in ("blocked", "forbidden"):
        assert seen[name]["class"] == "ModelError"
        assert "(E005)" in seen[name]["said"]
    assert seen["failed"]["class"] == "ModelError"
    assert [seen[name]["status"] for name in ("no_prompt", "unknown", "no_key", "too_many")] == [
        *(422, 404, 401, 429)
    ]
    assert (seen["listed"], seen["webhook"]) == (8, ["processing", "succeeded"])
    rows = rows_of(books, "replicate.predictions")
    fetched = [row for row in rows if row["delivered"]]
    assert len(fetched) == 3
    assert all(row["job"]["dialect"] == "replicate" for row in fetched)


def test_fal(mock: Mock) -> None:
    """Subscribed, handled by its URLs, cancelled, refused, run at once, limited by the caller's own header."""
    origin, books, work_s = mock

    seen = seen_by("fal", origin, work_s)

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
    assert seen["failed"]["class"] == "FalClientHTTPError"
    assert seen["too_many"] == ["jpeg"]  # its client tries a 429 again by itself
    assert [row["error_code"] for row in rows_of(books, "fal.queue") if row["status"] == 429] != []
    assert len(rows_of(books, "fal.run")) == 2  # a direct run that timed out was not tried again


def test_openrouter(mock: Mock) -> None:
    """Images plain and streamed, a film by its polling URL and its content, a signed callback."""
    origin, books, work_s = mock

    seen = seen_by("openrouter", origin, work_s)

    partial, completed = "image_generation.partial_image", "image_generation.completed"
    assert seen["plain"] == ["png", "png"]
    assert seen["stream"] == [[partial, "png"], [partial, "png"], [completed, "png"]]
    assert (seen["submitted"], seen["statuses"][-1], seen["content"]) == ("pending", "completed", "mp4")
    assert (seen["cost"], seen["video_cost"]) == (True, True)
    assert [seen[name]["status"] for name in ("blocked", "forbidden", "unknown")] == [400, 400, 404]
    assert [seen[name]["status"] for name in ("failed", "too_many")] == [500, 429]
    assert seen["video_failed"] == ["failed", True]
    assert seen["callback"] == ["video.generation.completed", True]
    assert rows_of(books, "openrouter.videos")[0]["delivered"] is True


def test_gemini(mock: Mock) -> None:
    """Pictures under both versions and streamed, a film by its operation, both filters, a key, a deadline."""
    origin, books, work_s = mock

    seen = seen_by("gemini", origin, work_s)

    assert (seen["content"], seen["v1"], seen["stream"]) == (["png"], ["png"], [["png"]])
    assert (seen["imagen"], seen["veo"], seen["veo_blocked"]) == (["png", "png"], [True, "mp4"], [True, 1])
    assert (seen["blocked"], seen["forbidden"]) == (
        "FinishReason.IMAGE_SAFETY",
        "BlockedReason.PROHIBITED_CONTENT",
    )
    assert (seen["wrong_key"]["class"], seen["wrong_key"]["status"]) == ("ClientError", 400)
    assert (seen["deadline"]["class"], seen["deadline"]["status"]) == ("ServerError", 504)
    assert [seen[name]["status"] for name in ("failed", "too_many")] == [500, 429]
    assert seen["veo_failed"] == [True, 13]
    assert [row["delivered"] for row in rows_of(books, "gemini.predictLongRunning")] == [True, False, False]


def test_openai(mock: Mock) -> None:
    """Background responses: polled, taken up again, cancelled, failed, refused; a believed callback."""
    origin, books, work_s = mock

    seen = seen_by("openai", origin, work_s)

    assert (seen["submitted"], seen["polled"]) == ("queued", ["completed", ["png"]])
    assert seen["stream"] == ["response.created", 1, "response.completed"]
    assert seen["cancelled"] == "cancelled"
    assert (seen["blocked"], seen["failed"][0]) == (["failed", "moderation_blocked"], "failed")
    assert [seen[name]["status"] for name in ("forbidden", "too_many")] == [400, 429]
    assert seen["webhook"] == ["response.completed", True]
    assert sum(row["delivered"] for row in rows_of(books, "responses")) == 2


def test_azure(mock: Mock) -> None:
    """Pictures by deployment, plain and streamed; both filters, a failure, a limit."""
    origin, _, work_s = mock

    seen = seen_by("azure", origin, work_s)

    assert seen["plain"] == ["png"]
    assert seen["stream"] == ["image_generation.partial_image", "image_generation.completed"]
    assert [seen[name]["status"] for name in ("blocked", "forbidden", "failed", "too_many")] == [
        *(400, 400, 500, 429)
    ]


@pytest.mark.parametrize("vendor", FLOWS)
def test_each_flow_of_the_table_was_driven_on_this_clock(mock: Mock, vendor: str) -> None:
    """What the table names was seen; what an SDK has not, the table says why."""
    seen = seen_by(vendor, mock.origin, mock.work_s)

    driven = [flow for flow, how in FLOWS[vendor].items() if not how.startswith("no: ")]
    missing = [flow for flow in driven if not all(name in seen for name in FLOWS[vendor][flow].split())]
    assert missing == []


def test_table_of_the_documentation_is_the_one_that_is_driven() -> None:
    """Flow by flow, with the reasons of those that an SDK has not."""
    assert table() in (ROOT / "docs" / "dialects.md").read_text(encoding="utf-8")
