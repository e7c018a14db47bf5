"""Real gateways in tests: skipped where they are missing, with what to install; on a CI machine none may be."""

from __future__ import annotations

import os

import pytest

from whocut.path.gateways import GATEWAYS
from whocut.path.gateways.process import found


def marks_of(name: str, *, daily: bool = False) -> list[pytest.MarkDecorator]:
    """LiteLLM loads for ten seconds of a processor each time: few of its tests run every day, and all have time."""
    if name != "litellm":
        return []
    return [pytest.mark.timeout(900), *([] if daily else [pytest.mark.long])]


def needed(name: str) -> None:
    """Skip where the gateway is missing; on a CI machine nothing may be missing."""
    gateway = GATEWAYS[name]
    if found(gateway) is None:
        why = f"{gateway.program} is not installed. Install it with: {gateway.install}"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
