"""Inside somebody's project whose folders are named like this repository's: its imports and ours both work.

The matrix: with and without `__init__.py`, by pytest, python -m pytest, python -m whocut and the project's program.
"""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pytest

from tests.plugin.test_wheel import THREE_LINES, python, run

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["python"]  # the fixture

FOLDERS = ("harness", "scenarios", "reports", "mock_upstream")
OWN_IMPORTS = "\n".join(f"from {folder}.mine import NAME as {folder.upper()}" for folder in FOLDERS)
OWN_TEST = f"""
{OWN_IMPORTS}


def test_own_imports():
    assert (HARNESS, SCENARIOS, REPORTS, MOCK_UPSTREAM) == {FOLDERS}
"""
STARTS = {"pytest": ("-P", "-m", "pytest"), "python -m pytest": ("-m", "pytest")}


@pytest.fixture(params=["packages", "plain folders"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A project with a folder of each name, an own module in each, and the README's test beside its own."""
    for folder in FOLDERS:
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(f"NAME = {folder!r}\n")
        if request.param == "packages":
            (tmp_path / folder / "__init__.py").write_text("")
    (tmp_path / "test_own.py").write_text(OWN_TEST)
    (tmp_path / "test_policy.py").write_text(THREE_LINES)
    return tmp_path


@pytest.mark.sockets
@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_pytest_runs_the_projects_tests_and_ours(python: Path, project: Path, start: tuple[str, ...]) -> None:
    """The plugin loads, the project imports its own modules, and the marker finds the shipped chain."""
    done = run(python, *start, "-p", "no:cacheprovider", cwd=project)

    assert "1 failed, 2 passed" in done.stdout, done.stdout + done.stderr
    assert "FAILED test_policy.py::test_default_sdk" in done.stdout


@pytest.mark.sockets
def test_the_command_line_finds_its_chains(python: Path, project: Path) -> None:
    """`python -m whocut check article` judges the shipped chain, whatever the folder around it is called."""
    done = run(python, "-m", "whocut", "check", "article", "--n", "1", "--mode", "plain", cwd=project)

    assert "nginx cuts 100% of requests" in done.stdout, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.sockets
def test_the_projects_own_program_imports_its_own(python: Path, project: Path) -> None:
    """A program that never heard of whocut imports its own folders as before."""
    done = run(python, "-c", f"{OWN_IMPORTS}\nprint(HARNESS, REPORTS)", cwd=project)

    assert done.stdout.split() == ["harness", "reports"], done.stderr


def test_the_wheel_brings_no_other_name(python: Path) -> None:
    """Every top-level name in site-packages begins with `whocut`."""
    (wheel,) = python.parents[2].glob("*.whl")

    names = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}

    assert {name for name in names if not name.startswith("whocut")} == set()
