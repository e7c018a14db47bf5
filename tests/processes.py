"""Looking at other processes in tests: by a mark in their environment, and waiting for what they do."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import Request

import pytest

from whocut.clock.clock import pause, wall_s

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MARK = "WHOCUT_TEST_MARK"


def doors(ready: Mapping[str, Any], door: str) -> Request:
    """A request to one of the mock's own doors, as its ready line says where and with what."""
    return Request(
        f"http://127.0.0.1:{ready['control_port']}/_mock/{door}",
        headers={"x-mock-token": ready["control_token"]},
    )


def wait_until(happened: Callable[[], object]) -> None:
    """Look until it is so; a minute is too long."""
    until = wall_s() + 60
    while not happened():
        assert wall_s() < until, "it did not happen within a minute"
        pause(0.05)


def processes(mark: str, command: str = "") -> list[int]:
    """Processes whose environment carries the mark and whose command line holds `command`."""
    if not Path("/proc").is_dir():
        pytest.skip("needs /proc to look at processes")
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            with suppress(OSError):
                marked = f"{MARK}={mark}".encode() in (process / "environ").read_bytes()
                line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if marked and command in line:
                    found.append(int(process.name))
    return found


NEEDS_PS = pytest.mark.skipif(
    shutil.which("pgrep") is None and os.environ.get("CI") != "true",
    reason="ps and pgrep are not installed. Install them with: apt-get install procps",
)


def children_of(pid: int) -> list[int]:
    """The processes that one has started."""
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return sorted(int(line) for line in found.stdout.split())
