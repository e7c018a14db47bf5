"""How a command prints and fails: words for people, one JSON object for machines, one sentence and an exit code."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import orjson
import typer

from whocut.redact import exact, json_bytes, redact, visible

EXIT_FINDING = 1
EXIT_COULD_NOT_RUN = 3


def directory_of(out: Path | None, name: str, *, force: bool) -> Path:
    """The directory of a run: as told, or beside earlier ones of its name; only `force` replaces one."""
    from whocut.trace.rundir import free_directory  # noqa: PLC0415  # the commands that only read do not need it

    default = Path("runs") / name
    return out or (default if force else free_directory(default))


def say(sentence: str, *, to_stderr: bool = False) -> None:
    """Print one line or more for people: secrets are gone, control characters are shown."""
    typer.echo(visible(redact(sentence)), err=to_stderr)


def print_json(value: dict[str, Any]) -> None:
    """One object on the standard output, for machines."""
    _write(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def print_text(text: str) -> None:
    """A document for machines that is no JSON, or holds it already: without secrets and terminal's codes."""
    _write(exact(text).encode())


def print_line(value: dict[str, object]) -> None:
    """One object on one line, for a program that waits for it."""
    _write(orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE))


def _write(data: bytes) -> None:
    sys.stdout.buffer.write(json_bytes(data))
    sys.stdout.buffer.flush()


def fail(sentence: str, code: int) -> NoReturn:
    """Say why, and end with this exit code."""
    with suppress(BrokenPipeError):  # the exit code still says it
        say(f"whocut: {sentence}", to_stderr=True)
    raise typer.Exit(code)
