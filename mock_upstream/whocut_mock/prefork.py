"""Several processes on one port: one parent that serves nothing, and N that serve.

The parent tells everyone the same origin of time, waits until all are ready, passes a stop on, and leaves
when the last has left. On Linux each process listens for itself and the kernel shares the callers out;
elsewhere they share one listening socket.
"""

import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from whocut_mock.serve import NotServing, listen

# What a worker runs: its number from 1, its listening socket, what to call when ready, and the parent's
# lifeline.
Work = Callable[[int, socket.socket, Callable[[], None], int], int]


@dataclass
class Workers:
    """The processes, and the pipe whose end they all hold: it closes when the parent is gone."""

    pids: set[int] = field(default_factory=set)
    failed: int = 0

    def stop(self, *_: object) -> None:
        """Ask all that are left to stop."""
        for pid in self.pids:
            os.kill(pid, signal.SIGTERM)

    def wait(self) -> None:
        """Wait for one to leave; if it failed, the others are asked to stop."""
        pid, status = os.wait()
        self.pids.discard(pid)
        if os.waitstatus_to_exitcode(status) != 0:
            self.failed += 1
            self.stop()


def run_workers(count: int, host: str, port: int, work: Work, announce: Callable[[int], None]) -> int:
    """Serve with so many processes until a signal comes; return the exit code."""
    each_listens = sys.platform == "linux"
    reserved = listen(host, port, shared=True, ears=not each_listens)
    port = reserved.getsockname()[1]
    ready_out, ready_in = os.pipe()
    lifeline_out, lifeline_in = os.pipe()
    workers = Workers()
    for number in range(1, count + 1):
        pid = os.fork()
        if pid == 0:
            os.close(lifeline_in)
            os.close(ready_out)
            sock = listen(host, port, shared=True) if each_listens else reserved
            os._exit(_guarded(work, number, sock, ready_in, lifeline_out))
        workers.pids.add(pid)
    os.close(ready_in)
    os.close(lifeline_out)
    signal.signal(signal.SIGTERM, workers.stop)
    signal.signal(signal.SIGINT, workers.stop)
    ready = 0
    while ready < count:
        told = os.read(ready_out, count)
        if not told:
            workers.stop()
            raise NotServing("a process of the mock ended before it was ready")
        ready += len(told)
    announce(port)
    while workers.pids:
        workers.wait()
    os.close(lifeline_in)
    reserved.close()
    return 1 if workers.failed else 0


def _guarded(work: Work, number: int, sock: socket.socket, ready_in: int, lifeline_out: int) -> int:
    """A forked process must end here, whatever happens in it."""

    def ready() -> None:
        os.write(ready_in, b".")
        os.close(ready_in)

    try:
        return work(number, sock, ready, lifeline_out)
    except BaseException as error:  # noqa: BLE001 - nothing may run on in the parent's copy
        sys.stderr.write(f"mock upstream: process {number} failed: {error!r}\n")
        return 1
