"""Where a pasted text comes from: standard input, a file, or the clipboard."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, BinaryIO, Final

from whocut.errors import BadInput, CouldNotRun, NotInstalled

if TYPE_CHECKING:
    from pathlib import Path

_STANDARD_INPUT: Final = "-"
_WHOLE_BYTES: Final = 64 << 20  # a HAR of a day in a browser is shorter
_END_BYTES: Final = 1 << 20  # of each end of what is longer; triage reads less of a text
_MOST_BYTES: Final = 4 << 30  # after which a stream is not waited for
_CLIPBOARDS: Final = (
    ("pbpaste",),  # macOS has it
    ("wl-paste", "--no-newline"),
    ("xclip", "-selection", "clipboard", "-out"),
    ("xsel", "--clipboard", "--output"),
)


def pasted_text(file: Path | None, *, clipboard: bool = False) -> str:
    """The text; a file of the name ``-`` is standard input.

    Raises:
        BadInput: the file is missing, two places were named, or the place is empty.
        NotInstalled: no program to read the clipboard with.
        CouldNotRun: the clipboard's program failed.
    """
    if clipboard and file is not None:
        raise BadInput(f"--clipboard and {file}: name one place to read from")
    if file is not None and str(file) == _STANDARD_INPUT:
        file = None
    if clipboard:
        where, data = "the clipboard", _clipboard()
    elif file is not None:
        where, data = str(file), _file(file)
    else:
        where, data = "standard input", _bounded(sys.stdin.buffer)
    text = data.decode("utf-8", "replace").replace("\r\n", "\n")
    if not text.strip():
        raise BadInput(f"{where} is empty; paste an error, a response, a HAR or a traceback")
    return text


def _file(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return _bounded(stream)
    except OSError as error:
        raise BadInput(f"{path}: it cannot be read: {error.strerror or error}") from None


def _bounded(stream: BinaryIO) -> bytes:
    """All of a stream, or both its ends where it is longer than any HAR; what has no end is left."""
    data = stream.read(_WHOLE_BYTES)
    if len(data) < _WHOLE_BYTES:
        return data
    head, last = data[:_END_BYTES], data[-_END_BYTES:]
    del data
    for _ in range(_MOST_BYTES // _END_BYTES):
        more = stream.read(_END_BYTES)
        if not more:
            break
        last = (last + more)[-_END_BYTES:]
    return head + b"\n" + last


def _clipboard() -> bytes:
    command = next((command for command in _CLIPBOARDS if shutil.which(command[0])), None)
    if command is None:
        raise NotInstalled(
            "--clipboard: no program to read the clipboard with; install xclip (X11) or wl-clipboard (Wayland), "
            "or pipe the text into `whocut triage`"
        )
    try:
        done = subprocess.run(command, capture_output=True, check=True, timeout=10)  # noqa: S603  # from the table above
    except (OSError, subprocess.SubprocessError) as error:
        raise CouldNotRun(f"--clipboard: {command[0]} failed: {error}") from None
    return done.stdout
