"""openai-python's own image tests: all 100 pass with --lenient, and strict exactly the 25 known ones fail.

They need a checkout of openai/openai-python: OPENAI_PYTHON_CHECKOUT=PATH (the make target `sdk-suite`). Its
environment is made once and kept under build/sdk.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mock_upstream.sdk.matrix import kept
from tests.mock_upstream.test_process import process

pytestmark = pytest.mark.sockets

CHECKOUT = os.environ.get("OPENAI_PYTHON_CHECKOUT")
TOOLS = ["pytest>=9.0.3", "pytest-asyncio>=1.4.0", "pytest-xdist", "rich", "aiohttp", "multidict", "yarl"]


@pytest.fixture(scope="module")
def suite() -> tuple[Path, Path]:
    """The checkout, and an interpreter that has it installed with what its tests need."""
    if CHECKOUT is None:
        pytest.skip("no checkout of openai-python is named: OPENAI_PYTHON_CHECKOUT=PATH make sdk-suite")
    python = kept() / "suite" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(python.parents[1])], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", CHECKOUT, *TOOLS], check=True)
    return Path(CHECKOUT), python


def run(suite: tuple[Path, Path], *flags: str) -> tuple[int, list[str]]:
    """How many cases passed, and the names of those that failed."""
    checkout, python = suite
    with process("--clock", "scaled:1000", *flags) as (_, ready):
        done = subprocess.run(
            [str(python), "-m", "pytest", "tests/api_resources/test_images.py", "-n", "0", "-q", "-rf",
             "-p", "no:cacheprovider"],
            cwd=checkout,
            env={**os.environ, "TEST_API_BASE_URL": f"http://127.0.0.1:{ready['port']}/v1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )  # fmt: skip
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None, done.stdout[-2000:]
    return int(passed[1]), re.findall(r"^FAILED .*::(\w+)\[", done.stdout, re.MULTILINE)


def test_lenient_passes_everything(suite: tuple[Path, Path]) -> None:
    """With --lenient all 100 cases pass."""
    assert run(suite, "--lenient") == (100, [])


def test_strict_fails_the_known_ones(suite: tuple[Path, Path]) -> None:
    """Strict, the 25 cases fail that send what GPT image models refuse, and no others."""
    passed, failed = run(suite)

    assert (passed, len(failed)) == (75, 25)
    assert all("_with_all_params" in name for name in failed)
