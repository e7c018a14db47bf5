"""The application itself, and what its commands share: the ways to print and to fail."""

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

app = typer.Typer(
    name="whocut",
    help="Which layer cut the request? Load, traces and verdicts for slow AI image calls.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


class Terminal(Console):
    """Where words for people go. Its reader may go first (``| head``): the rest goes nowhere, the work goes on."""

    def on_broken_pipe(self) -> None:
        """Not the end of the process, and of whatever it is in the middle of, as rich has it."""
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.file.fileno())
        os.close(nowhere)


@app.callback()
def _all_commands() -> None:
    """Which layer cut the request? Load, traces and verdicts for slow AI image calls."""


def directory_of(out: Path | None, name: str, *, force: bool) -> Path:
    """Where a run goes: as told, or beside earlier ones of its name; only `force` takes the place of one."""
    from whocut.trace.rundir import free_directory  # noqa: PLC0415  # keeps --help quick

    default = Path("runs") / name
    return out or (default if force else free_directory(default))


def print_json(value: dict[str, Any]) -> None:
    """One object on the standard output, for machines."""
    sys.stdout.buffer.write(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    sys.stdout.buffer.flush()


def fail(sentence: str, code: int) -> NoReturn:
    """Say why, and end with this exit code."""
    with suppress(BrokenPipeError):  # nobody reads it; the exit code still says it
        typer.echo(f"whocut: {sentence}", err=True)
    raise typer.Exit(code)
