"""Hostile bytes on every door: ``python -m tests.hostile --seconds 600 --seed 7``.

Each door gets its turns until the time is over. The counts are printed by door; the shortest input of each finding
lies in ``build/hostile/DOOR/``. Exits 1 on a finding. An input is to take a second of the processor's time at most,
and the whole process stays within its memory.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.hostile.doors import DOORS, Door
from tests.hostile.mutating import mutated
from tests.hostile.watching import Watch, peak_mib, stopping_what_hangs
from whocut.clock.clock import wall_s

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_FOUND: Final = Path("build/hostile")
_MOST_MIB: Final = 1536
_TURN_S: Final = 3.0


def main() -> int:
    """Hand in inputs until the time is over; the exit code."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=600.0)
    options.add_argument("--seed", type=int, default=7)
    options.add_argument("--inputs", type=int, help="so many for each door, and no time")
    options.add_argument("--door", action="append", choices=[door.name for door in DOORS])
    asked = options.parse_args()
    watch, draw = Watch(), random.Random(asked.seed)
    doors = [door for door in DOORS if not asked.door or door.name in asked.door]
    with tempfile.TemporaryDirectory() as made, stopping_what_hangs():
        folder = Path(made)
        corpora = {door.name: door.corpus(folder) for door in doors}

        def play(door: Door, count: int) -> None:
            door.play(folder, [mutated(draw, corpora[door.name]) for _ in range(count)], watch)

        try:
            if asked.inputs:
                for door in doors:
                    play(door, asked.inputs)
            else:
                _in_turns(doors, play, wall_s() + asked.seconds, watch)
        finally:
            print(watch.report())  # noqa: T201  # a tool, for its user
            watch.keep_files(_FOUND)
    grown = peak_mib() > _MOST_MIB
    if grown:
        print(f"FINDING memory: more than {_MOST_MIB} MiB")  # noqa: T201  # as above
    return 1 if watch.findings or grown else 0


def _in_turns(doors: Sequence[Door], play: Callable[[Door, int], None], ends_s: float, watch: Watch) -> None:
    """Each door for some seconds, again and again, until the time is over or a Ctrl-C."""
    told = 0
    with suppress(KeyboardInterrupt):
        while wall_s() < ends_s:
            for door in doors:
                turn_s = min(wall_s() + _TURN_S, ends_s)
                while wall_s() < turn_s:
                    play(door, door.at_once)
            sys.stderr.write(f"\r{watch.inputs.total()} inputs, {len(watch.findings)} findings")
            for known in list(watch.findings)[told:]:
                sys.stderr.write(f"\nFINDING {known}\n")
            told = len(watch.findings)
            watch.keep_files(_FOUND)


if __name__ == "__main__":
    sys.exit(main())
