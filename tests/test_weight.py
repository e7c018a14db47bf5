"""What the core needs: no package of an extra, and little room on the disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parents[1]
LOGS = ROOT / "tests" / "data" / "logs"
# Of the 150 MiB of a fresh environment, pip and setuptools take 28 and whocut itself 7.
MOST_BYTES = 115 * 1024**2
BLOCK_BYTES = 4096
EXTRAS = ("numpy", "scipy", "matplotlib", "jinja2", "locust", "gevent", "uvloop", "respx", "redis")
# Python runs a `sitecustomize` before everything else, in each child too.
REFUSE = f"""
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {EXTRAS!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Refuse())
"""


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """The environment of a Python that finds none of the extras' packages."""
    (tmp_path / "sitecustomize.py").write_text(REFUSE)
    return {**os.environ, "PYTHONPATH": str(tmp_path), "COLUMNS": "110"}


@pytest.mark.parametrize("package", EXTRAS)
def test_the_bare_python_refuses_what_the_extras_bring(bare: dict[str, str], package: str) -> None:
    """Else the tests below would prove nothing."""
    done = subprocess.run(
        [sys.executable, "-c", f"import {package}"], env=bare, capture_output=True, text=True, check=False
    )

    assert f"ModuleNotFoundError: No module named '{package}'" in done.stderr


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        ("--help", 0, "Which layer cut the request?"),
        (f"triage {ROOT}/tests/data/pages/envoy-timeout.txt", 0, "Envoy"),
        ("presets nginx", 0, "proxy_read_timeout"),
        ("check article --n 5 --mode plain --fix", 1, "heartbeat"),
        (f"attribute --logs nginx={LOGS}/nginx.log --logs nginx={LOGS}/nginx-error.log", 0, "nginx says"),
        ("policy whocut.client:async_reference --check never-quota", 0, "never-quota"),
    ],
)
def test_a_command_of_the_core_needs_no_extra(
    bare: dict[str, str], tmp_path: Path, command: str, code: int, says: str
) -> None:
    """It answers where none of their packages can be imported."""
    done = subprocess.run(
        [sys.executable, "-m", "whocut", *command.split()],
        env=bare,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )

    assert done.returncode == code, done.stderr
    assert says in done.stdout


@pytest.mark.sockets
def test_the_mock_needs_no_extra(bare: dict[str, str], tmp_path: Path) -> None:
    """It starts, draws its pictures, says where it serves, and stops when nobody listens to it any more."""
    with subprocess.Popen(
        [sys.executable, "-m", "whocut", "upstream", "--port", "0"],
        env=bare,
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as mock:
        try:
            assert mock.stdout is not None
            said = json.loads(mock.stdout.readline())
        finally:
            mock.terminate()
        _, errors = mock.communicate(timeout=60)

    assert said["port"] > 0
    assert "Traceback" not in errors


def test_what_the_core_installs_is_small() -> None:
    """Its dependencies and theirs, by what their files take on the disk."""
    found = closure(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"])

    sizes = {name: on_disk_bytes(name) for name in found}

    assert not found & set(EXTRAS)
    assert sum(sizes.values()) < MOST_BYTES, sizes


def closure(written: Iterable[str]) -> set[str]:
    """The names of these requirements and of all that they need."""
    found: set[str] = set()
    still = [(Requirement(each), "") for each in written]
    while still:
        requirement, extra = still.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        first = name not in found
        found.add(name)
        needs = [Requirement(each) for each in distribution(name).requires or ()]
        for mine in ("", *sorted(requirement.extras)) if first else sorted(requirement.extras):
            still.extend((need, mine) for need in needs)
    return found


def on_disk_bytes(name: str) -> int:
    """Whole blocks, as `du` counts."""
    files = [Path(str(file.locate())) for file in distribution(name).files or ()]
    return sum(-(-file.stat().st_size // BLOCK_BYTES) * BLOCK_BYTES for file in files if file.exists())
