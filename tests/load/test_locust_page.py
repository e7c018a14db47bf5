"""Plain `locust` with its page and two workers, driven as the page drives it: by its own addresses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.parse
import urllib.request
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from tests.load.test_tab_in_browser import agree, plain_locust
from tests.processes import NEEDS_PS
from whocut.clock.clock import pause, wall_s
from whocut.load.tab.guard import TOKEN_VARIABLE
from whocut.path.ports import held_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.sockets, pytest.mark.xdist_group("browser")]

TOKEN = "a-token-of-some-length-for-a-page"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(autouse=True)
def known_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """The token of the page, which Locust inherits."""
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)


class Page:
    """Locust's page without a browser."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.until(lambda: "templateArgs" in self.get("/"))

    def get(self, path: str) -> str:
        """What stands at an address; nothing while nobody listens yet."""
        asked = urllib.request.Request(self.url + path, headers=HEADERS)
        with suppress(OSError), urllib.request.urlopen(asked, timeout=30) as answer:
            text: str = answer.read().decode()
            return text
        return ""

    def post(self, path: str, **form: object) -> None:
        """Press a button."""
        data = urllib.parse.urlencode(form).encode()
        asked = urllib.request.Request(self.url + path, data=data, headers=HEADERS)
        with urllib.request.urlopen(asked, timeout=60) as answer:
            assert answer.status == 200

    @property
    def state(self) -> dict[str, Any]:
        """What the tab shows."""
        state: dict[str, Any] = json.loads(self.get("/whocut/state.json"))
        return state

    @property
    def run(self) -> dict[str, Any]:
        """The last run."""
        runs: list[dict[str, Any]] = self.state["runs"]
        return runs[-1] if runs else {"state": None}

    def judged(self) -> int:
        """How many requests of the last run have been judged."""
        state = self.state
        live = state["live"] if state["runs"][-1]["state"] == "under load" else None
        return int(live["requests"]) if live else 0

    def until(self, happened: Callable[[], object]) -> None:
        """Wait for it."""
        until = wall_s() + 60
        while not happened():
            assert wall_s() < until, self.get("/whocut/state.json")
            pause(0.1)


def test_workers_are_ready_for_a_second_test_and_no_run_is_lost(tmp_path: Path) -> None:
    """Start, stop, start: each a run of its own, judged live as in the end; nobody calls a stop a lost worker."""
    with held_port() as port, plain_locust(tmp_path, *_workers(port)) as url:
        page = Page(url)
        assert '"whocut_chain"' in page.get("/")  # our options stand in the start form
        for number in (1, 2):
            page.until(lambda: json.loads(page.get("/worker-count"))["worker_count"] == 2)
            page.post("/swarm", user_count=4, spawn_rate=100, whocut_requests=500, whocut_mode="no-retry")
            page.until(lambda: page.judged() >= 4)
            assert page.run["number"] == number
            page.post("/stop")
            page.until(lambda: page.run["state"] == "ended")

    for name in ("image_generation-article", "image_generation-article-2"):
        live, end = agree(tmp_path / "runs" / name)
        assert live == end
        assert live["requests"] >= 4
        summary = json.loads((tmp_path / "runs" / name / "summary.json").read_text())
        assert not any("worker" in warning for warning in summary["warnings"])


@NEEDS_PS
def test_page_says_what_became_of_a_killed_harness_and_starts_another_test(tmp_path: Path) -> None:
    """Whatever stands around the load is gone: the test ends, the page does not."""
    with plain_locust(tmp_path) as url:
        page = Page(url)
        page.post("/swarm", user_count=2, spawn_rate=100, whocut_requests=500)
        page.until(lambda: page.run["state"] == "under load")

        os.kill(_standing(page.run["run_dir"]), signal.SIGKILL)
        page.until(lambda: page.run["state"] == "ended")
        said = page.run
        page.post("/swarm", user_count=2, spawn_rate=100, whocut_requests=500)
        page.until(lambda: page.run["number"] == 2 and page.run["state"] == "under load")

    assert "ended by signal 9" in said["sentence"]
    assert said["exit_code"] == 3


def _workers(port: int) -> tuple[str, ...]:
    """Two of them, whose master listens there."""
    return ("--processes", "2", "--master-port", str(port), "--master-bind-port", str(port))


def _standing(run_dir: str) -> int:
    """The process that holds this run's files open for writing, by its live judge's parent."""
    listed = subprocess.run(
        ["ps", "-ww", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    )
    rows = [line.split(None, 2) for line in listed.stdout.splitlines()]
    (parent,) = {int(row[1]) for row in rows if "whocut.run.live" in row[2] and row[2].endswith(run_dir)}
    return parent
