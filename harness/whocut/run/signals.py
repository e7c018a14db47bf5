"""What a command does when it is asked to end, and what it does when it is asked again.

====================  ==========================================  ==============================
signal                first                                       after the last polite answer
====================  ==========================================  ==============================
SIGINT (Ctrl-C)       `stop`; where there is an `at_once` too,    the process ends at once, exit 3
                      a second one is the last that is polite
SIGTERM, SIGHUP       `at_once`                                   the same
====================  ==========================================  ==============================

The polite answers come from the event loop. The last one does not need the loop: a loop that spins or is blocked
ends all the same. What is recorded is written in whole lines as it happens, so nothing is left to be flushed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_COULD_NOT_RUN: Final = 3
_LAST_WORDS: Final = b"whocut: ended at once by a further signal; what was recorded stands\n"


class Signals:
    """Hears the process's signals for one command.

    `stop` answers a Ctrl-C and `at_once` a polite kill or a closed terminal; where `at_once` is None, `stop`
    answers both. A service manager that asks politely kills a few seconds later. Under ``nohup`` a terminal may go.
    """

    def __init__(self, stop: Callable[[], None], at_once: Callable[[], None] | None = None) -> None:
        self._stop = stop
        self._at_once = at_once or stop
        self._polite = 1 if at_once is None else 2
        self._asked = 0
        self._left = False  # the last answer that is polite has been given, or the loop is blocked
        self._heard = [
            which
            for which in _SIGNALS
            if which is not signal.SIGHUP or signal.getsignal(which) is not signal.SIG_IGN
        ]

    def listen(self) -> None:
        """Begin, in the running loop; elsewhere than in the main thread nothing is heard."""
        loop = asyncio.get_running_loop()
        with suppress(NotImplementedError, RuntimeError, ValueError):
            for which in self._heard:
                loop.add_signal_handler(which, self._ask, which)

    @contextmanager
    def without_the_loop(self) -> Iterator[None]:
        """While the loop is blocked by long work the second signal of all ends the process."""
        self._leave_the_loop()
        try:
            yield
        finally:
            with suppress(ValueError):  # as in `listen`
                for which in self._heard:
                    interrupts = which is signal.SIGINT
                    signal.signal(which, signal.default_int_handler if interrupts else signal.SIG_DFL)

    def _leave_the_loop(self) -> None:
        self._left = True
        with suppress(ValueError):  # as in `listen`
            for which in self._heard:
                signal.signal(which, self._count)

    def _ask(self, which: signal.Signals) -> None:
        if self._left:
            return  # `_count` has heard it
        self._asked = self._asked + 1 if which is signal.SIGINT else self._polite
        if self._asked >= self._polite:
            self._leave_the_loop()
        if which is signal.SIGHUP:
            _without_a_terminal()
        if which is signal.SIGINT:
            self._stop()
        else:
            self._at_once()

    def _count(self, which: int, _frame: Any) -> None:
        self._asked += 1
        if which == signal.SIGHUP:
            _without_a_terminal()
        if self._asked > 1:
            os.write(sys.stderr.fileno(), _LAST_WORDS)
            os._exit(_COULD_NOT_RUN)


def _without_a_terminal() -> None:
    """A terminal that has gone answers each word with an error, which would be the end of the judging as well."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for output in (sys.stdout.fileno(), sys.stderr.fileno()):
        if stat.S_ISCHR(os.fstat(output).st_mode):
            os.dup2(nowhere, output)
    os.close(nowhere)
