"""Runs the fenced blocks of a Markdown page as a reader would: in one empty directory, from top to bottom.

A `yaml`, `python` or `js` block whose first line is a comment with a file's name is written to that file. In a
`console` block each line that begins with ``$ `` is a command for bash, with what it prints below it; an output
line that is only ``…`` says that lines are left out, and one at a line's end the rest of the line. The lines are
found in their order; progress and warnings may come between them. Numbers are compared by being numbers: what a run
measures differs from machine to machine.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT: Final = Path(__file__).parents[2]
_FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE: Final = re.compile(r"(?:#|//)\s*([\w./-]+\.\w+)\b")
_NUMBER: Final = re.compile(
    r"(?:\s?\d+\s(?:h|min)(?=\s\d))*[<>~≥]?\s?-?\$?\d[\d,.]*(?:e[+-]?\d+)?\s?(?:µs|ms|min|[smh%])?(?![\w])"
)
_PATIENCE_S: Final = 400


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a page and the lines that the page says it prints."""

    line_number: int
    command: str
    says: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class File:
    """A block that is a file of the reader's."""

    line_number: int
    name: str
    text: str


def blocks_of(page: Path) -> Iterator[Command | File]:
    """The files and commands of a page, in order."""
    text = page.read_text(encoding="utf-8")
    for fence in _FENCE.finditer(text):
        language, body = fence.groups()
        line_number = text.count("\n", 0, fence.start()) + 2
        if language == "console":
            yield from _commands(body, line_number)
        elif named := _FILE.match(body):
            yield File(line_number, named.group(1), body)


def _commands(body: str, line_number: int) -> Iterator[Command]:
    found: list[tuple[int, str, list[str]]] = []
    continued = False
    for offset, line in enumerate(body.splitlines()):
        if line.startswith("$ ") or continued:
            if continued:
                at, before, says = found.pop()
                found.append((at, f"{before}\n{line}", says))
            else:
                found.append((line_number + offset, line[2:], []))
            command = found[-1][1]
            here = re.search(r"<<'?(\w+)'?", command)
            continued = line.endswith("\\") or bool(here and not command.endswith(f"\n{here.group(1)}"))
        elif found:
            found[-1][2].append(line)
    for at, command, says in found:
        yield Command(at, command, tuple(says))


def run(command: str, cwd: Path, more: Mapping[str, str]) -> str:
    """What a command prints, both streams as a terminal shows them; whocut is on the path."""
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(cwd / "home"),
        "LANG": "C.UTF-8",
        **{name: value for name, value in os.environ.items() if name.startswith("COVERAGE")},
        **more,
    }
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=_PATIENCE_S,
        check=False,
    )
    return done.stdout.decode("utf-8", "replace")


def missing(says: tuple[str, ...], printed: str) -> str | None:
    """The first line of a page that the output does not have behind the ones before; None where all are there."""
    lines = [_shape(line) for line in printed.splitlines()]
    at = 0
    for line in says:
        if line.strip() in {"", "…"}:
            continue
        shape, open_end = _shape(line.rstrip().removesuffix("…")), line.rstrip().endswith("…")
        for place in range(at, len(lines)):
            if lines[place].startswith(shape) if open_end else lines[place] == shape:
                at = place + 1
                break
        else:
            return line
    return None


def _shape(line: str) -> str:
    """A line with its numbers as signs and its blanks as one."""
    return re.sub(r"[\s─━█░]+", " ", _NUMBER.sub("#", line.replace(".venv/bin/", ""))).strip()


def as_run_here(command: str, substitutes: Mapping[str, str]) -> str:
    """The command with what cannot be had here replaced: `make demo` by its recipe, a paid endpoint by a mock."""
    if command == "make demo":
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        recipe = re.search(r"^demo:.*?\n((?:\t.*\n)+)", makefile, re.MULTILINE)
        assert recipe is not None
        one_line = recipe.group(1).replace("\\\n", " ").replace("$(BIN)/", "").replace("@", "")
        words = shlex.split(one_line.split("||")[0])
        command = shlex.join(words)
    for written, stands_for in substitutes.items():
        command = command.replace(written, stands_for)
    return command
