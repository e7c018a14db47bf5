"""Real gateways in tests: skipped where they are missing, with what to install; on a CI machine none may be."""

from __future__ import annotations

import os

import pytest

from whocut.path.gateways import GATEWAYS
from whocut.path.gateways.process import found


def needed(name: str) -> None:
    """Skip where the gateway is missing; on a CI machine nothing may be missing."""
    gateway = GATEWAYS[name]
    if found(gateway) is None:
        why = f"{gateway.program} is not installed. Install it with: {gateway.install}"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
