"""Everything that can go wrong, as one tree.

::

    WhocutError
    ├── BadInput          what was written cannot be used: a flag, a file, a byte      exit 2
    │   └── BadFile       … in a file, named with its line and field
    ├── CouldNotRun       the world around is not ready                                exit 3
    │   ├── PortTaken     another program listens there
    │   ├── NotInstalled  a gateway, a browser, a package is missing
    │   ├── ChildDied     a process that was needed has ended
    │   └── NoRoom        a disk is full, or may not be written further
    └── RemoteFailure     what a peer did on the wire; never the user's mistake
        └── Malformed     bytes that are not HTTP/1.1, with the status to answer them by

Local mistakes and remote failures are different types, so that a mistake in use never looks like a timeout.
A cut is not an error: it is what we came to see, and it is written down as data.
"""

from __future__ import annotations

import difflib
import errno
import importlib.util
from typing import TYPE_CHECKING, ClassVar, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


_LONGEST: Final = 2_000  # characters of a sentence
_KEPT_BEHIND: Final = 600


class WhocutError(Exception):
    """One clear sentence with its place and the way out; never raised as itself."""

    exit_code: ClassVar[int] = 3

    def __str__(self) -> str:
        """The sentence; what it quotes from elsewhere does not make it longer than a screen."""
        return _bounded(super().__str__())


def _bounded(sentence: str) -> str:
    """The sentence, or its two ends: its place is in front, and what to do is behind."""
    if len(sentence) <= _LONGEST:
        return sentence
    return f"{sentence[: _LONGEST - _KEPT_BEHIND]} … {sentence[-_KEPT_BEHIND:]}"


class BadInput(WhocutError):  # noqa: N818  # the name says what it is; "Error" adds nothing at the call
    """What was written cannot be used: `problem` is the sentence, `field` the option or field that holds it.

    The reader that knows the place puts it in front: the command line its flag, a file its line, a test its marker.
    """

    exit_code = 2

    def __init__(self, problem: str, *, field: str = "") -> None:
        super().__init__(f"{field}: {problem}" if field else problem)
        self.problem = problem
        self.field = field

    @property
    def at_flag(self) -> str:
        """The sentence for a command line: the flag that holds the mistake in front."""
        return _bounded(f"--{self.field.replace('_', '-')}: {self.problem}") if self.field else str(self)


class BadFile(BadInput):
    """A file says something that cannot be used; `where` is ``FILE:LINE: field``."""

    def __init__(self, path: Path | str, problem: str, *, line: int | None = None, field: str = "") -> None:
        place = f"{path}:{line}" if line is not None else str(path)
        super().__init__(problem, field=f"{place}: {field}" if field else place)
        self.path = str(path)
        self.line = line
        self.field = field

    @property
    def at_flag(self) -> str:
        """The sentence with its place in the file: no flag holds the mistake."""
        return str(self)


class CouldNotRun(WhocutError):  # noqa: N818  # as above
    """The world around is not ready: nothing is wrong with what was asked."""

    exit_code = 3


class PortTaken(CouldNotRun):
    """Another program listens on the port that was asked for."""

    def __init__(
        self, host: str, port: int, way_out: str = "choose another one, or 0 for any free port"
    ) -> None:
        super().__init__(f"port {port} on {host} is already taken; {way_out}")
        self.port = port


# The packages that an extra brings, by their import names. pyproject.toml says what else each of them holds.
EXTRA_OF: Final = {
    "locust": "load",
    "gevent": "load",
    "jinja2": "reports",
    "matplotlib": "reports",
    "duckdb": "logs",
    "zstandard": "logs",
    "pyarrow": "parquet",
    "redis": "redis",
    "respx": "respx",
}


class NotInstalled(CouldNotRun):
    """A program or package that was asked for is not on this machine."""

    @classmethod
    def of_extra(cls, error: ModuleNotFoundError) -> NotInstalled | None:
        """The sentence for a package that an extra of ours brings; None for any other package."""
        package = (error.name or "").partition(".")[0]
        extra = EXTRA_OF.get(package)
        if extra is None:
            return None
        return cls(f"the package {package} is not installed. Install it with: pip install 'whocut[{extra}]'")


class ChildDied(CouldNotRun):
    """A process the run needs has ended by itself."""


class NoRoom(CouldNotRun):
    """A file, or the output, takes no more bytes."""

    def __init__(self, where: Path | str, why: str) -> None:
        super().__init__(
            f"{where} could not be written: {why}; make room, and run again. What was recorded before is kept"
        )


class RemoteFailure(WhocutError):  # noqa: N818  # as above
    """A peer on the wire did something; never the user's mistake."""


class Malformed(RemoteFailure):
    """Bytes that are not HTTP/1.1; `status` is what to answer their sender with."""

    def __init__(self, problem: str, *, status: int = 400) -> None:
        super().__init__(problem)
        self.status = status


# What an OSError says where there is no room: NoRoom is for these.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def require(package: str) -> None:
    """Refuse at the start what would fail later for want of an extra's package.

    Raises:
        NotInstalled: the package cannot be imported; the sentence says which line installs it.
    """
    if importlib.util.find_spec(package) is None:
        raise NotInstalled.of_extra(ModuleNotFoundError(name=package)) or NotInstalled(
            f"the package {package} is not installed. Install it first."
        )


def nearest(wrong: str, right: Iterable[str], *, cutoff: float = 0.5) -> str:
    """`` (did you mean 'nginx'?)`` or nothing, for the end of a sentence about a misspelling."""
    matches = difflib.get_close_matches(wrong, list(right), n=1, cutoff=cutoff)
    return f" (did you mean '{matches[0]}'?)" if matches else ""
