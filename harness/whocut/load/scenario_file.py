"""The file of a scenario: where it is, what it says of itself, and where in it an error came from."""

from __future__ import annotations

import inspect
import sys
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

    from locust import User


def file_of(scenario: type[User]) -> str:
    """The Locust file in which a user class is written."""
    return inspect.getfile(scenario)


def literal_of(scenario: type[User] | None) -> dict[str, Any] | None:
    """What the file of a user class says of itself."""
    module = sys.modules.get(scenario.__module__) if scenario else None
    return getattr(module, "SCENARIO", None)


def place_of(scenario: type[User], error: Exception, tb: TracebackType | None) -> tuple[str, str]:
    """The file and line from which an error came, as far as it is the scenario's own, and the error in words."""
    file = file_of(scenario)
    lines = [frame.lineno for frame in traceback.extract_tb(tb) if frame.filename == file]
    return f"{file}:{lines[-1]}" if lines else file, f"{type(error).__name__}: {error}".rstrip(": ")
