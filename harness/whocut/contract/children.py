"""Child processes for a sync client: each check has one, forked from a process that has loaded the client.

So a client's waits can be shortened, which is done to a whole process, and its packages are loaded once.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from whocut.contract.client import API_KEY
from whocut.stage.pace import preloaded

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from whocut.stage.pace import Pace


class Child:
    """One process that asks for images, and what it tells."""

    def __init__(self, process: int, answer: Path) -> None:
        self._process = process
        self._answer = answer

    @property
    def over(self) -> bool:
        """Whether it has answered, or is no more."""
        try:
            os.kill(self._process, 0)
        except ProcessLookupError:
            return True
        return self._answer.exists()

    def told(self) -> dict[str, Any] | None:
        """What it answered: `results`, `parts`, `log`; None where it ended without an answer."""
        return json.loads(self._answer.read_text()) if self._answer.exists() else None

    def end(self) -> None:
        """End it, and all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process, signal.SIGKILL)


class Children:
    """A process that has loaded the client, and forks; a context, to be entered before the first order.

    `loads` is False where the client cannot be loaded there.
    """

    def __init__(self, client: str, library: Path) -> None:
        self._library = library
        self._folder = tempfile.TemporaryDirectory(prefix="whocut-policy-")
        self._turn = threading.Lock()
        self._orders = 0
        self._process = subprocess.Popen(  # this Python, on a file of ours
            [sys.executable, "-m", "whocut.contract.child"],
            env={**os.environ, **preloaded(library), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.loads = self._say({"path": sys.path, "client": client}) == "ready"

    def begin(
        self, base_url: str, asks: Sequence[dict[str, Any]], pace: Pace, *, check: str, listen: bool
    ) -> Child:
        """Fork a process that asks for these images, each in a thread; the check's id is the seed of its chance."""
        with self._turn:
            self._orders += 1
            answer = Path(self._folder.name) / f"{self._orders}.json"
            order = {
                "base_url": base_url,
                "api_key": API_KEY,
                "asks": list(asks),
                "check": check,
                "library": str(self._library),
                "page": str(pace.path),
                "answer": str(answer),
                "listen": listen,
            }
            return Child(int(self._say(order)), answer)

    def _say(self, order: dict[str, Any]) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return ""
        while True:
            # What the client's module prints while it is imported comes before.
            line = self._process.stdout.readline()
            if not line or line.strip() == "ready" or line.strip().isdigit():
                return line.strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._process:
            self._process.kill()
        self._folder.cleanup()
