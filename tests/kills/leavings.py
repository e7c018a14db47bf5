"""What a killed run has left: each whole line is readable, and each command says one clear thing about it."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING, Final

import orjson

from whocut.cli import main
from whocut.errors import BadInput
from whocut.trace.rundir import ATTEMPTS, LEDGER, MANIFEST, SPANS, RunDir

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FILES: Final = (ATTEMPTS, SPANS, LEDGER)
_BAD_INPUT: Final = 2


def said_by(*arguments: str) -> tuple[int, str, str]:
    """A command of whocut in this process: its exit code, and what it wrote to its two outputs."""
    before, sys.argv = sys.argv, ["whocut", *arguments]
    out, err = _output(), _output()
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        sys.argv = before
    return code, _written(out), _written(err)


def _output() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), "utf-8", newline="")


def _written(output: io.TextIOWrapper) -> str:
    output.flush()
    output.seek(0)
    return output.read()


def findings_in(run: Path) -> Iterator[str]:
    """What is wrong with the run directory that a killed run left."""
    yield from _lines(run)
    if not (run / MANIFEST).exists():
        yield from _refused(run)
        return
    commands: tuple[tuple[set[int], tuple[str, ...]], ...] = (
        ({0}, ("report", str(run))),
        ({0, _BAD_INPUT}, ("why", str(run))),
        ({0, 1, _BAD_INPUT}, ("attribute", "--spans", str(run / SPANS))),
    )
    for codes, arguments in commands:
        yield from _one_clear_thing(arguments, codes)


def _lines(run: Path) -> Iterator[str]:
    for name in _FILES:
        path = run / name
        for number, line in enumerate(
            path.read_bytes().splitlines(keepends=True) if path.exists() else (), 1
        ):
            if not line.endswith(b"\n"):
                continue  # it was being written, and nothing follows it
            try:
                orjson.loads(line)
            except orjson.JSONDecodeError as error:
                yield f"{name}:{number} cannot be read: {error}"


def _refused(run: Path) -> Iterator[str]:
    """It was killed before it had written down what it is: that is said, and no more."""
    try:
        RunDir.open(run)
        yield "a directory without a manifest was opened as a run"
    except BadInput:
        yield from _one_clear_thing(("report", str(run)), {_BAD_INPUT})


def _one_clear_thing(arguments: tuple[str, ...], codes: set[int]) -> Iterator[str]:
    code, out, err = said_by(*arguments)
    told = f"`whocut {' '.join(arguments)}` ended with {code}"
    if code not in codes:
        yield f"{told}: {err or out}"
    if code and len(err.strip().splitlines()) != 1:
        yield f"{told} and said not one line: {err!r}"
    if not code and not out.strip():
        yield f"{told} and said nothing"
    if "Traceback" in err + out:
        yield f"{told} with a traceback: {err}"
