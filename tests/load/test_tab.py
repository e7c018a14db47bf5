"""What the tab in Locust's page is served: states, figures, reports; nothing but what runs have written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, Response

from whocut.load.tab.guard import TOKEN_VARIABLE
from whocut.load.tab.page import TITLE, add_tab
from whocut.load.tab.runs import ShownRuns, State

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flask.testing import FlaskClient


class FakeWebUI:
    """As much of Locust's web server as the tab touches."""

    host, port, tls_cert = "127.0.0.1", 8089, None

    def __init__(self, *, locked: bool = False) -> None:
        self.app = Flask(__name__)
        self.web_login = locked
        self.template_args: dict[str, Any] = {}
        self.locked = locked
        self.state = "running"
        self.app.add_url_rule(
            "/stats/requests", "locust.request_stats", lambda: {"state": self.state, "user_count": 3}
        )
        self.app.add_url_rule("/", "locust.index", lambda: "<html><body>Locust</body></html>")

    def auth_required_if_enabled(self, view: Callable[..., Response]) -> Callable[..., Response]:
        """Locust's own guard: with a login page, nobody comes in who is not known."""
        return (lambda **_: Response("who are you?", 401)) if self.locked else view


TOKEN = "a-token-of-some-length-for-a-page"


@pytest.fixture(autouse=True)
def known_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """The token of the page, as a program would set it."""
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)


def client_of(web_ui: FakeWebUI) -> FlaskClient:
    """A client that has the token."""
    client = web_ui.app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {TOKEN}"
    return client


def served(runs: ShownRuns, base_path: str | None = None) -> FlaskClient:
    """A client of a page with our tab."""
    web_ui = FakeWebUI()
    add_tab(web_ui, runs, base_path)
    return client_of(web_ui)


def ended(runs: ShownRuns, run_dir: Path) -> None:
    """One run that has come to its end, with a report."""
    run_dir.mkdir()
    (run_dir / "report.html").write_text("<p>the report</p>")
    run = runs.begin()
    run.run_dir = run_dir
    run.end(0, "")


def test_locust_is_told_of_the_tab_and_its_page_loads_the_script() -> None:
    """The tab is one of Locust's own; the script that fills it is the last thing in the page."""
    web_ui = FakeWebUI()

    add_tab(web_ui, ShownRuns(), None)

    assert [tab["title"] for tab in web_ui.template_args["extended_tabs"]] == [TITLE]
    page = client_of(web_ui).get("/").text
    assert page.endswith('<script src="./whocut/static/tab.js"></script></body></html>')


def test_tabs_of_others_are_kept() -> None:
    """Another plugin's tab stands before ours."""
    web_ui = FakeWebUI()
    web_ui.template_args["extended_tabs"] = [{"title": "theirs", "key": "theirs"}]

    add_tab(web_ui, ShownRuns(), None)

    assert [tab["title"] for tab in web_ui.template_args["extended_tabs"]] == ["theirs", TITLE]


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("ready", "ready"),
        ("spawning", "spawning"),
        ("running", "running"),
        ("cleanup", "running"),
        ("stopping", "running"),
        ("stopped", "stopped"),
    ],
)
def test_page_hears_of_a_running_test_until_it_has_stopped(state: str, told: str) -> None:
    """Locust's page asks no further once it hears of one that is being stopped, and a drain takes its time."""
    web_ui = FakeWebUI()
    web_ui.state = state
    add_tab(web_ui, ShownRuns(), None)

    answer = client_of(web_ui).get("/stats/requests")

    assert answer.json == {"state": told, "user_count": 3}


def test_before_the_first_test_there_is_no_run() -> None:
    """Idle: nothing to show, and nothing breaks."""
    assert served(ShownRuns()).get("/whocut/state.json").json == {"runs": [], "live": None}


def test_figures_are_the_live_judge_s_as_they_stand(tmp_path: Path) -> None:
    """What it wrote is passed on, of the last run only."""
    runs = ShownRuns()
    for number in (1, 2):
        run = runs.begin()
        run.state, run.run_dir = State.UNDER_LOAD, tmp_path
        (tmp_path / "live.json").write_text(json.dumps({"requests": number}))

    state = served(runs).get("/whocut/state.json").json

    assert state is not None
    assert state["live"] == {"requests": 2}
    assert [run["number"] for run in state["runs"]] == [1, 2]


