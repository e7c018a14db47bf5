"""Every scenario by plain `locust -f`, without whocut's own command line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import has_finding
from tests.excused import unless_it_says_so
from whocut.run.scenario import read_scenario, shipped_scenarios

pytestmark = pytest.mark.sockets


def locust(folder: Path, scenario: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Locust as its users start it."""
    return subprocess.run(
        [sys.executable, "-m", "locust", "-f", str(scenario), "--headless", "--out", "run", *options],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name != "OPENAI_API_KEY"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


QUICK = ("image_generation", "moderation")  # many attempts, and one refusal; the others are `long`


@pytest.mark.parametrize(
    "name",
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.long)
        for name in sorted(shipped_scenarios())
    ],
)
def test_scenario_runs_by_plain_locust_and_is_judged(name: str, tmp_path: Path) -> None:
    """Its first mode, two requests: answered, attributed, held against the ledger, reported."""
    path = shipped_scenarios()[name]
    mode = read_scenario(path).default_modes[0]

    done = locust(tmp_path, path, "--users", "2", "--requests", "2", "--mode", mode, "--clock", "scaled:300")

    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert done.returncode == has_finding(summary), done.stderr  # a machine that stalls says so
    assert summary["scenario"] == name
    assert (summary["requests"], summary["censored"]) == (2, 0)
    assert list(summary["by_mode"]) == [mode]
    assert summary["agreement"]["checked"] == summary["attempts"] - summary["unattributed"]
    assert f"{mode}:" in done.stdout
    assert (tmp_path / "run" / "report.html").is_file()
    with unless_it_says_so(summary):
        assert summary["agreement"]["disagree"] == []


def test_broken_threshold_is_locust_s_exit_code_one(tmp_path: Path) -> None:
    """A pipeline that runs Locust sees it."""
    path = shipped_scenarios()["timeout_chain"]

    done = locust(tmp_path, path, "--requests", "1", "--mode", "low", "--want", "p50_s<1,delivered>=1")

    assert done.returncode == 1, done.stderr
    assert "broken thresholds: p50_s<1" in done.stderr


def test_mistake_is_one_sentence_and_exit_code_two(tmp_path: Path) -> None:
    """Locust ends at once, with the sentence whocut itself would say."""
    done = locust(tmp_path, shipped_scenarios()["image_generation"], "--chain", "artcle")

    assert done.returncode == 2, done.stderr
    assert "did you mean 'article'" in done.stderr
    assert "Traceback" not in done.stderr


def test_run_time_ends_the_load_and_counts_what_was_in_flight(tmp_path: Path) -> None:
    """Stopped by Locust's own --run-time: drained up to the bound, judged, and said."""
    path = shipped_scenarios()["image_generation"]

    done = locust(
        tmp_path, path, "--users", "3", "--requests", "500", "--mode", "no-retry", "--run-time", "24s"
    )

    assert done.returncode == 3, done.stderr
    assert "of 500 orders were answered, and what was recorded is in" in done.stderr
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert 0 < summary["requests"] < 500
    assert summary["censored"] == 0


def test_run_time_that_is_over_before_the_load_begins_is_said(tmp_path: Path) -> None:
    """Locust alone would end with exit code 0, as if all had gone well."""
    path = shipped_scenarios()["image_generation"]

    done = locust(tmp_path, path, "--users", "1", "--requests", "2", "--run-time", "1s")

    assert done.returncode == 3, done.stderr
    assert "whocut: the test was ended before upstream and chain were ready; no image" in done.stderr


def test_user_s_own_locust_file_is_found_by_its_path(tmp_path: Path) -> None:
    """A copy changed in a minute, in a directory of one's own."""
    text = shipped_scenarios()["timeout_chain"].read_text(encoding="utf-8")
    mine = tmp_path / "my_question.py"
    mine.write_text(text.replace('"low": "', '"mine": "').replace('"low"', '"mine"'), encoding="utf-8")

    done = locust(tmp_path, mine, "--requests", "2", "--mode", "mine", "--clock", "scaled:300")

    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert done.returncode == has_finding(summary), done.stderr
    assert summary["scenario"] == "my_question"


def test_plain_locust_goes_to_an_endpoint_with_a_budget_only(tmp_path: Path) -> None:
    """The same consent as `whocut run` asks for: without it nothing starts, and the mock's key is not taken."""
    path = shipped_scenarios()["image_generation"]
    url = "https://images.invalid/v1"

    unasked = locust(tmp_path, path, "--to", url)
    keyless = locust(
        tmp_path, path, "--to", url, "--budget-usd", "1", "--new-account", "--account", "a.jsonl"
    )

    assert (unasked.returncode, keyless.returncode) == (2, 2)
    assert "say with --budget-usd how much its account may come to" in unasked.stderr
    assert "--to needs a key" in keyless.stderr
    assert not (tmp_path / "a.jsonl").exists()


