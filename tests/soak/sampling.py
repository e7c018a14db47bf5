"""What a process holds at an instant, by Linux's /proc: memory and open files; and how that grows over samples."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_PROC: Final = Path("/proc")


@dataclass(frozen=True, slots=True)
class Held:
    """One process at one instant: resident memory in MiB, open files, the processor's time so far in seconds."""

    rss_mib: float
    files: int
    cpu_s: float


def held_by(pid: int) -> Held | None:
    """What a process holds now; None where it has ended."""
    here = _PROC / str(pid)
    with suppress(OSError, IndexError):
        pages = int((here / "statm").read_text().split()[1])
        ticks = (here / "stat").read_text().rpartition(")")[2].split()[11:13]
        if pages:
            return Held(
                rss_mib=pages * _PAGE_BYTES / 2**20,
                files=len(os.listdir(here / "fd")),  # noqa: PTH208  # only their number is asked
                cpu_s=sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK"),
            )
    return None


def family_of(pid: int) -> Iterator[tuple[int, str]]:
    """A process and all that it has started, each with its command line."""
    with suppress(OSError):
        yield pid, (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        for thread in (_PROC / str(pid) / "task").iterdir():
            for child in (thread / "children").read_text().split():
                yield from family_of(int(child))


def slope_per_h(points: Sequence[tuple[float, float]]) -> float:
    """By how much a value grows in an hour: the least-squares line through (seconds, value)."""
    mean_s = sum(at_s for at_s, _ in points) / len(points)
    mean = sum(value for _, value in points) / len(points)
    spread = sum((at_s - mean_s) ** 2 for at_s, _ in points)
    return 3600 * sum((at_s - mean_s) * (value - mean) for at_s, value in points) / spread
