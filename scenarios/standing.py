"""Plain `locust -f`: upstream, chain and verdicts stand around the load as a child, `whocut run --stand`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from harness.errors import BadInput, CouldNotRun

if TYPE_CHECKING:
    from collections.abc import Sequence


class Standing:
    """The child; its words go where Locust's go. It judges and reports when it is told that the load has ended.

    Raises:
        BadInput: what was written cannot be used; the child has said why.
        CouldNotRun: it could not start; it has said why.
    """

    def __init__(self, scenario: str, arguments: Sequence[str]) -> None:
        self._child = subprocess.Popen(  # noqa: S603  # our own command line
            [sys.executable, "-m", "harness", "run", scenario, "--stand", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C reaches Locust alone, which ends the load and then says so
        )
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            code = self._child.wait()
            raise BadInput("") if code == BadInput.exit_code else CouldNotRun("")
        self.run_dir = Path(orjson.loads(line)["run_dir"])

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
        return self._child.wait()
