"""The three lines of the README in an empty directory, with the wheel and pytest, and nothing else of ours."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

THREE_LINES = """
import contextlib

import openai
import pytest
from whocut.client import async_reference


@pytest.mark.whocut(chain="edge-60")
async def test_default_sdk(whocut_chain):
    client = openai.AsyncOpenAI(base_url=whocut_chain.base_url, api_key="sk-test")
    with contextlib.suppress(openai.APIError):
        await client.images.generate(model="gpt-image-2", prompt="a cat", quality="high")
    whocut_chain.assert_billed_once()


@pytest.mark.whocut(chain="edge-60")
async def test_reference(whocut_chain):
    client = async_reference(base_url=whocut_chain.base_url, api_key="sk-test")
    with contextlib.suppress(openai.APIError):
        await client.images.generate(model="gpt-image-2", prompt="a cat", quality="high")
    whocut_chain.assert_billed_once()
"""


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a program and keep what it says."""
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that has the wheel, and of this environment only what the wheel depends on."""
    place = tmp_path_factory.mktemp("wheel")
    built = run(
        sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
        "--wheel-dir", place, ROOT, cwd=place,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    made = run(sys.executable, "-m", "venv", "--without-pip", place / "venv", cwd=place)
    assert made.returncode == 0, made.stderr
    (packages,) = (place / "venv").glob("lib/python*/site-packages")
    (wheel,) = place.glob("*.whl")
    installed = run(
        sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", packages, wheel, cwd=place
    )
    assert installed.returncode == 0, installed.stderr
    # A path in a .pth is searched after the wheel's, and its own .pth, the editable install's, is not read.
    (packages / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"])
    return place / "venv" / "bin" / "python"


@pytest.mark.sockets
def test_three_lines_in_an_empty_project(python: Path, tmp_path: Path) -> None:
    """They fail on the default SDK, with a drawing of why, and pass on the reference client."""
    (tmp_path / "test_policy.py").write_text(THREE_LINES)

    done = run(python, "-m", "pytest", "-p", "no:cacheprovider", "test_policy.py", cwd=tmp_path)

    assert "1 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    assert "FAILED test_policy.py::test_default_sdk" in done.stdout
    assert "request-1 is billed three times ($0.63), and no image was delivered" in done.stdout
    assert "cut: maxDuration 60 s" in done.stdout
    assert str(ROOT) not in done.stdout


@pytest.mark.sockets
def test_the_wheel_holds_its_data_files(python: Path, tmp_path: Path) -> None:
    """Chains, presets and rules came along."""
    code = (
        "from whocut.client.prompt_check import read_rules; from whocut.chain.shipped import CHAINS; "
        "print(len(read_rules()), (CHAINS / 'edge-60.yaml').is_file())"
    )

    assert run(python, "-c", code, cwd=tmp_path).stdout.split() == ["8", "True"]
