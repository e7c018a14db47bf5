"""How a command prints and fails: words for people, one JSON object for machines, one sentence and an exit code."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import orjson
import typer
from rich.console import Console
from rich.segment import Segment

from whocut.redact import exact, json_bytes, redact, visible

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import ConsoleOptions, RenderableType

EXIT_FINDING = 1
EXIT_COULD_NOT_RUN = 3


class Terminal(Console):
    """The output for people.

    Foreign text in it loses its secrets, and its control characters are shown. A closed pipe (``| head``) silences
    the output; the work continues.
    """

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Segments as rich makes them, each with fit text; the terminal's own codes are added after this."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else visible(exact(text)), style, control)

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
