"""The rules and the dashboard that ship with the watch know its metrics, and Prometheus' own tool accepts them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from whocut.watch.metrics import Metrics

WATCH = Path(__file__).parents[2] / "docs" / "watch"
STATE = (
    *(
        "spans",
        "log_lines",
        "unreadable_lines",
        "judged",
        "unfit",
        "late",
        "shed",
        "decided_early",
        "unnamed_lines",
        "unjoined_lines",
        "unknown_service_lines",
        "export_failed",
    ),
    *("open_traces", "held", "journal_bytes"),
)


def promtool() -> str:
    """Prometheus' tool, where it is installed."""
    found = shutil.which("promtool")
    if found is None:
        message = "promtool is not installed (Debian: prometheus)"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return found


def exposition() -> str:
    """Every metric there is, with awkward labels."""
    metrics = Metrics()
    metrics.cuts[('ed"ge\\\n', "idle", "", "proven")] = 3
    metrics.undelivered_usd = 0.1 + 0.2
    return metrics.exposition(dict.fromkeys(STATE, 0.0), {503: 1})


def test_what_ships_asks_for_metrics_that_there_are() -> None:
    """Rules, their test, the dashboard and the table name no other metric, and the table names each one."""
    there_are = {line.split(" ")[2] for line in exposition().splitlines() if line.startswith("# TYPE")}
    for name in ("rules.yml", "rules_test.yml", "dashboard.json", "README.md"):
        asked = set(re.findall(r"\bwhocut_\w+", (WATCH / name).read_text()))
        asked = {re.sub(r"_(?:bucket|sum|count)$", "", metric) for metric in asked}
        assert asked <= there_are, name
        if name == "README.md":
            assert there_are <= asked


def test_the_dashboard_is_one_that_grafana_imports() -> None:
    """Panels have ids of their own, places that do not overlap, and a data source that is chosen."""
    board = json.loads((WATCH / "dashboard.json").read_text())
    places = [
        (x, y)
        for panel in board["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    assert len(places) == len(set(places))
    assert {panel["datasource"]["uid"] for panel in board["panels"]} == {"${datasource}"}


def test_promtool_accepts_the_rules_and_what_they_do() -> None:
    """`check rules` and `test rules`."""
    for command in (("check", "rules", "rules.yml"), ("test", "rules", "rules_test.yml")):
        done = subprocess.run([promtool(), *command], cwd=WATCH, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_accepts_the_metrics() -> None:
    """`check metrics` reads the exposition and finds nothing to complain of."""
    done = subprocess.run(
        [promtool(), "check", "metrics"], input=exposition(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
