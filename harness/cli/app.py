"""The application itself, and what its commands share: the ways to print and to fail."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NoReturn

import orjson
import typer

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


@app.callback()
def _all_commands() -> None:
    """Which layer cut the request? Load, traces and verdicts for slow AI image calls."""


def directory_of(out: Path | None, name: str, *, force: bool) -> Path:
    """Where a run goes: as told, or beside earlier ones of its name; only `force` takes the place of one."""
    from harness.trace.rundir import free_directory  # noqa: PLC0415  # keeps --help quick

    default = Path("runs") / name
    return out or (default if force else free_directory(default))


def print_json(value: dict[str, Any]) -> None:
    """One object on the standard output, for machines."""
    sys.stdout.buffer.write(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    sys.stdout.buffer.flush()


def fail(sentence: str, code: int) -> NoReturn:
    """Say why, and end with this exit code."""
    typer.echo(f"whocut: {sentence}", err=True)
    raise typer.Exit(code)
