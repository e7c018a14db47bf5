"""Real gateways in tests: skipped where they are missing, with what to install; on a CI machine none may be."""

from __future__ import annotations

import os
import shutil

import pytest

from whocut.path.gateways import GATEWAYS


def needed(name: str) -> None:
    """Skip where the gateway is missing; on a CI machine nothing may be missing."""
    gateway = GATEWAYS[name]
    if shutil.which(gateway.program, path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None:
        why = f"{gateway.program} is not installed; on Debian: sudo apt-get install {gateway.package}"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
