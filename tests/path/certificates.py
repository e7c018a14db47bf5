"""A certificate for tests that need one, made by the `openssl` command; without it they are skipped."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


def certificate_in(folder: Path) -> Path:
    """A key and a self-made certificate for `localhost`, and no other name, in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed; on Debian: sudo apt-get install openssl")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem"
    command += " -out cert.pem -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_bytes((folder / "key.pem").read_bytes() + (folder / "cert.pem").read_bytes())
    return both
