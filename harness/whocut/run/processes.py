"""Processes of the run's own: started together, watched, and never left behind.

Each child runs in a session of its own, so that a Ctrl-C in the terminal reaches only the harness. The harness then
ends its children in good order. If the harness is killed, each child notices by itself: the mock by the end of
its standard input, which is a pipe, the load by its parent's number.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from whocut.errors import ChildDied
from whocut.path.fallen import ended_how
from whocut.redact import without_secrets

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

# How long, in real seconds, a child may take to end when asked politely before it is killed.
PATIENCE_REAL_S = 5.0


class Child:
    """One process, its name and its log file; `greeting` is how the line begins that it logs at its start."""

    def __init__(
        self, name: str, process: asyncio.subprocess.Process, log: Path, greeting: str | None = None
    ) -> None:
        self.name = name
        self._log = log
        self._greeting = greeting
        self._process = process

    @classmethod
    async def start(
        cls,
        name: str,
        arguments: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        stdout: int | None = None,
        greeting: str | None = None,
        with_secrets: bool = False,
    ) -> Child:
        """Start a Python module or script with this interpreter; its words go into `log`.

        Keys and tokens of the environment are left out, unless the child calls an endpoint (`with_secrets`).
        `-P`: a file of the working directory that is called like a module must not take its place.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=file if stdout is None else stdout,
                stderr=file,
                env={
                    **(os.environ if with_secrets else without_secrets(os.environ)),
                    **(environment or {}),
                },
                start_new_session=True,
            )
        return cls(name, process, log, greeting)

    async def line(self) -> bytes:
        """The next line of its standard output; empty when it has ended."""
        assert self._process.stdout is not None
        return await self._process.stdout.readline()

    @property
    def returncode(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.returncode

    async def wait(self) -> int:
        """Wait for its end."""
        return await self._process.wait()

    def ask_to_stop(self) -> None:
        """Ask it to end in good order."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    async def stop(self, patience_real_s: float = PATIENCE_REAL_S) -> None:
        """Ask it to end, wait, and kill its whole session if it does not."""
        if self._process.returncode is None:
            self.ask_to_stop()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), patience_real_s)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        if self._process.returncode is None:
            await self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()

    def last_words(self) -> str:
        """The last thing it said, for the end of a sentence; its greeting is not that."""
        lines = self._log.read_text(errors="replace").strip().splitlines() if self._log.is_file() else []
        said = lines[-1].strip() if lines else ""
        return (
            "" if not said or (self._greeting and said.startswith(self._greeting)) else f", saying '{said}'"
        )

    def died(self) -> ChildDied:
        """The error for an end that was not asked for, with the last thing it said."""
        code = self.returncode
        how = ended_how(code) if code and code < 0 else f"ended by itself with exit code {code}"
        return ChildDied(f"the {self.name} {how}{self.last_words()}")
