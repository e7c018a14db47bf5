"""A gateway as a child process: its folder, its port, the wait until it listens, its end, asked for or not."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, Self

from whocut.errors import ChildDied, CouldNotRun, NotInstalled
from whocut.path.fallen import Fallen, ended_how
from whocut.path.ports import held_port
from whocut.trace.logs.in_run import ACCESS, ERROR

if TYPE_CHECKING:
    from types import TracebackType

    from whocut.chain.layers import Layer
    from whocut.clock import Clock
    from whocut.trace.records import SpanSink

START: Final = "start.log"
_START_REAL_S: Final = 10.0
_STOP_REAL_S: Final = 5.0
_LOOK_REAL_S: Final = 0.01
# From a process's end to our knowing of it: its sockets close before its parent is told.
_NOTICED_REAL_S: Final = 0.1


class Gateway(Protocol):
    """What one product's file says of it: its `GATEWAY`. The file has the name of the product's preset."""

    program: str
    package: str
    out: str  # where its standard output goes, among its logs

    def config(
        self, layer: Layer, *, clock: Clock, upstream: tuple[str, int], port: int, folder: Path
    ) -> str:
        """The product's own configuration with the layer's limits in it; logs go to ``folder/logs``."""

    def command(self, program: str, config: Path, folder: Path) -> list[str]:
        """How it is started, staying in the foreground."""


class RunningGateway:
    """A gateway that listens; close it, or use it as a context. `folder` holds its configuration and logs."""

    def __init__(
        self,
        layer: Layer,
        port: int,
        holder: tempfile.TemporaryDirectory[str],
        process: asyncio.subprocess.Process,
        clock: Clock,
    ) -> None:
        self.layer = layer
        self.port = port
        self.folder = Path(holder.name)
        self.fallen: Fallen | None = None
        self.sink: SpanSink | None = None
        self._holder = holder
        self._process = process
        self._clock = clock
        self._closing = False
        self._ended = asyncio.get_running_loop().create_task(self._await_end())

    @property
    def pid(self) -> int:
        """The process that does the work."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.returncode

    def look(self) -> Fallen | None:
        """How it ended by itself, or None while it serves."""
        return self.fallen

    def log(self, name: str) -> str:
        """One of its logs as far as it has been written."""
        path = self.folder / "logs" / name
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""

    async def close(self) -> None:
        """Ask it to end, wait, insist; its folder goes with it."""
        self._closing = True
        for ask in (self._process.terminate, self._process.kill):
            if self.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    ask()
            await asyncio.wait({self._ended}, timeout=_STOP_REAL_S)
        self._ended.cancel()  # it has ended, or cannot be ended
        self._holder.cleanup()

    async def _await_end(self) -> None:
        """An end that nobody asked for is written down at its instant, so that no verdict takes it for a cut."""
        await _gone(self.pid)
        at_s = self._clock.now_s()
        code = await self._process.wait()
        if self._closing:
            return
        self.fallen = Fallen(
            self.layer.name,
            at_s,
            f"its process {ended_how(code)}",
            noticed_within_s=self._clock.model_s(_NOTICED_REAL_S),
        )
        if self.sink is not None:
            self.sink(self.fallen.span())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def start(
    gateway: Gateway,
    layer: Layer,
    *,
    upstream: tuple[str, int],
    clock: Clock,
    port: int = 0,
    logs: Path | None = None,
) -> RunningGateway:
    """Write the configuration, start the program, and wait until it takes callers.

    Raises:
        NotInstalled: the program is not on this machine; says what to install.
        ChildDied: it ended at once; says its last words.
    """
    program = _program(gateway)
    with contextlib.ExitStack() as until_it_listens:
        port = port or until_it_listens.enter_context(held_port())
        return await _started(gateway, program, layer, upstream=upstream, clock=clock, port=port, logs=logs)


async def _started(
    gateway: Gateway,
    program: str,
    layer: Layer,
    *,
    upstream: tuple[str, int],
    clock: Clock,
    port: int,
    logs: Path | None,
) -> RunningGateway:
    holder = tempfile.TemporaryDirectory(prefix=f"whocut-{gateway.program}-")
    folder = Path(holder.name)
    try:
        _make_logs(folder / "logs", logs)
        config = folder / f"{gateway.program}.conf"
        config.write_text(
            gateway.config(layer, clock=clock, upstream=upstream, port=port, folder=folder), encoding="utf-8"
        )
        with (folder / "logs" / gateway.out).open("wb") as out:
            process = await asyncio.create_subprocess_exec(
                *_dying_with_us(),
                *gateway.command(program, config, folder),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,  # Ctrl-C is for us; we end it in order
            )
    except BaseException:
        holder.cleanup()
        raise
    running = RunningGateway(layer, port, holder, process, clock)
    try:
        await _listening(running, gateway.program)
    except BaseException:
        await running.close()
        raise
    return running


async def _gone(pid: int) -> None:
    """Wait for a process's end, where the system has a file for it (Linux); else whoever reaps it tells.

    The file is heard in the same turn of the loop as the ends of the process's connections. A signal that is handed
    on by a thread comes later, and on a busy machine so late that the death seems to follow from what it caused.
    """
    if not hasattr(os, "pidfd_open"):
        return
    with contextlib.suppress(OSError):
        file = os.pidfd_open(pid)
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(file, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(file)
            os.close(file)


def _make_logs(here: Path, kept: Path | None) -> None:
    """The folder of its logs: its own, or one that stays. A link keeps strange paths out of configurations."""
    if kept is None:
        here.mkdir()
        return
    kept.mkdir(parents=True, exist_ok=True)
    for old in kept.glob("*.log"):  # of the run whose place this one takes
        old.unlink()
    here.symlink_to(kept.resolve(), target_is_directory=True)


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


async def _listening(running: RunningGateway, program: str) -> None:
    waited_s = 0.0
    while waited_s < _START_REAL_S:
        if running.returncode is not None:
            raise ChildDied(f"{program} ended at once: {_last_words(running)}")
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", running.port)
        except OSError:
            await asyncio.sleep(_LOOK_REAL_S)
            waited_s += _LOOK_REAL_S
            continue
        writer.transport.abort()
        return
    raise CouldNotRun(f"{program} did not listen on port {running.port} within {_START_REAL_S:.0f} s")


def _last_words(running: RunningGateway) -> str:
    return "".join(running.log(name) for name in (ACCESS, ERROR, START)).strip()[-500:]


def milliseconds(limit_s: float | None, clock: Clock, none: str) -> str:
    """A model limit as the product's configuration has it, in real time."""
    return none if limit_s is None else f"{max(1, round(clock.real_s(limit_s) * 1000))}ms"
