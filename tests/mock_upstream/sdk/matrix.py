"""Environments for the older major versions of the Python SDK and for other vendors', kept under build/sdk.

Usage: python -m tests.mock_upstream.sdk.matrix
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PYTHON_SDKS = {"1.x": "openai==1.109.1", "2.x": "openai==2.54.0"}
# The other vendors' SDKs, unchanged, in one environment; each dialect of the mock is driven by its own.
VENDOR_SDKS = ("google-genai==3.6.1", "fal-client==1.0.3", "replicate==1.0.7", "openrouter==1.3.84")
VENDORS = "vendors"
NODE_SDK = "openai@7.57.0"


def kept() -> Path:
    """Where they are kept."""
    return Path(__file__).parents[3] / "build" / "sdk"


def python_of(version: str) -> Path:
    """The interpreter of this version's environment."""
    return kept() / f"python-{version}" / "bin" / "python"


def vendors_python() -> Path:
    """The interpreter of the environment with the other vendors' SDKs."""
    return kept() / VENDORS / "bin" / "python"


def make() -> None:
    """Make every environment that is missing."""
    for version, package in PYTHON_SDKS.items():
        _make(python_of(version), (package,))
    _make(vendors_python(), VENDOR_SDKS)


def _make(python: Path, packages: Sequence[str]) -> None:
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(python.parents[1])], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *packages], check=True)


if __name__ == "__main__":
    make()
