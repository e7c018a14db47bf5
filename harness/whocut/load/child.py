"""Plain `locust -f`: a child, `whocut run --stand`, serves upstream and chain around the load, and judges it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import gevent
import orjson

from whocut.errors import BadInput, CouldNotRun

if TYPE_CHECKING:
    from collections.abc import Sequence

_SAYS = "whocut: "
_COMPLAINTS = (_SAYS, "Error: ")  # ours, and those of the library that reads the flags


class RunChild:
    """The child; its words go where Locust's go. It judges and reports when it hears that the load has ended.

    With `live` it keeps ``live.json`` while the load runs.

    Raises:
        BadInput: what was written cannot be used; the child has said why.
        CouldNotRun: it could not start; it has said why.
    """

    def __init__(self, scenario: str, arguments: Sequence[str], *, live: bool = False) -> None:
        self.last_words = ""
        self._child = subprocess.Popen(  # noqa: S603  # our own command line
            [
                sys.executable,
                "-P",
                "-m",
                "whocut",
                "run",
                scenario,
                "--stand",
                *(["--live"] * live),
                *arguments,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C reaches Locust alone, which ends the load and then says so
        )
        self._hearing = gevent.spawn(self._hear)
        assert self._child.stdout is not None
        try:
            line = self._child.stdout.readline()
        except gevent.GreenletExit:  # the test was stopped before it had begun
            self._child.kill()
            raise
        if not line:
            code = self._child.wait()
            self._hearing.join()
            raise BadInput(self.last_words) if code == BadInput.exit_code else CouldNotRun(self.last_words)
        self.run_dir = Path(orjson.loads(line)["run_dir"])

    def _hear(self) -> None:
        """Pass its complaints on, and remember the last."""
        assert self._child.stderr is not None
        for line in self._child.stderr:
            words = line.decode(errors="replace")
            said = next((words.removeprefix(how) for how in _COMPLAINTS if words.startswith(how)), None)
            if said is not None:
                self.last_words = said.strip()
            else:
                sys.stderr.write(words)
                sys.stderr.flush()

    @property
    def gone(self) -> bool:
        """Whether it has ended without being told to."""
        return self._child.poll() is not None

    def end(self) -> int:
        """Tell it that the load has ended; its exit code when it has judged and reported."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.close()
        sys.stdout.flush()
        for line in self._child.stdout:
            sys.stdout.buffer.write(line)
        sys.stdout.flush()
        code = self._child.wait()
        self._hearing.join()
        if code and not self.run_dir.is_dir():
            self.last_words = f"the run directory {self.run_dir} has gone, and what was recorded with it"
        if code < 0:
            self.last_words = f"the harness around the load was ended by signal {-code}; see {self.run_dir}"
            code = CouldNotRun.exit_code
        if self.last_words:
            sys.stderr.write(f"{_SAYS}{self.last_words}\n")
        return code
