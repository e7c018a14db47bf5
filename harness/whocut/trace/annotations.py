"""GitHub's annotations: the commands that its runner reads out of a job's log. The one writer of them."""

from __future__ import annotations

from pathlib import PurePath


def annotation(level: str, file: str, line: int | None, title: str, message: str) -> str:
    """A workflow command: ``error``, ``warning`` or ``notice``, at its place if it has one."""
    properties = {"file": PurePath(file).as_posix() if file else "", "line": line, "title": title}
    said = ",".join(f"{key}={_property(str(value))}" for key, value in properties.items() if value)
    return f"::{level} {said}::{_data(message)}"


def _data(text: str) -> str:
    """What a command's line cannot hold as it is, in its own escapes."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
