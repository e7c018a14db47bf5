"""The command line. Every command: an example in its help, words for people, JSON for machines.

Exit codes: 0 all thresholds hold · 1 a finding or a broken threshold · 2 bad input, named with its place and the
nearest right spelling · 3 could not run (a port is taken, something is not installed, it was stopped).
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import typer

from whocut.cli.app import app
from whocut.errors import FULL, NoRoom, NotInstalled, WhocutError

__all__ = ["app", "main"]


# What typer makes of a KeyboardInterrupt, without a word; no command of ours ends so.
_INTERRUPTED = 130


def main() -> None:
    """Run the command line; every mistake ends in one sentence and its exit code.

    Raises:
        KeyboardInterrupt: it was stopped before anything stood that could end in good order.
    """
    try:
        app(standalone_mode=True)
    except SystemExit as ended:
        if ended.code == _INTERRUPTED:
            raise KeyboardInterrupt from None
        raise
    except ModuleNotFoundError as error:
        missing = NotInstalled.of_extra(error)
        if missing is None:
            raise
        _end(missing)
    except WhocutError as error:
        _end(error)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone; there is nobody left to tell
        sys.exit(0)
    except OSError as error:
        if error.errno not in FULL:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or its last words would fail as well
        _end(NoRoom(error.filename or "a file or the output", os.strerror(error.errno)))


def _end(error: WhocutError) -> NoReturn:
    typer.echo(f"whocut: {error}", err=True)
    sys.exit(error.exit_code)
