"""How a command prints and fails: words for people, one JSON object for machines, one sentence and an exit code."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import orjson
import typer
from rich.console import Console

EXIT_FINDING = 1
EXIT_COULD_NOT_RUN = 3


class Terminal(Console):
    """The output for people. A closed pipe (``| head``) silences it; the work goes on."""

    def on_broken_pipe(self) -> None:
        """Not the end of the process, and of whatever it is in the middle of, as rich has it."""
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.file.fileno())
        os.close(nowhere)


def directory_of(out: Path | None, name: str, *, force: bool) -> Path:
    """The directory of a run: as told, or beside earlier ones of its name; only `force` replaces one."""
    from whocut.trace.rundir import free_directory  # noqa: PLC0415  # the commands that only read do not need it

    default = Path("runs") / name
    return out or (default if force else free_directory(default))


def print_json(value: dict[str, Any]) -> None:
    """One object on the standard output, for machines."""
    sys.stdout.buffer.write(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    sys.stdout.buffer.flush()


def print_line(value: dict[str, object]) -> None:
    """One object on one line, for a program that waits for it."""
    sys.stdout.buffer.write(orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE))
    sys.stdout.buffer.flush()


def fail(sentence: str, code: int) -> NoReturn:
    """Say why, and end with this exit code."""
    with suppress(BrokenPipeError):  # the exit code still says it
        typer.echo(f"whocut: {sentence}", err=True)
    raise typer.Exit(code)
