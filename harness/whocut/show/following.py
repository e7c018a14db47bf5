"""The last lines of a command: where its report lies, and the next useful command, ready to paste."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path


def program() -> str:
    """This program as a shell finds it from here: its name, or the path that it was called by."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m whocut"
    found = shutil.which(called.name)
    if found is not None and Path(found).resolve() == called.resolve():
        return shlex.quote(called.name)
    return shlex.quote(str(called))


def next_command(*arguments: str | Path) -> str:
    """A command of ours as it must be typed here; paths are quoted where a shell needs it."""
    return f"{program()} {shlex.join(str(argument) for argument in arguments)}"


def report_words(report: Path | None) -> str:
    """Where the page lies, or the line that installs what draws it."""
    return str(report) if report else "not made. Install what draws it with: pip install 'whocut[reports]'"
