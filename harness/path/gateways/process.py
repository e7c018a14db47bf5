"""A gateway as a child process: its folder, its port, the wait until it listens, its clean end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, Self

from harness.errors import ChildDied, CouldNotRun, NotInstalled

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from types import TracebackType

    from harness.chain.layers import Layer
    from harness.clock import Clock

_START_REAL_S: Final = 10.0
_STOP_REAL_S: Final = 5.0
_LOOK_REAL_S: Final = 0.01


class Gateway(Protocol):
    """What one product's file says of it."""

    program: str
    package: str
    stop_signal: signal.Signals

    def config(
        self, layer: Layer, *, clock: Clock, upstream: tuple[str, int], port: int, folder: Path
    ) -> str:
        """The product's own configuration with the layer's limits in it.

        Raises:
            BadInput: the product cannot have these limits.
        """

    def command(self, program: str, config: Path, folder: Path) -> list[str]:
        """How it is started, staying in the foreground."""


@dataclass
class RunningGateway:
    """A gateway that listens; close it, or use it as a context. `folder` holds its configuration and logs."""

    layer: Layer
    port: int
    folder: Path
    process: subprocess.Popen[bytes]
    stop_signal: signal.Signals
    _cleanup: Callable[[], None] = field(repr=False)

    @property
    def pid(self) -> int:
        """The process that does the work."""
        return self.process.pid

    def log(self, name: str) -> str:
        """One of its logs as far as it has been written."""
        path = self.folder / name
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""

    async def close(self) -> None:
        """Ask it to end, wait, insist; its folder goes with it."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(self.stop_signal)
        waited_s = 0.0
        while self.process.poll() is None and waited_s < _STOP_REAL_S:
            await asyncio.sleep(_LOOK_REAL_S)
            waited_s += _LOOK_REAL_S
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._cleanup()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def start(
    gateway: Gateway, layer: Layer, *, upstream: tuple[str, int], clock: Clock, port: int = 0
) -> RunningGateway:
    """Write the configuration, start the program, and wait until it takes callers.

    Raises:
        NotInstalled: the program is not on this machine; says what to install.
        ChildDied: it ended at once; says its last words.
        BadInput: the product cannot have these limits.
    """
    program = _program(gateway)
    port = port or _free_port()
    holder = tempfile.TemporaryDirectory(prefix=f"whocut-{gateway.program}-")
    folder = Path(holder.name)
    try:
        config = folder / f"{gateway.program}.conf"
        config.write_text(
            gateway.config(layer, clock=clock, upstream=upstream, port=port, folder=folder), encoding="utf-8"
        )
        with (folder / "out.log").open("wb") as out:
            process = subprocess.Popen(  # noqa: ASYNC220, S603  # it returns at once; the command is ours
                [*_dying_with_us(), *gateway.command(program, config, folder)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us; we end it in order
            )
    except BaseException:
        holder.cleanup()
        raise
    running = RunningGateway(layer, port, folder, process, gateway.stop_signal, holder.cleanup)
    try:
        await _listening(running, gateway.program)
    except BaseException:
        await running.close()
        raise
    return running


def _program(gateway: Gateway) -> str:
    found = shutil.which(gateway.program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise NotInstalled(
            f"{gateway.program} is not installed; on Debian: sudo apt-get install {gateway.package}"
        )
    return found


def _dying_with_us() -> list[str]:
    """Linux can end a child when its parent is killed; elsewhere it would stay behind."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM"] if setpriv else []


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


async def _listening(running: RunningGateway, program: str) -> None:
    waited_s = 0.0
    while waited_s < _START_REAL_S:
        if running.process.poll() is not None:
            raise ChildDied(f"{program} ended at once: {running.log('out.log').strip()[-500:]}")
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", running.port)
        except OSError:
            await asyncio.sleep(_LOOK_REAL_S)
            waited_s += _LOOK_REAL_S
            continue
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return
    raise CouldNotRun(f"{program} did not listen on port {running.port} within {_START_REAL_S:.0f} s")


def milliseconds(limit_s: float | None, clock: Clock, none: str) -> str:
    """A model limit as the product's configuration has it, in real time."""
    return none if limit_s is None else f"{max(1, round(clock.real_s(limit_s) * 1000))}ms"
