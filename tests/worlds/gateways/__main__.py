"""``python -m tests.worlds.gateways [--n 50] [--only nginx] [--cells stall]``: gateways, judged from their taps.

Exits 1 on a wrong `proven`, a lost request or a traceback.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tests.worlds.gateways.cells import CELLS
from tests.worlds.gateways.judge import Score, judge_world
from tests.worlds.gateways.play import play
from whocut.clock import run_real
from whocut.path.gateways import GATEWAYS
from whocut.path.gateways.process import found

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tests.worlds.gateways.play import World

_COLUMNS = "{:<24}{:>9}{:>8}{:>11}{:>10}{:>14}{:>6}{:>12}{:>8}{:>16}\n"
_HEAD = ("", "requests", "wrong", "", "", "unattributed", "lost", "tracebacks", "beside", "named/cuts")
_GRADES = ("", "", "proven", "testified", "inferred", "", "", "", "", "")


def look(
    names: Sequence[str], cells: Sequence[str], *, requests: int, at_once: int, keep: Path | None
) -> dict[bool, dict[str, dict[str, Score]]]:
    """The scores by whether the layer between was said, then by gateway and cell."""
    scores: dict[bool, dict[str, dict[str, Score]]] = {True: {}, False: {}}
    asked = tuple(cell for cell in CELLS if not cells or any(part in cell.name for part in cells))
    for name in names:
        with TemporaryDirectory() as temporary:
            folder = (keep or Path(temporary)) / name
            world = run_real(play(name, asked, folder, requests=requests, at_once=at_once))
            for said, of_all in scores.items():
                of_all[name] = judge_world(world, said=said)
            _say_world(world, scores[True][name])
    return scores


def _say_world(world: World, cells: Mapping[str, Score]) -> None:
    sys.stdout.write(
        f"\n{world.name}: {world.most_in_flight} in flight at most; this process stood still for at most "
        f"{world.stalled_s:.2f} s\n"
    )
    sys.stdout.write(_COLUMNS.format(*_HEAD) + _COLUMNS.format(*_GRADES))
    for cell, score in cells.items():
        sys.stdout.write(_row(cell or "in all", score if cell else _sum(cells.values())))
    for name in world.passed_over:
        sys.stdout.write(f"{name:<24}cannot be configured so\n")
    sys.stdout.flush()


def _row(what: str, score: Score) -> str:
    wrong = (score.wrong[grade] for grade in ("proven", "testified", "inferred"))
    named = f"{score.named}/{score.cuts}" if score.cuts else "-"
    return _COLUMNS.format(
        *(what, score.requests, *wrong, score.unattributed, score.lost, score.tracebacks),
        *(score.beside, named),
    )


def _sum(scores: Iterable[Score]) -> Score:
    together = Score()
    for score in scores:
        together.add(score)
    return together


def main() -> int:
    """Look, say what was seen, and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=20, help="requests of each cell")
    parser.add_argument("--at-once", type=int, default=20)
    parser.add_argument("--only", default="", help="gateways, divided by commas")
    parser.add_argument("--cells", default="", help="parts of the cells' names, divided by commas")
    parser.add_argument("--keep", type=Path, help="a folder that keeps spans, ledgers and logs")
    told = parser.parse_args()
    wanted = [name for name in told.only.split(",") if name] or list(GATEWAYS)
    names = []
    for name in wanted:
        if found(GATEWAYS[name]):
            names.append(name)
        else:
            sys.stdout.write(f"{name} is passed over. Install it with: {GATEWAYS[name].install}\n")
    cells = [part for part in told.cells.split(",") if part]
    scores = look(names, cells, requests=told.n, at_once=told.at_once, keep=told.keep)
    return _say_all(scores)


def _say_all(scores: dict[bool, dict[str, dict[str, Score]]]) -> int:
    failed = False
    for said, by_name in scores.items():
        sys.stdout.write(f"\nthe layer between the taps is {'' if said else 'not '}said\n")
        sys.stdout.write(_COLUMNS.format(*_HEAD) + _COLUMNS.format(*_GRADES))
        for name, cells in by_name.items():
            score = _sum(cells.values())
            sys.stdout.write(_row(name, score))
            failed |= bool(score.wrong["proven"] or score.lost or score.tracebacks)
        for name, cells in by_name.items():
            examples = [line for score in cells.values() for line in score.told]
            for line in dict.fromkeys(examples[:400]):
                sys.stdout.write(f"  {name}: {line}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
