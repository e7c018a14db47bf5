"""The command line. Every command: an example in its help, words for people, JSON for machines.

Exit codes::

    0  all thresholds hold
    1  a finding, or a broken threshold
    2  bad input, named with its place and the nearest right spelling
    3  could not run: a port is taken, something is not installed, it was stopped
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from whocut.cli.app import app
from whocut.cli.printing import say
from whocut.errors import FULL, BadInput, CouldNotRun, NoRoom, NotInstalled, WhocutError
from whocut.redact import protect_environment
from whocut.run.descriptors import raise_open_files

__all__ = ["app", "main"]

# What typer makes of a KeyboardInterrupt, without a word; no command of ours ends so.
_INTERRUPTED = 130


def main() -> None:
    """Run the command line; every mistake ends in one sentence and its exit code.

    The environment's secrets are registered first: no command writes or prints them. Then this process, and so its
    children, may open as many files as the system allows.

    Raises:
        KeyboardInterrupt: it was stopped before anything had started that could end in good order.
    """
    protect_environment(os.environ)
    raise_open_files()
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
        sys.stderr.close()  # the reader of our output has gone; no message would reach it
        sys.exit(0)
    except OSError as error:
        if error.errno in FULL:
            os.dup2(
                os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
            )  # or its last words would fail as well
            _end(NoRoom(error.filename or "a file or the output", os.strerror(error.errno)))
        if error.filename is None:
            _own_fault(error)
        _end(
            CouldNotRun(
                f"{error.filename} cannot be used: {error.strerror}. Choose another place or its rights."
            )
        )
    except Exception as error:  # noqa: BLE001  # the door of the program: what comes here is printed, and ends it
        _own_fault(error)


def _own_fault(error: Exception) -> NoReturn:
    """The last resort: one sentence and the exit code of a run that could not be; 1 would say "a finding".

    Raises:
        Exception: the error itself, with its traceback, where the environment asks for it.
    """
    if os.environ.get("WHOCUT_DEBUG"):
        raise error
    _end(
        CouldNotRun(
            f"a fault of whocut itself: {type(error).__name__}: {error}. Set WHOCUT_DEBUG=1 for the traceback, "
            "and please report it."
        )
    )


def _end(error: WhocutError) -> NoReturn:
    say(f"whocut: {error.at_flag if isinstance(error, BadInput) else error}", to_stderr=True)
    sys.exit(error.exit_code)
