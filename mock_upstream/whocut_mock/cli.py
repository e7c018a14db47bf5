"""The mock as a process: flags in, one line of JSON when it is ready, plain words on stderr, an exit code."""

import argparse
import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn, TextIO

import orjson
from pydantic import ValidationError

from whocut_mock import yaml_file
from whocut_mock.buckets import StoreGone
from whocut_mock.clock import ModelClock, monotonic_s, wall_clock_unix_s
from whocut_mock.dialects import known, spoken
from whocut_mock.ledger import Ledger
from whocut_mock.prefork import run_workers
from whocut_mock.serve import Doors, NotServing, Running, in_url, loopback, serve
from whocut_mock.settings import Settings, explained, merged
from whocut_mock.upstream import check_files

BAD_INPUT, COULD_NOT_RUN = 2, 3

log = logging.getLogger("mock_upstream")


class BadInput(Exception):  # noqa: N818 - it says what is the case
    """Something the user wrote; the text names the place and the nearest right spelling."""


@dataclass(frozen=True)
class Orders:
    """What the flags ask for, checked."""

    settings: Settings
    host: str
    port: int
    scale: float
    origin: float | None
    epoch_unix_s: float
    ledger: Path | None
    processes: int
    exit_with_parent: bool


def main(argv: Sequence[str] | None = None) -> int:
    """Run the mock until a signal stops it; return the exit code."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="mock upstream: %(message)s")
    try:
        orders = read_orders(sys.argv[1:] if argv is None else argv)
        if orders.processes > 1:
            return _run_workers(orders)
        return asyncio.run(_run(orders, _announcer(orders), Doors.new(orders.host)))
    except BadInput as mistake:
        log.error("%s", mistake)  # noqa: TRY400 - a traceback would not help who made a spelling mistake
        return BAD_INPUT
    except (NotServing, StoreGone) as reason:
        log.error("%s", reason)  # noqa: TRY400 - the sentence says it all
        return COULD_NOT_RUN


def _run_workers(orders: Orders) -> int:
    """Several processes: one origin of time, one ledger."""
    doors = Doors.new(orders.host)
    with tempfile.TemporaryDirectory(prefix="mock-upstream-") as place:
        shared = replace(
            orders,
            origin=monotonic_s() if orders.origin is None else orders.origin,
            exit_with_parent=False,
            ledger=orders.ledger or Path(place) / "ledger.jsonl",
        )
        _open_ledger(shared.ledger, shared=False).close()

        def work(number: int, sock: socket.socket, ready: Callable[[], None], lifeline: int) -> int:
            running = _run(shared, lambda _: ready(), doors, sock=sock, worker=number, lifeline=lifeline)
            return asyncio.run(running)

        def announce(port: int) -> None:
            if orders.exit_with_parent:
                threading.Thread(target=_stop_at_end_of_input, daemon=True).start()
            _announce(orders.host, port, doors.sock.getsockname()[1], doors.token)

        return run_workers(orders.processes, orders.host, orders.port, work, announce)


def _stop_at_end_of_input() -> None:
    """The parent of several processes only waits, so a thread may read its standard input."""
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


async def _run(
    orders: Orders,
    ready: Callable[[Running], None],
    doors: Doors,
    *,
    sock: socket.socket | None = None,
    worker: int = 0,
    lifeline: int | None = None,
) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    running = await serve(
        orders.settings,
        host=orders.host,
        port=orders.port,
        clock=ModelClock(orders.scale, orders.origin, orders.epoch_unix_s),
        ledger=_open_ledger(orders.ledger, shared=worker > 0),
        sock=sock,
        worker=worker,
        control=doors,
    )
    if orders.exit_with_parent:
        await _watch(sys.stdin, stopping)
    if lifeline is not None:
        await _watch(os.fdopen(lifeline), stopping)
    _rest_easy()
    ready(running)
    await stopping.wait()
    still = running.upstream.workshop.running
    await running.close()
    log.info("stopped; %d generations were still running", still)
    return 0


def _rest_easy() -> None:
    """Let the collector look seldom: thousands of held requests are no garbage."""
    gc.collect()
    gc.freeze()
    # What is in flight when the young are looked at becomes old, and is garbage a minute later. So every million
    # and a half of objects the old are looked at, too.
    gc.set_threshold(50_000, 10, 3)


def _announcer(orders: Orders) -> Callable[[Running], None]:
    def announce(running: Running) -> None:
        assert running.control is not None
        _announce(orders.host, running.port, running.control.port, running.control.token)

    return announce


def _announce(host: str, port: int, control_port: int, token: str) -> None:
    """Say where it serves; the control's token only on standard output, for logs keep the rest."""
    ready = {"ready": True, "host": host, "port": port, "pid": os.getpid()}
    ready |= {"control_port": control_port, "control_token": token}
    sys.stdout.write(orjson.dumps(ready).decode() + "\n")
    sys.stdout.flush()
    log.info("its ledger, health and behaviour are at http://%s:%d/_mock/", in_url(host), control_port)
    log.info("serving on http://%s:%d/v1", in_url(host), port)


