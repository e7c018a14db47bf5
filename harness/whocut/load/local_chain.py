"""The chain and the mock of one worker, on its own machine, and the way of their records to the master.

They are a child process with a folder of its own (`whocut.run.local`). Attempts, spans and the ledger are written
there as on the machine of the run, and sent on as they grow.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Self

import orjson

from whocut.clock.clock import pause, wall_s
from whocut.errors import CouldNotRun
from whocut.redact import without_secrets
from whocut.trace.follow import Follower
from whocut.trace.rundir import ATTEMPTS, LEDGER, SPANS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from whocut.clock import Clock

_AT_MOST_BYTES: Final = 4_000_000  # of each file, in one word
_LOOK_EVERY_REAL_S: Final = 0.05
_KEPT_WORDS: Final = 500
_MOST_SAID_BYTES: Final = 1_000_000


class LocalChain:
    """It serves from its making to its `end`."""

    def __init__(self, child: subprocess.Popen[bytes], words: IO[bytes], run_dir: Path) -> None:
        self.run_dir = run_dir
        self.stall_real_s: float | None = None  # of its layers' loop at worst; known at its end
        self._child = child
        self._words = words
        self._files = {name: Follower(run_dir / name) for name in (ATTEMPTS, SPANS, LEDGER)}
        self._ending = False

    @classmethod
    def start(cls, manifest: Mapping[str, Any], clock: Clock, environ: Mapping[str, str]) -> Self:
        """Start it, and wait until it takes requests.

        Raises:
            CouldNotRun: it ended before; says what it said.
        """
        named = str(manifest["upstream"])
        meant = {name: value for name, value in environ.items() if f"${name}" in named}
        words = tempfile.TemporaryFile()  # noqa: SIM115  # as long as the child
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "whocut.run.local"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=words,
            env={**without_secrets(environ), **meant},
            start_new_session=True,
        )
        assert child.stdin is not None
        assert child.stdout is not None
        task = {**manifest, "clock": {**manifest["clock"], "origin": clock.origin}}
        with suppress(BrokenPipeError):
            child.stdin.write(orjson.dumps(task) + b"\n")
            child.stdin.flush()
        line = child.stdout.readline()
        try:
            return cls(child, words, Path(orjson.loads(line)["run_dir"]))
        except (orjson.JSONDecodeError, KeyError, TypeError):
            child.kill()
            child.wait()
            raise CouldNotRun(f"this worker's own chain could not start{_last_words(words)}") from None

    def look(self) -> str | None:
        """Why it has ended by itself; None while it serves."""
        if self._ending or self._child.poll() is None:
            return None
        return f"this worker's own chain has ended{_last_words(self._words)}"

    def take(self) -> dict[str, bytes]:
        """The lines that have been written since the last time, or as many as one word holds."""
        taken = {name: list(file.lines(_AT_MOST_BYTES)) for name, file in self._files.items()}
        taken[LEDGER] = [self._named(line) for line in taken[LEDGER]]
        return {name: b"".join(line + b"\n" for line in lines) for name, lines in taken.items() if lines}

    def _named(self, line: bytes) -> bytes:
        """Two mocks throw the same dice for the same order: the name of a generation says which of them made it."""
        row = orjson.loads(line)
        return orjson.dumps({**row, "generation": f"{row['generation']}-{self.run_dir.name[-8:]}"})

    @property
    def behind(self) -> bool:
        """Whether there is more to take."""
        return any(file.behind_bytes for file in self._files.values())

    def end(self, patience_real_s: float) -> None:
        """Let it finish what it works on, and end; it is killed when it takes too long."""
        self._ending = True
        assert self._child.stdin is not None
        with suppress(BrokenPipeError):
            self._child.stdin.close()
        until_s = wall_s() + patience_real_s
        while self._child.poll() is None and wall_s() < until_s:
            pause(_LOOK_EVERY_REAL_S)
        if self._child.poll() is None:
            self._child.kill()
            self._child.wait()
        assert self._child.stdout is not None
        with suppress(orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            self.stall_real_s = float(orjson.loads(self._child.stdout.readline())["stall_real_s"])

    def remove(self) -> None:
        """Everything has been taken."""
        shutil.rmtree(self.run_dir, ignore_errors=True)


def _last_words(words: IO[bytes]) -> str:
    words.seek(0)
    said = words.read(_MOST_SAID_BYTES).decode(errors="replace").strip().splitlines()
    return f": {said[-1].removeprefix('whocut: ')[:_KEPT_WORDS]}" if said else ""
