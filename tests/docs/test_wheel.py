"""The wheel as it is built: `whocut triage` answers from it alone, as `uvx whocut triage` would run it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from tests.docs.blocks import ROOT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.sockets

PAGE = """HTTP/1.1 504 Gateway Time-out
Server: nginx/1.24.0

<html><head><title>504 Gateway Time-out</title></head>
<body><center><h1>504 Gateway Time-out</h1></center><hr><center>nginx/1.24.0</center></body></html>
"""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this tree, and laid out as pip lays it out."""
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("whocut-*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(folder / "site")
    return folder / "site"


def test_triage_answers_from_the_wheel(unpacked: Path, tmp_path: Path) -> None:
    """Not from the tree: the modules that it imports lie in the unpacked wheel."""
    script = (
        "import sys, whocut; sys.stderr.write(whocut.__file__); sys.argv = ['whocut', 'triage'];"
        "from whocut.__main__ import main; main()"
    )

    done = subprocess.run(
        [sys.executable, "-c", script],
        input=PAGE,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert str(unpacked) in done.stderr
    assert "cause:     timeout_chain: NGINX gave up" in done.stdout


def test_wheel_holds_the_page_s_own_files(unpacked: Path) -> None:
    """Templates, style and script, chains and scenarios; and no import name but those that begin with whocut."""
    reports = unpacked / "whocut_reports"

    for name in (
        "templates/report.html.j2",
        "templates/compare.html.j2",
        "static/page.css",
        "static/page.js",
    ):
        assert (reports / name).is_file()
    names = {path.name for path in unpacked.iterdir() if path.suffix != ".dist-info"}
    assert all(name.startswith("whocut") for name in names)


def test_wheel_holds_what_the_tree_has_under_version_control_and_nothing_else(unpacked: Path) -> None:
    """No cache, no run, no editor's file: each file is one of the tree's own, or the wheel's account of itself."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this tree is no clone: what belongs to it is not known")
    ours = {name.partition("/")[2] for name in listed.stdout.splitlines()}

    held = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()}

    strays = {name for name in held if ".dist-info/" not in name and _in_the_tree(name) not in ours}
    assert not strays
    assert {"whocut/py.typed", "whocut_mock/cli.py", "whocut_reports/static/page.js"} <= held


def _in_the_tree(name: str) -> str:
    """Where a file of the wheel lies below its folder of the tree: the scenarios lie in the package there."""
    return name.removeprefix("whocut/scenarios/")