async def _watch(pipe: TextIO, stopping: asyncio.Event) -> None:
    """Stop when the process at the other end has gone."""

    class Watch(asyncio.Protocol):
        def connection_lost(self, exc: Exception | None) -> None:
            del exc
            stopping.set()

    try:
        await asyncio.get_running_loop().connect_read_pipe(Watch, pipe)
    except (OSError, ValueError) as error:
        raise BadInput(f"--exit-with-parent needs a pipe as standard input: {error}") from None


def _open_ledger(path: Path | None, *, shared: bool) -> Ledger:
    try:
        return Ledger(path, shared=shared)
    except OSError as error:
        raise BadInput(f"--ledger {path}: {error.strerror}") from None


class _Parser(argparse.ArgumentParser):
    """A parser whose complaint is one sentence with a suggestion."""

    def error(self, message: str) -> NoReturn:
        known = [flag for action in self._actions for flag in action.option_strings if flag.startswith("--")]
        for word in message.split():
            near = get_close_matches(word.partition("=")[0], known, n=1) if word.startswith("--") else []
            if near and near[0] != word:
                raise BadInput(f"{message}; did you mean {near[0]}?")
        raise BadInput(message)


def read_orders(argv: Sequence[str]) -> Orders:
    """The flags, checked."""
    parser = _Parser(
        prog="python -m whocut_mock",
        description="An Images API that is slow, moderates, limits and bills.",
        epilog="example: python -m whocut_mock --port 8000 --clock scaled:100 --ledger ledger.jsonl",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--host", type=_host, default="127.0.0.1", help="a loopback address (default: %(default)s)"
    )
    parser.add_argument("--port", type=_port, default=8000, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--clock", type=_clock, default=1.0, metavar="real|scaled:N", help="how time passes")
    parser.add_argument("--clock-origin", type=float, metavar="SECONDS", help="the monotonic instant of 0 s")
    parser.add_argument("--epoch", type=float, metavar="UNIX_S", help="calendar time at 0 s (default: now)")
    parser.add_argument("--seed", type=int, help="what all chance follows from")
    parser.add_argument(
        "--ledger", type=Path, metavar="FILE", help="append the ledger's rows here as JSON lines"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings as YAML")
    parser.add_argument(
        "--dialect",
        dest="dialects",
        type=lambda text: text.split(","),
        metavar="NAME,NAME…",
        help=f"which vendors' APIs it speaks (default: {','.join(known())})",
    )
    parser.add_argument(
        "--lenient", action="store_true", default=None, help="accept what the SDK's tests send"
    )
    parser.add_argument(
        "--processes", type=_count, default=1, metavar="N", help="so many processes on one port"
    )
    parser.add_argument("--exit-with-parent", action="store_true", help="stop when stdin ends")
    flags = parser.parse_args(argv)
    parts = ("seed", "lenient", "dialects")
    changes = {name: value for name in parts if (value := getattr(flags, name)) is not None}
    return Orders(
        settings=read_settings(flags.config, changes),
        host=flags.host,
        port=flags.port,
        scale=flags.clock,
        origin=flags.clock_origin,
        epoch_unix_s=wall_clock_unix_s() if flags.epoch is None else flags.epoch,
        ledger=flags.ledger,
        processes=flags.processes,
        exit_with_parent=flags.exit_with_parent,
    )


def read_settings(path: Path | None, changes: dict[str, object]) -> Settings:
    """The settings of this file, with the flags on top."""
    written: object = {}
    if path is not None:
        try:
            written = yaml_file.read(path)
        except OSError as error:
            raise BadInput(f"--config {path}: {error.strerror}") from None
        except ValueError as error:
            raise BadInput(f"--config {path}: {error}") from None
    if written is None:
        written = {}
    if not isinstance(written, dict):
        raise BadInput(f"--config {path}: expected settings by name, not {type(written).__name__}")
    try:
        settings = Settings.model_validate(merged(written, changes))
        check_files(settings)
        spoken(settings.dialects)
    except ValidationError as error:
        raise BadInput(f"{path or 'settings'}: {explained(error)}") from None
    except ValueError as error:
        raise BadInput(f"{path or 'settings'}: {error}") from None
    return settings


def _host(text: str) -> str:
    try:
        loopback(text)
    except NotServing as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65_535):
        raise argparse.ArgumentTypeError(f"'{text}' is not a port; a number from 0 to 65535 is")
    return int(text)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) >= 1):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of processes; 1 or more is")
    return int(text)


_MAX_SCALE = 1_000_000  # beyond it nothing is left of a minute; for fuzzing, an instant is enough


def _clock(text: str) -> float:
    """The scale: `real` is 1, `scaled:100` is 100."""
    kind, _, number = text.partition(":")
    if text == "real":
        return 1.0
    try:
        scale = float(number)
    except ValueError:
        scale = 0.0
    if kind == "scaled" and scale > _MAX_SCALE:
        raise argparse.ArgumentTypeError(
            f"'{text}' is faster than this can answer; at most scaled:{_MAX_SCALE}"
        )
    if kind != "scaled" or not 0 < scale < float("inf"):
        near = get_close_matches(kind, ["real", "scaled"], n=1)
        hint = f"; did you mean '{near[0]}'?" if near and near[0] != kind else ""
        raise argparse.ArgumentTypeError(f"'{text}' is not a clock; 'real' and 'scaled:100' are{hint}")
    return scale