MISTAKEN = """
from whocut.load import ImageUser

SCENARIO = {"chain": "direct", "modes": {"plain": "none"}, "users": 2, "requests": 3}


class Mistaken(ImageUser):
    def ask(self, client, order):
        client.images.genrate(prompt=order.prompt)
"""


@pytest.mark.parametrize("way", ["locust", "whocut", "workers"])
def test_mistake_in_a_scenario_s_code_ends_the_run_with_its_line(tmp_path: Path, way: str) -> None:
    """Not a timeout, not an endless run: exit 2, one sentence, the file and the line."""
    mine = tmp_path / "mine.py"
    mine.write_text(MISTAKEN)

    if way == "locust":
        done = locust(tmp_path, mine)
    else:
        words = [sys.executable, "-m", "whocut", "run", "mine.py", "--out", "run"]
        words += ["--processes", "2"] if way == "workers" else []
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 2, done.stderr
    assert (
        done.stderr.count("mine.py:9: the scenario failed before its request went out: AttributeError") == 1
    )


def test_locust_s_host_is_an_endpoint_and_needs_consent(tmp_path: Path) -> None:
    """Whoever is used to --host must not spend money by it: exit 2, and how to consent."""
    done = locust(tmp_path, shipped_scenarios()["image_generation"], "--host", "http://127.0.0.1:9/v1")

    assert done.returncode == 2, done.stderr
    assert "--budget-usd" in done.stderr


NO_SCENARIOS = {
    "no class": ("x = 1", r"mine\.py: Locust found no scenario in it"),
    "not importable": (
        "\nimport nothing_of_that_name",
        r"mine\.py:2: it cannot be imported: ModuleNotFoundError",
    ),
    "somebody else's user": (
        "from locust import HttpUser, task\nclass A(HttpUser):\n    @task\n    def t(self): pass",
        r"mine\.py: a scenario has one user class, .* this one has A",
    ),
    "no ask": (
        "from whocut.load import ImageUser\nclass A(ImageUser): pass",
        r"mine\.py: A has no ask\(self, client, order\)",
    ),
    "on_start fails": (
        """from whocut.load import ImageUser
class A(ImageUser):
    def ask(self, *_): pass
    def on_start(self): raise ValueError('boom')""",
        r"mine\.py:4: the scenario failed before its request went out: ValueError: boom",
    ),
}


@pytest.mark.parametrize("name", NO_SCENARIOS)
def test_file_that_is_no_scenario_is_refused_and_nothing_hangs(tmp_path: Path, name: str) -> None:
    """Exit 2, one sentence with the file; and files called like modules beside it take nobody's place."""
    text, says = NO_SCENARIOS[name]
    (tmp_path / "mine.py").write_text(text)
    (tmp_path / "http.py").write_text("raise RuntimeError")
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "__init__.py").write_text("")

    done = subprocess.run(
        [Path(sys.executable).with_name("whocut"), "run", "mine.py", "--out", "run"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2, done.stderr
    assert re.search(says, done.stderr)
    assert "Traceback" not in done.stderr


def test_scenario_that_sends_nothing_says_so(tmp_path: Path) -> None:
    """Orders without a request are no success: the run is marked invalid, with their number."""
    (tmp_path / "mine.py").write_text(
        "from whocut.load import ImageUser\nclass A(ImageUser):\n    def ask(self, *_): pass"
    )

    locust(tmp_path, tmp_path / "mine.py", "--requests", "3", "--mode", "plain")

    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["valid"] is False
    assert "for 3 of 3 orders the scenario sent no request at all; see its ask()" in summary["warnings"]


def test_error_after_the_image_came_is_said_with_its_place(tmp_path: Path) -> None:
    """What a scenario does with its image is its own; that it failed there must not be lost among the delivered."""
    path = tmp_path / "mine.py"
    path.write_text(
        "from whocut.load import ImageUser, wanted\n"
        "SCENARIO = {'chain': 'direct', 'run': ['plain']}\n"
        "class Mine(ImageUser):\n"
        "    def ask(self, client, order):\n"
        "        client.images.generate(**wanted(self.session.topology.upstream, order))\n"
        "        raise KeyError('after')\n"
    )

    done = locust(tmp_path, path, "--requests", "3", "--users", "2")

    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (done.returncode, summary["outcomes"]) == (1, {"delivered": 3})
    assert any(
        warning.startswith("for 3 of 3 orders ask() raised an error after its image had come; the first: ")
        and warning.endswith("mine.py:6: KeyError: 'after'")
        for warning in summary["warnings"]
    )
