"""Machines of one network for a test: network namespaces, each with an address of its own, joined by a bridge.

They share this machine's disk and clock, and nothing of its network: a loopback is each one's own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Machine:
    """One of them."""

    name: str
    address: str

    def start(self, *words: str, cwd: Path, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """Start a program on it."""
        return subprocess.Popen(
            ["ip", "netns", "exec", self.name, *words],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def pull_the_cable(self) -> None:
        """From now on nothing reaches it, and it reaches nothing; no connection of it ends."""
        _ip("-n", self.name, "link", "set", "cable", "down")


@contextmanager
def machines(count: int) -> Iterator[list[Machine]]:
    """So many of them, until the test is over."""
    _need_namespaces()
    prefix = f"whocut{os.getpid()}-"
    switch = f"{prefix}switch"
    made: list[str] = []
    try:
        _ip("netns", "add", switch)
        made.append(switch)
        _ip("-n", switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", switch, "link", "set", "bridge", "up")
        found = []
        for number in range(1, count + 1):
            machine = Machine(f"{prefix}{number}", f"10.99.7.{number}")
            _ip("netns", "add", machine.name)
            made.append(machine.name)
            there = ("peer", "name", "cable", "netns", machine.name)
            _ip("-n", switch, "link", "add", f"port{number}", "type", "veth", *there)
            _ip("-n", switch, "link", "set", f"port{number}", "master", "bridge", "up")
            _ip("-n", machine.name, "addr", "add", f"{machine.address}/24", "dev", "cable")
            for name in ("lo", "cable"):
                _ip("-n", machine.name, "link", "set", name, "up")
            found.append(machine)
        yield found
    finally:
        for name in reversed(made):
            _ip("netns", "del", name)


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"


def _need_namespaces() -> None:
    """Skip where none can be made; on a CI machine the program that makes them may not be missing."""
    if shutil.which("ip") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("iproute2 is not installed, and on a CI machine nothing may be missing")
        pytest.skip("iproute2 is not installed: apt-get install iproute2")
    name = f"whocut{os.getpid()}-try"
    tried = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"no network namespace can be made here, as root can: {tried.stderr.strip()}")
    done: Any = subprocess.run(
        ["ip", "-n", name, "link", "add", "bridge", "type", "bridge"],
        capture_output=True,
        text=True,
        check=False,
    )
    _ip("netns", "del", name)
    if done.returncode:
        pytest.skip(f"no bridge can be made in a network namespace here: {done.stderr.strip()}")
