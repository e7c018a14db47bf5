"""`whocut sweep`: which levels to ask, as stages of one run, and what to ask again when they have been seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from whocut.chain.load import Load, LoadStage
from whocut.errors import BadInput
from whocut.verdict.sweep.knee import to_confirm, to_halve
from whocut.verdict.sweep.levels import levels_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whocut.trace.rundir import RunDir

HIGHEST = 1_000
# Images a minute are counted by the minute: after one of silence, whatever a level used up is there again.
QUIET_S = 60.0
_EACH_UP_TO = 10
_STEP = 1.25  # beyond ten, each level is a quarter more than the one before
# The recommendation rests on what is asked again, so it is asked twice as often.
_AGAIN = 2
_FOR_EACH_PLACE = 3


def levels_to(highest: int) -> tuple[int, ...]:
    """Every level up to ten, then in growing steps, the highest always among them."""
    levels = [*range(1, min(highest, _EACH_UP_TO) + 1)]
    while levels[-1] < highest:
        levels.append(min(highest, round(levels[-1] * _STEP)))
    return tuple(levels)


def parse_levels(written: str) -> tuple[int, ...]:
    """Read ``1,3,5,10``, in whatever order.

    Raises:
        BadInput: one of them is no level.
    """
    levels = set()
    for word in written.split(","):
        if not word.strip().isdecimal() or not 1 <= int(word) <= HIGHEST:
            raise BadInput(
                f"'{word.strip()}' is no level; write whole numbers from 1 to {HIGHEST}, like 1,3,5,10",
                field="levels",
            )
        levels.add(int(word))
    return tuple(sorted(levels))


def parse_tolerate(written: str) -> float:
    """Read ``1%`` or ``0.01``.

    Raises:
        BadInput: it is no share from 0 up to, and without, all.
    """
    digits = written.strip().removesuffix("%")
    try:
        share = float(digits) / (100 if written.strip().endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise BadInput(
            f"'{written}' is no share of refused requests; write one below 100%, like 1% or 0.01",
            field="tolerate",
        )
    return share


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What a sweep asks. `requests` None: three a place, and `at_least` so many. `gap_s` None: to be found."""

    mode: str
    tolerate: float
    at_least: int
    requests: int | None = None
    gap_s: float | None = None
    bisect: bool = False

    def stages(self, levels: Sequence[int]) -> tuple[LoadStage, ...]:
        """A stage for each level, to begin with.

        Raises:
            BadInput: a level has fewer requests than places, so that not all of them would be taken.
        """
        widest = max(levels)
        if self.requests is not None and self.requests < widest:
            raise BadInput(
                f"{self.requests} requests do not fill {widest} places; ask for at least {widest}, "
                "better three times as many",
                field="requests",
            )
        return tuple(self._stage(level, self.gap_s or 0.0) for level in levels)

    def then(self, run_dir: RunDir) -> tuple[LoadStage, ...]:
        """What to ask when its levels have been seen; nothing when the answer is final.

        First, where it is to `bisect`, the level half way to the knee, again and again. Then, unless the gap is
        given, the knee once more, and levels beyond it with a gap.
        """
        asked = Load.from_plain(run_dir.manifest["load"]).stages
        levels = levels_of(asked, run_dir.attempts())
        half_way = to_halve(levels, self.tolerate) if self.bisect else None
        if half_way is not None:
            return (self._stage(half_way, self.gap_s or 0.0),)
        if self.gap_s is not None:
            return ()
        known = {(stage.at_once, stage.gap_s) for stage in asked}
        return tuple(
            self._stage(at_once, gap_s, times=_AGAIN, again=(at_once, gap_s) in known)
            for at_once, gap_s in to_confirm(levels, self.tolerate)
        )

    def _stage(self, at_once: int, gap_s: float, *, times: int = 1, again: bool = False) -> LoadStage:
        told = (f"-gap-{gap_s:g}s" if gap_s else "") + ("-again" if again else "")
        requests = self.requests or max(self.at_least, _FOR_EACH_PLACE * at_once)
        return LoadStage(
            name=f"{at_once}-at-once{told}",
            mix={self.mode: 1.0},
            requests=requests * times,
            at_once=at_once,
            gap_s=gap_s,
            heeds_retry_after=True,
            quiet_s=QUIET_S,
        )
