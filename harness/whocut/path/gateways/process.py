"""A gateway as a child process: its folder, its port, the wait until it listens, its end, asked for or not."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from whocut.errors import ChildDied, CouldNotRun, NotInstalled
from whocut.path.fallen import Fallen, ended_how
from whocut.path.gateways.driver import START, Gateway, Site
from whocut.path.gateways.own import DIFF, with_own_names, with_places
from whocut.path.ports import held_port
from whocut.redact import without_secrets
from whocut.trace.logs.in_run import ACCESS, ERROR

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from whocut.chain.layers import Layer
    from whocut.clock import Clock
    from whocut.trace.records import SpanSink

_LAST_CHARACTERS: Final = 2000
_STOP_REAL_S: Final = 5.0
_LOOK_REAL_S: Final = 0.01
# From a process's end to our knowing of it: its sockets close before its parent hears of it.
_NOTICED_REAL_S: Final = 0.1


class RunningGateway:
    """A gateway that listens; close it, or use it as a context. `folder` holds its configuration and logs."""

    def __init__(
        self,
        layer: Layer,
        port: int,
        holder: tempfile.TemporaryDirectory[str],
        process: asyncio.subprocess.Process,
        clock: Clock,
        writes_log: Sequence[str],
    ) -> None:
        self.layer = layer
        self.port = port
        self.folder = Path(holder.name)
        self.fallen: Fallen | None = None
        self.sink: SpanSink | None = None
        self.origins: Mapping[str, Path] = {}  # of files that are copies of a user's own
        self.fields: Mapping[
            str, tuple[Path, int]
        ] = {}  # of those that have no lines: where each field stands
        self._holder = holder
        self._process = process
        self._writes_log = writes_log
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
        if self._writes_log and self.returncode is None:
            await self._write_log()
        await _end(self._process)
        await asyncio.wait({self._ended}, timeout=_STOP_REAL_S)
        self._ended.cancel()  # it has ended, or cannot be ended
        self._holder.cleanup()

    async def _write_log(self) -> None:
        process = await _spawn(self._writes_log, self.folder / "logs" / START, self.folder)
        await asyncio.wait({asyncio.ensure_future(process.wait())}, timeout=_STOP_REAL_S)
        await _end(process)

    async def _await_end(self) -> None:
        """An end that was not asked for is written down at its instant, so that no verdict takes it for a cut."""
        await _gone(self.pid)
        at_s = self._clock.now_s()
        code = await self._process.wait()
        if self._closing:
            return
        _kill_group(self.pid)  # workers of it may outlive it, and go on listening
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
    program = program_of(gateway)
    with contextlib.ExitStack() as until_it_listens:
        port = port or until_it_listens.enter_context(held_port())
        spare = until_it_listens.enter_context(held_port()) if gateway.ready else 0
        holder = tempfile.TemporaryDirectory(prefix=f"whocut-{gateway.program}-")
        site = Site(port=port, spare_port=spare, upstream=upstream, folder=Path(holder.name), clock=clock)
        try:
            _make_logs(site.logs, logs)
            own = gateway.own(Path(layer.config), layer, site) if layer.config else None
            for name, text in (own.texts if own else gateway.files(layer, site)).items():
                (site.folder / name).parent.mkdir(exist_ok=True)
                (site.folder / name).write_text(text, encoding="utf-8")
            if own:
                (site.logs / DIFF).write_text(own.diff(), encoding="utf-8")
            process = await _spawn(
                gateway.command(program, layer, site), site.logs / gateway.out, site.folder
            )
        except BaseException:
            holder.cleanup()
            raise
        running = RunningGateway(layer, port, holder, process, clock, gateway.writes_log(site))
        if own:
            running.origins, running.fields = own.origins, own.fields
        try:
            await _listening(running, gateway, spare)
        except BaseException:
            await running.close()
            raise
        return running


async def _spawn(command: Sequence[str], out: Path, folder: Path) -> asyncio.subprocess.Process:
    with out.open("ab") as file:
        return await asyncio.create_subprocess_exec(
            *_dying_with_us(),
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            cwd=folder,
            env=without_secrets(os.environ),
            start_new_session=True,  # Ctrl-C is for us; we end it in order
        )


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ask, wait, insist; what it had started goes with it."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await asyncio.wait({asyncio.ensure_future(process.wait())}, timeout=_STOP_REAL_S)
    if process.returncode is None:
        _kill_group(process.pid)
    await process.wait()


def _kill_group(pid: int) -> None:
    """End a process that was started in a group of its own, and all that it has started in turn."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


async def _gone(pid: int) -> None:
    """Wait for a process's end, where the system has a file for it (Linux); else the reaper of the process tells.

    The file is heard in the same turn of the loop as the ends of the process's connections. A signal that is handed
    on by a thread comes later. On a busy machine it is so late that the death seems to follow from what it caused.
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


def found(gateway: Gateway) -> str | None:
    """The program on this machine; None where it, or something else that it needs, is missing.

    An extra of ours brings some products as packages of Python: their programs lie beside the interpreter.
    """
    beside = Path(sys.executable).parent
    where = os.pathsep.join((str(beside), os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))
    program = shutil.which(gateway.program, path=where)
    return None if program is None or gateway.missing() else program


def program_of(gateway: Gateway) -> str:
    """The program on this machine.

    Raises:
        NotInstalled: it is missing; says the command that installs it.
    """
    program = found(gateway)
    if program is None:
        raise NotInstalled(
            f"the gateway {gateway.program} is not installed. Install it with: {gateway.install}"
        )
    return program


def _dying_with_us() -> list[str]:
    """Linux can end a child when its parent is killed; elsewhere it would stay behind."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM"] if setpriv else []


async def _listening(running: RunningGateway, gateway: Gateway, spare_port: int) -> None:
    waited_s = 0.0
    while waited_s < gateway.starts_within_real_s:
        if running.returncode is not None:
            raise ChildDied(f"{gateway.program} ended at once: {_last_words(running)}")
        if await _answers(running.port) and (not gateway.ready or await _answers(spare_port, gateway.ready)):
            return
        await asyncio.sleep(_LOOK_REAL_S)
        waited_s += _LOOK_REAL_S
    raise CouldNotRun(
        f"{gateway.program} did not listen on port {running.port} within {gateway.starts_within_real_s:.0f} s: "
        f"{_last_words(running)}"
    )


async def _answers(port: int, path: str = "") -> bool:
    """Whether something takes a connection there, and answers 200 for the path where one is given."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    try:
        if not path:
            return True
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        return (await reader.readline()).split(b" ")[1:2] == [b"200"]
    except OSError:
        return False
    finally:
        writer.transport.abort()


def _last_words(running: RunningGateway) -> str:
    """The end of its logs in whole lines: their first line often says most."""
    said = "".join(running.log(name) for name in (ACCESS, ERROR, START)).strip()
    said = with_places(with_own_names(said, running.folder, running.origins), running.fields)
    if len(said) <= _LAST_CHARACTERS:
        return said
    return said[-_LAST_CHARACTERS:].partition("\n")[2].strip() or said[-_LAST_CHARACTERS:]
