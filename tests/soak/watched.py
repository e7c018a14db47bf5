"""What a soak keeps of what it sees: samples of each process, lines of each file, the account; and its findings."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from tests.soak.sampling import Held, family_of, held_by, slope_per_h
from whocut.trace.follow import Follower
from whocut.trace.rundir import ATTEMPTS, LEDGER, SPANS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Part of a command line, and how the process is called here: what is not named is not sampled.
_NAMED: Final = (("whocut_mock", "mock"), ("whocut.load", "load"), ("whocut run", "layers"))
MOST_MIB_PER_H: Final = 16.0
MOST_FILES_PER_H: Final = 100.0
_LEAST_S: Final = 1200.0  # within less, pools of connections and of memory still fill


@dataclass(slots=True)
class Files:
    """The files of a run, read as they grow: how many lines, and which of them cannot be read."""

    run: Path
    lines: dict[str, int] = field(default_factory=lambda: dict.fromkeys((ATTEMPTS, SPANS, LEDGER), 0))
    unreadable: list[str] = field(default_factory=list)
    in_flight: int = 0
    ended: dict[str, int] = field(default_factory=dict)
    _followers: dict[str, Follower] = field(default_factory=dict)

    def read(self) -> None:
        """Take in what is new."""
        for name in self.lines:
            follower = self._followers.setdefault(name, Follower(self.run / name))
            for line in follower.lines():
                self.lines[name] += 1
                try:
                    row = orjson.loads(line)
                except orjson.JSONDecodeError as error:
                    self.unreadable.append(f"{name}:{self.lines[name]}: {error}")
                    continue
                if name == ATTEMPTS:
                    self._attempt(row)

    def _attempt(self, row: dict[str, Any]) -> None:
        if row["ended_s"] is None:
            self.in_flight += 1
            return
        self.in_flight -= 1
        self.ended[row["outcome"]] = self.ended.get(row["outcome"], 0) + 1

    @property
    def unfinished(self) -> Iterator[str]:
        """Files with bytes behind their last whole line."""
        return (f"{name}: it ends in a part of a line" for name in self._followers if self._behind(name))

    def _behind(self, name: str) -> int:
        return self._followers[name].behind_bytes


@dataclass(slots=True)
class Samples:
    """What each process of a family held, over time; `root` is the process whose family it is."""

    root: int
    prefix: str = ""
    of: dict[str, list[tuple[float, Held]]] = field(default_factory=lambda: defaultdict(list))

    def take(self, at_s: float) -> dict[str, Held]:
        """Look at each process once."""
        now: dict[str, Held] = {}
        for pid, command in family_of(self.root):
            name = next((name for part, name in _NAMED if part in command), None)
            held = held_by(pid) if name else None
            if name is not None and held is not None:
                now[self.prefix + name] = held
                self.of[self.prefix + name].append((at_s, held))
        return now

    def growth(self, name: str) -> tuple[float, float] | None:
        """By how much memory (MiB) and open files grow in an hour, in the second half; None: it was short."""
        half = self.of[name][len(self.of[name]) // 2 :]
        if half[-1][0] - half[0][0] < _LEAST_S:
            return None
        return (
            slope_per_h([(at_s, held.rss_mib) for at_s, held in half]),
            slope_per_h([(at_s, float(held.files)) for at_s, held in half]),
        )

    def findings(self) -> Iterator[str]:
        """Processes that grow."""
        for name in self.of:
            grown = self.growth(name)
            if grown is not None and grown[0] > MOST_MIB_PER_H:
                yield f"{name} grows by {grown[0]:.1f} MiB an hour; at most {MOST_MIB_PER_H:g} is allowed"
            if grown is not None and grown[1] > MOST_FILES_PER_H:
                yield f"{name} opens {grown[1]:.0f} more files an hour; at most {MOST_FILES_PER_H:g} is allowed"

    def report(self) -> Iterator[str]:
        """A line for each process."""
        for name, held in self.of.items():
            grown = self.growth(name)
            said = (
                "too short for a slope"
                if grown is None
                else f"{grown[0]:+.1f} MiB, {grown[1]:+.0f} files an hour"
            )
            peak, last = max(one.rss_mib for _, one in held), held[-1][1]
            yield (
                f"{name:<14} peak {peak:.0f} MiB, at most {max(one.files for _, one in held)} files, "
                f"{last.cpu_s:.0f} s of the processor; second half: {said}"
            )
