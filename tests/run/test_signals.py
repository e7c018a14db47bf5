"""How a command ends when it is asked to, and when it is asked again: real signals to a small process."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.sockets

# Says "ready", then what it is asked; `STUCK` is what its closing is like.
COMMAND = """
import asyncio, sys, time
from whocut.clock import new_loop
from whocut.run.signals import Signals

async def main():
    stopped = asyncio.Event()
    def say(word):
        print(word, flush=True)
        stopped.set()
    signals = Signals(lambda: say("stop"), (lambda: say("at once")) if POLITE else None)
    signals.listen()
    print("ready", flush=True)
    await stopped.wait()
    print("closing", flush=True)
    STUCK

with asyncio.Runner(loop_factory=LOOP) as runner:
    runner.run(main())
print("over", flush=True)
"""
SPINS = "while True: await asyncio.sleep(0)"
STANDS_STILL = "while True: pass"
JUDGES = (
    "\n    with signals.without_the_loop():\n        print('judging', flush=True)\n        while True: pass"
)


@contextmanager
def running(stuck: str, *, polite: bool = False, loop: str = "new_loop") -> Iterator[subprocess.Popen[str]]:
    """The command, ready to be asked."""
    script = COMMAND.replace("STUCK", stuck).replace("POLITE", str(polite)).replace("LOOP", loop)
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def said(process: subprocess.Popen[str]) -> str:
    """Its next word."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_one_signal_ends_in_good_order(first: signal.Signals) -> None:
    """The command closes what stands and goes its way."""
    with running("pass") as process:
        process.send_signal(first)

        assert [said(process) for _ in range(3)] == ["stop", "closing", "over"]
        assert process.wait(20) == 0


@pytest.mark.parametrize("loop", ["new_loop", "asyncio.new_event_loop"])
@pytest.mark.parametrize("stuck", [SPINS, STANDS_STILL])
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_whatever_still_closes(stuck: str, second: signal.Signals, loop: str) -> None:
    """A loop that spins and one that stands still: exit 3 and one sentence."""
    with running(stuck, loop=loop) as process:
        process.send_signal(signal.SIGINT)
        assert [said(process), said(process)] == ["stop", "closing"]

        process.send_signal(second)

        assert process.wait(20) == 3
        assert process.stderr is not None
        assert process.stderr.read() == (
            "whocut: ended at once by a further signal; what was recorded stands\n"
        )


def test_a_ctrl_c_that_waits_may_be_asked_to_hurry_before_it_is_ended() -> None:
    """Where there is a hurry between waiting and the end, the second Ctrl-C is that, and the third is the end."""
    with running(SPINS, polite=True) as process:
        process.send_signal(signal.SIGINT)
        assert [said(process), said(process)] == ["stop", "closing"]
        process.send_signal(signal.SIGINT)
        assert said(process) == "stop"

        process.send_signal(signal.SIGINT)

        assert process.wait(20) == 3


def test_a_polite_kill_that_hurries_is_the_last_that_is_polite() -> None:
    """SIGTERM asks for the end at once; whatever comes after it ends the process."""
    with running(SPINS, polite=True) as process:
        process.send_signal(signal.SIGTERM)
        assert [said(process), said(process)] == ["at once", "closing"]

        process.send_signal(signal.SIGTERM)

        assert process.wait(20) == 3


def test_long_work_without_the_loop_is_ended_by_the_second_signal_of_all() -> None:
    """Judging blocks the loop; who asked once and asks again is heard all the same."""
    with running(JUDGES) as process:
        process.send_signal(signal.SIGINT)
        assert [said(process) for _ in range(3)] == ["stop", "closing", "judging"]

        process.send_signal(signal.SIGINT)

        assert process.wait(20) == 3
