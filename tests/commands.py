"""whocut as a user runs it: a command of its own, in a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def python(*arguments: str, cwd: Path, key: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a module with this interpreter, to its end; `key` is the environment's OPENAI_API_KEY."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=cwd,
        env={**os.environ, **({"OPENAI_API_KEY": key} if key else {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def whocut(
    *arguments: str, cwd: Path, check: int | None = 0, key: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command of whocut, and hold it to its exit code; None takes any."""
    done = python("whocut", *arguments, cwd=cwd, key=key)
    assert check is None or done.returncode == check, done.stderr
    return done


def has_finding(summary: Mapping[str, Any]) -> bool:
    """Whether a run says itself that it is no success: a machine that stalled, or no request delivered."""
    return not summary.get("valid", True) or bool(summary.get("unusable"))
