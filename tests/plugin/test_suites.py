"""The plugin in ordinary test suites: it works, or fails at once with a sentence; it never hangs."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.plugin.suites import ASK, CASES, Case

ROOT = Path(__file__).parents[2]
# Far more than any of them takes: what this bounds is a hang.
HANGS_REAL_S = 120


def run_case(case: Case, folder: Path, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    """Run a suite as a project does, with nothing of ours but the plugin."""
    for name, text in {"test_suite.py": ASK + case.text, **case.files}.items():
        (folder / name).write_text(text)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    return subprocess.run(
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:locust", *case.options, "."],
        cwd=folder,
        env=kept,
        capture_output=True,
        text=True,
        timeout=HANGS_REAL_S,
        check=False,
    )


def complaint(case: Case, ran: subprocess.CompletedProcess[str]) -> str | None:
    """What is not as the case says."""
    if case.says is None:
        return None if f"{case.tests} passed" in ran.stdout and ran.returncode == 0 else ran.stdout
    whole = " ".join(ran.stdout.split())
    return None if ran.returncode == 1 and case.says in whole else ran.stdout


@pytest.mark.sockets
@pytest.mark.parametrize("name", CASES)
def test_a_suite_works_or_is_told_what_to_use(name: str, tmp_path: Path) -> None:
    """Each kind of suite that can be run with what is installed."""
    case = CASES[name]
    missing = [module for module in case.modules if importlib.util.find_spec(module) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} are not here: make plugin-matrix")

    assert complaint(case, run_case(case, tmp_path)) is None
