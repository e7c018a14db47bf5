"""The clock of a client in another process, whose waits pass quickly: a small library is preloaded into it.

The library is made from `pace.c` by this machine's C compiler, once a process. It answers for the calls of libc
that read the time or wait. What makes its system calls by itself (Go, a static program) is not reached: it waits
as it would, and the clock that is read here is right for it all the same.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import os
import selectors
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from whocut.clock import Clock

if TYPE_CHECKING:
    from types import TracebackType

_SOURCE: Final = Path(__file__).with_name("pace.c")
_COMPILERS: Final = ("cc", "gcc", "clang")
_FLAGS: Final = ("-O2", "-shared", "-fPIC", "-pthread")
_PAGE_BYTES: Final = 4096
_COMPILE_REAL_S: Final = 60.0
# How fast the client's clock runs while it waits and nothing is asked: an hour in less than a second.
IDLE_SCALE: Final = 5_000


@functools.cache
def library() -> Path | None:
    """Where the library lies; None where it cannot be made or loaded: no Linux, no compiler, another libc."""
    if not sys.platform.startswith("linux"):
        return None
    compiler = next((found for name in _COMPILERS if (found := shutil.which(name))), None)
    if compiler is None:
        return None
    folder = Path(tempfile.mkdtemp(prefix="whocut-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    made = folder / "pace.so"
    try:
        subprocess.run(  # noqa: S603  # this machine's compiler, on a file of ours
            [compiler, *_FLAGS, "-o", str(made), str(_SOURCE), "-ldl"],
            check=True,
            capture_output=True,
            timeout=_COMPILE_REAL_S,
        )
        _calls(made)
    except (OSError, subprocess.SubprocessError, AttributeError):
        return None
    return made


@functools.cache
def _calls(made: Path) -> ctypes.CDLL:
    calls = ctypes.CDLL(str(made))
    calls.whocut_pace_open.restype = ctypes.c_void_p
    calls.whocut_pace_open.argtypes = (ctypes.c_char_p, ctypes.c_long, ctypes.c_long)
    calls.whocut_pace_close.argtypes = (ctypes.c_void_p,)
    calls.whocut_pace_serve.argtypes = (ctypes.c_void_p, ctypes.c_int)
    calls.whocut_pace_now.restype = ctypes.c_int64
    calls.whocut_pace_now.argtypes = (ctypes.c_void_p,)
    calls.whocut_pace_loaded.argtypes = (ctypes.c_void_p,)
    calls.whocut_pace_asleep.argtypes = (ctypes.c_void_p, ctypes.c_int64)
    calls.whocut_pace_awake.argtypes = (ctypes.c_void_p,)
    calls.whocut_pace_tell.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_int)
    return calls


class StageSelector(selectors.DefaultSelector):
    """The selector of a scaled stage's loop: it tells the client's clock when the loop sleeps, and how late it is.

    `late_real_s` is the longest that anything had to wait for the loop, which was asleep too long or busy.
    """

    def __init__(self, pace: Pace | None) -> None:
        super().__init__()
        self._pace = pace
        self._clock = Clock()
        self._woke_s = self._clock.now_s()
        self.late_real_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for something to do."""
        began_s = self._clock.now_s()
        if self._pace is not None:
            self._pace.asleep(timeout)
        try:
            return super().select(timeout)
        finally:
            if self._pace is not None:
                self._pace.awake()
            now_s = self._clock.now_s()
            overslept_s = 0.0 if timeout is None else now_s - began_s - max(0.0, timeout)
            self.late_real_s = max(self.late_real_s, began_s - self._woke_s, overslept_s)
            self._woke_s = now_s


def use_in_this_process(made: str, page: str) -> None:
    """Take a page from now on: for a process that was forked for one client, with the library preloaded.

    A program that the client starts takes it as well.
    """
    os.environ["WHOCUT_PACE"] = page
    ctypes.CDLL(made).whocut_pace_use(page.encode())


class Pace:
    """The clock of one client on one stage, and what the stage tells it. A context; closed, it tells nothing.

    `clock` counts the client's seconds from here on, `path` is the page that both sides share.
    """

    def __init__(self, made: Path, *, scale: float, idle_scale: int = IDLE_SCALE) -> None:
        self._made = made
        self._calls = _calls(made)
        handle, name = tempfile.mkstemp(prefix="whocut-pace-")
        os.ftruncate(handle, _PAGE_BYTES)
        os.close(handle)
        self.path = Path(name)
        self._page: int | None = self._calls.whocut_pace_open(name.encode(), int(scale), idle_scale)
        self._last_s = self._now_s()
        self.clock = Clock(reader=self._now_s)

    def environment(self) -> dict[str, str]:
        """What a program is given so that it keeps this clock."""
        return preloaded(self._made) | {"WHOCUT_PACE": str(self.path)}

    @property
    def kept(self) -> bool:
        """Whether a process has taken the clock."""
        return self._page is not None and bool(self._calls.whocut_pace_loaded(self._page))

    def serve(self, port: int) -> None:
        """Only what goes to this port of the loopback is on its way to the stage."""
        self._calls.whocut_pace_serve(self._page, port)

    def tell(self, *, read: bool = False, wrote: bool = False, opened: int = 0) -> None:
        """Bytes were read, or are written now; so many more requests are open."""
        if self._page is not None:
            self._calls.whocut_pace_tell(self._page, read, wrote, opened)

    def asleep(self, wait_real_s: float | None) -> None:
        """The stage's loop goes to sleep, for so long at most; None: until something comes."""
        if self._page is not None:
            self._calls.whocut_pace_asleep(self._page, -1 if wait_real_s is None else int(wait_real_s * 1e9))

    def awake(self) -> None:
        """It is at work: until it sleeps again, the client's time hardly runs."""
        if self._page is not None:
            self._calls.whocut_pace_awake(self._page)

    def _now_s(self) -> float:
        if self._page is not None:
            self._last_s = self._calls.whocut_pace_now(self._page) / 1e9
        return self._last_s

    def close(self) -> None:
        """Let go of the page."""
        page, self._page = self._page, None
        if page is not None:
            self._calls.whocut_pace_close(page)
            self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def preloaded(made: Path) -> dict[str, str]:
    """The environment in which a process loads the library, before what it loads already."""
    already = os.environ.get("LD_PRELOAD", "")
    return {"LD_PRELOAD": f"{made} {already}".strip()}
