"""Environments for the older major versions of the Python SDK, made once and kept under build/sdk.

Usage: python -m tests.mock_upstream.sdk.matrix
"""

import subprocess
import sys
from pathlib import Path

PYTHON_SDKS = {"1.x": "openai==1.109.1", "2.x": "openai==2.54.0"}
NODE_SDK = "openai@7.57.0"


def kept() -> Path:
    """Where they are kept."""
    return Path(__file__).parents[3] / "build" / "sdk"


def python_of(version: str) -> Path:
    """The interpreter of this version's environment."""
    return kept() / f"python-{version}" / "bin" / "python"


def make() -> None:
    """Make every environment that is missing."""
    for version, package in PYTHON_SDKS.items():
        python = python_of(version)
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(python.parents[1])], check=True)
            subprocess.run([str(python), "-m", "pip", "install", "--quiet", package], check=True)


if __name__ == "__main__":
    make()
