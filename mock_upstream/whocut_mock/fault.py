"""What a fault is: the steps of an answer that it may change, what it knows, and what it can do.

The faults themselves are in `faults`.
"""

import socket
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from whocut_mock.errors import ApiError

FOREVER_S = 1e9  # thirty years: every caller leaves first


class SpoiledError(ConnectionError):
    """The fault has ended the connection; nothing more is written."""


class InsteadError(Exception):
    """The fault has written an answer of its own; end it as any other."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a fault may know of the request that it refuses."""

    request_id: str
    model: str
    organization: str


class Line(Protocol):
    """What a fault can do to the answer it spoils; `attempt` is which one it answers, from 1."""

    attempt: int

    @property
    def request_id(self) -> str:
        """The id of its request."""

    @property
    def failing(self) -> Callable[[ApiError], list[bytes]] | None:
        """How its stream says that the work has failed; `None` for a plain answer."""

    async def open_refusal(self, error: ApiError) -> None:
        """Answer with an error in place of the picture."""

    async def sleep_s(self, duration_s: float) -> None:
        """Wait, in model time."""

    async def pass_on(self, buffers: Iterable[bytes]) -> None:
        """Write for real."""

    async def open(
        self, content_type: str, *, length_bytes: int | None = None, status: int = 200, ours: bool = True
    ) -> None:
        """Send the headers; `ours` are those of the API, and not of a stranger in front of it."""

    def close(self) -> None:
        """End the connection with a FIN after what was written."""

    def reset(self) -> None:
        """End the connection with a RST."""


@dataclass(frozen=True)
class Fault:
    """Every step as it should be, for a fault to change; `argument` is the number behind the name."""

    argument: float | None = None

    name: ClassVar[str] = ""
    default: ClassVar[float] = 0.0
    bounds: ClassVar[tuple[float, float]] = (0.0, FOREVER_S)  # of the argument, neither end included
    delivers: ClassVar[bool] = False  # whether the caller gets its picture nevertheless
    content_type: ClassVar[str | None] = None
    about_jobs: ClassVar[bool] = False  # whether it leaves the answer to a submit as it should be
    fails: ClassVar[bool] = False  # whether the work of a job comes to nothing
    never_ends: ClassVar[bool] = False  # whether a job seems to run for ever
    restarts: ClassVar[bool] = False  # whether a job's picture is lost with its worker, and made again

    def result_kept_s(self, kept_s: float) -> float:
        """How long the result of a job is kept."""
        return kept_s

    @property
    def amount(self) -> float:
        """The argument, or this fault's default."""
        return self.default if self.argument is None else self.argument

    def refusal(self, asked: Asked) -> ApiError | None:
        """An answer in place of any work."""
        del asked
        return None

    async def before_work_ends(self, line: Line) -> None:
        """While the work runs and nothing is written yet."""

    async def before_headers(self, line: Line) -> None:
        """When the answer is ready and nothing is written yet."""

    async def last(self, line: Line, buffers: Sequence[bytes]) -> None:
        """The JSON body, or the last event of a stream."""
        await line.pass_on(buffers)

    def keeps_length(self) -> bool:
        """Whether the announced length is that of the whole body."""
        return True


def cut_with_reset(sock: socket.socket) -> None:
    """Let closing this socket send a RST: it lingers for no time at all."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