@pytest.mark.parametrize(
    "content", [None, "", '{"requests": 1', "[1]"], ids=["none", "empty", "torn", "a list"]
)
def test_figures_that_cannot_be_read_are_none(tmp_path: Path, content: str | None) -> None:
    """A judge that has not written yet, or whose file was damaged, breaks nothing."""
    runs = ShownRuns()
    runs.begin().run_dir = tmp_path
    if content is not None:
        (tmp_path / "live.json").write_text(content)

    state = served(runs).get("/whocut/state.json")

    assert state.status_code == 200
    assert (state.json or {})["live"] is None


def test_run_whose_directory_is_gone_says_so(tmp_path: Path) -> None:
    """Somebody has cleaned up: the page tells, and the report is a 404 with a sentence."""
    runs = ShownRuns()
    ended(runs, tmp_path / "run")
    (tmp_path / "run" / "report.html").unlink()
    (tmp_path / "run").rmdir()
    client = served(runs)

    (run,) = (client.get("/whocut/state.json").json or {})["runs"]

    assert (run["gone"], run["report"]) == (True, False)
    assert client.get("/whocut/report/1").status_code == 404


def test_report_of_each_run_is_served_without_leave_to_run_scripts(tmp_path: Path) -> None:
    """By number, never by path; its policy lets nothing in from outside."""
    runs = ShownRuns()
    ended(runs, tmp_path / "one")
    ended(runs, tmp_path / "two")

    answer = served(runs).get("/whocut/report/1")

    assert answer.text == "<p>the report</p>"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src")


@pytest.mark.parametrize("asked", ["0", "3", "-1", "../../manifest.json", "1/../../x"])
def test_report_of_no_run_is_not_found(tmp_path: Path, asked: str) -> None:
    """Nothing but the reports of this page's runs can be asked for."""
    runs = ShownRuns()
    ended(runs, tmp_path / "one")

    assert served(runs).get(f"/whocut/report/{asked}").status_code == 404


def test_report_is_not_there_before_the_run_has_been_judged(tmp_path: Path) -> None:
    """An older run's report in a directory that is used again is not this run's."""
    runs = ShownRuns()
    ended(runs, tmp_path / "one")
    runs.all[0].state = State.JUDGING

    assert served(runs).get("/whocut/report/1").status_code == 404


def test_panel_and_its_parts_come_from_here_and_from_nowhere_else() -> None:
    """It works without the internet, and its policy forbids what is written inline."""
    client = served(ShownRuns())

    panel = client.get("/whocut/", buffered=True)
    parts = [
        client.get(f"/whocut/static/{name}", buffered=True) for name in ("panel.css", "panel.js", "tab.js")
    ]

    assert "script-src 'self'" in panel.headers["Content-Security-Policy"]
    assert [part.status_code for part in parts] == [200, 200, 200]
    for text in (panel.text, *(part.text for part in parts)):
        assert "http:" not in text
        assert "https:" not in text
        assert "innerHTML" not in text


def test_everything_stands_under_locust_s_base_path(tmp_path: Path) -> None:
    """`--web-base-path /load` moves the page, and our part of it."""
    runs = ShownRuns()
    ended(runs, tmp_path / "one")
    client = served(runs, "/load")

    found = [
        client.get(f"/load/whocut/{what}", buffered=True).status_code
        for what in ("", "state.json", "static/tab.js", "report/1")
    ]

    assert found == [200, 200, 200, 200]


@pytest.mark.parametrize("what", ["", "state.json", "report/1"])
def test_whoever_must_log_in_for_locust_s_page_must_for_ours(tmp_path: Path, what: str) -> None:
    """`--web-login` guards what a run has recorded."""
    runs = ShownRuns()
    ended(runs, tmp_path / "one")
    web_ui = FakeWebUI(locked=True)
    add_tab(web_ui, runs, None)

    assert web_ui.app.test_client().get(f"/whocut/{what}").status_code == 401
